import { createServer } from "node:net";
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
});
