import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import {
  buildCommandLine,
  type CommandLine,
  ended,
  openTerminal,
  runCommand,
  startCommand,
} from "../../support/cli/command-line.js";

let commandLine: CommandLine;
let emulator: RunningEmulator;
let folder: string;
beforeAll(async () => {
  commandLine = await buildCommandLine();
  folder = dirname(commandLine.file);
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  emulator = await startEmulator({
    queues: {
      draw: { service: ({ body }) => body },
      fails: { service: () => new Response("no memory", { status: 500 }) },
      idle: {},
    },
  });
});
afterEach(() => emulator.close());

const target = () => ["-e", emulator.endpoint, "--token", emulator.token];
const job = (args: readonly string[], input = "") =>
  runCommand(commandLine, ["job", ...args, ...target()], { cwd: folder, input });

describe("eas-prediction job", () => {
  test("submits a job, and gets its result with the printed handle", async () => {
    const { stdout: handle } = await job(["submit", '{"prompt":"a cat"}', "-s", "draw", "-t", "user=42"]);
    expect(JSON.parse(handle)).toMatchObject({ service: "draw", index: expect.stringMatching(/^\d+$/) });
    expect((await job(["result", "-"], handle)).stdout).toBe('{"prompt":"a cat"}\n');
    const again = await job(["result", handle, "--wait", "1ms"]);
    expect(again.stderr).toContain("has no result after 1 ms");
    expect(again.exitCode).toBe(1);
  });

  test("writes the handle and the result to files", async () => {
    expect((await job(["submit", "-", "-s", "draw", "--handle", "job.json"], "data")).stdout).toBe("");
    expect((await job(["result", "@job.json", "-o", "result.txt"])).stdout).toBe("");
    expect(await readFile(join(folder, "result.txt"), "utf8")).toBe("data");
  });

  test("prints the result with its tags with --json", async () => {
    const { stdout: handle } = await job(["submit", "data", "-s", "draw", "-t", "user=42"]);
    expect(JSON.parse((await job(["result", handle, "--json"])).stdout)).toMatchObject({
      text: "data",
      tags: { user: "42" },
    });
  });

  test("prints the state of a job, and discards it", async () => {
    const { stdout: first } = await job(["submit", "one", "-s", "idle"]);
    const { stdout: second } = await job(["submit", "two", "-s", "idle"]);
    expect((await job(["status", first])).stdout).toBe("waiting, 0 jobs ahead\n");
    expect(JSON.parse((await job(["status", second, "--json"])).stdout)).toEqual({ state: "waiting", ahead: 1 });
    const follow = startCommand(commandLine, ["job", "status", first, "--follow", ...target()]);
    const followed = ended(follow);
    let states = "";
    follow.stdout.on("data", (chunk) => {
      states += chunk;
    });
    await new Promise((resolve) => follow.stdout.once("data", resolve));
    expect((await job(["discard", first])).exitCode).toBe(0);
    await followed;
    expect(states).toBe("waiting, 0 jobs ahead\ndone\n");
    expect((await job(["status", second])).stdout).toBe("waiting, 0 jobs ahead\n");
  });

  test("shows the state while it waits in a terminal, and stops after Ctrl-C", async () => {
    const { stdout: handle } = await job(["submit", "one", "-s", "idle"]);
    const session = openTerminal(commandLine, ["job", "result", handle.trim(), ...target()], { columns: 40 });
    await session.shows(/waiting, 0 jobs ahead/);
    session.type("\x03");
    expect(await session.exitCode).toBe(130);
  });

  test("reports the error of the model", async () => {
    const { stdout: handle } = await job(["submit", "one", "-s", "fails"]);
    const { stderr, exitCode } = await job(["result", handle]);
    expect(stderr).toContain("error: the model responded with 500: no memory");
    expect(exitCode).toBe(1);
  });

  test.each([
    [["result", "{}"], "the handle is not the output of job submit"],
    [["result", "@missing.json"], "missing.json cannot be read"],
    [["result", '{"service":"a","index":"x","tag":"t"}'], 'index is "x"'],
    [["status", '{"service":"a","index":"1","tag":"t"}', "-s", "b"], 'the service "a", and this client calls "b"'],
    [["submit", "x", "-s", "draw", "--tag", "novalue"], '--tag "novalue" has no value'],
    [["submit", "x", "-s", "draw", "--handle", "no/folder/job.json"], "--handle no/folder/job.json cannot be written"],
  ])("refuses %j with exit code 2", async (args, message) => {
    const { stderr, exitCode } = await job(args);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(2);
    expect(emulator.requests).toEqual([]);
  });

  test("keeps a result that cannot be written by printing it", async () => {
    const { stdout: handle } = await job(["submit", "data", "-s", "draw"]);
    await writeFile(join(folder, "file"), "");
    const { stdout, exitCode } = await job(["result", handle, "-o", "."]);
    expect(Buffer.from(JSON.parse(stdout).data, "base64").toString()).toBe("data");
    expect(exitCode).toBe(2);
  });
});
