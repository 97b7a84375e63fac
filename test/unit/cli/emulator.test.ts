import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PredictClient } from "../../../src/index.js";
import {
  buildCommandLine,
  type CommandLine,
  ended,
  firstLine,
  openTerminal,
  runCommand,
  startCommand,
} from "../../support/cli/command-line.js";

let commandLine: CommandLine;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());

describe("eas-prediction emulator", () => {
  test("serves calls and ends with 130 after an interrupt", async () => {
    const child = startCommand(commandLine, ["emulator", "--json", "--queue", "images"]);
    const { endpoint, token, queues } = JSON.parse(await firstLine(child.stdout));
    expect(queues).toEqual(["jobs", "images"]);
    const client = new PredictClient({ endpoint, serviceName: "echo", token });
    expect(String(await client.predict("hello"))).toBe("hello");
    await client.close();
    child.kill("SIGINT");
    await ended(child);
    expect(child.exitCode).toBe(130);
  });

  test("prints curl lines and stops after Ctrl-C in a terminal", async () => {
    const session = openTerminal(commandLine, ["emulator", "--token", "shown"], { columns: 200 });
    try {
      await session.shows(/Press Ctrl-C to stop/);
      expect(session.screen()).toMatch(/Endpoint +http:\/\/127\.0\.0\.1:\d+\n/);
      expect(session.screen()).toMatch(/curl http:\/\/127\.0\.0\.1:\d+\/api\/predict\/echo -H 'Authorization: shown'/);
      session.type("\x03");
      expect(await session.exitCode).toBe(130);
    } finally {
      session.kill();
    }
  });

  test("ends with 2 for a port that is in use", async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const { port } = blocker.address() as { port: number };
    const { stderr, exitCode } = await runCommand(commandLine, ["emulator", "--port", String(port)]);
    expect(stderr).toBe(`error: --port ${port} is in use: choose another port, or 0 for a free one\n`);
    expect(exitCode).toBe(2);
    await new Promise((resolve) => blocker.close(resolve));
  });

  test("opens the console in the browser with --open", async () => {
    const folder = await mkdtemp(join(tmpdir(), "eas-browser-"));
    const browser = join(folder, "browser");
    const opened = createServer();
    await new Promise<void>((resolve) => opened.listen(0, "127.0.0.1", resolve));
    const { port } = opened.address() as { port: number };
    const received = new Promise<string>((resolve) => {
      opened.on("connection", (socket) => socket.setEncoding("utf8").on("data", (text: string) => resolve(text)));
    });
    // A program in place of the browser, which reports its argument.
    const script = `require("net").connect(${port}, "127.0.0.1").end(process.argv[2])`;
    await writeFile(browser, `#!${process.execPath}\n${script}\n`);
    await chmod(browser, 0o755);
    const child = startCommand(commandLine, ["emulator", "--json", "--open"], { env: { BROWSER: browser } });
    try {
      const { console: url, endpoint } = JSON.parse(await firstLine(child.stdout));
      expect(await received).toBe(url);
      expect(url.startsWith(`${endpoint}/#`)).toBe(true);
      const page = await fetch(url, { headers: { accept: "text/html" } });
      expect(await page.text()).toMatch(/^<!doctype html>/);
    } finally {
      child.kill("SIGINT");
      await ended(child);
      opened.close();
      await rm(folder, { recursive: true });
    }
  });

  test("keeps serving when no browser can be started", async () => {
    const session = openTerminal(commandLine, ["emulator", "--open"], {
      env: { BROWSER: "/no/browser" },
      columns: 200,
    });
    try {
      await session.shows(/warning: no browser could be started\. Open http:\/\/127\.0\.0\.1:\d+\/#[\da-f-]{36}/);
      expect(session.screen()).toMatch(/Console +http:\/\/127\.0\.0\.1:\d+\/#[\da-f-]{36}/);
      session.type("\x03");
      expect(await session.exitCode).toBe(130);
    } finally {
      session.kill();
    }
  });

  test("has no console with --no-console, which --open needs", async () => {
    const child = startCommand(commandLine, ["emulator", "--json", "--no-console"]);
    const started = JSON.parse(await firstLine(child.stdout));
    expect(started).not.toHaveProperty("console");
    child.kill("SIGINT");
    await ended(child);
    const refused = await runCommand(commandLine, ["emulator", "--open", "--no-console"]);
    expect(refused.stderr).toBe("error: --open: needs the console. Remove --no-console.\n");
    expect(refused.exitCode).toBe(2);
  });
});
