import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import {
  buildCommandLine,
  type CommandLine,
  ended,
  firstLine,
  runCommand,
  runJson,
  startCommand,
} from "../../support/cli/command-line.js";

let commandLine: CommandLine;
let emulator: RunningEmulator;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  emulator = await startEmulator({ queues: { jobs: {} } });
});
afterEach(() => emulator.close());

/** Runs `queue <args>` for the queue of the emulator. */
const queue = (args: readonly string[], input?: string) =>
  runCommand(commandLine, ["queue", ...args, ...target()], { ...(input !== undefined && { input }) });
const target = () => ["--queue", "jobs", "--endpoint", emulator.endpoint, "--token", emulator.token];

describe("eas-prediction queue", () => {
  test("puts text, a file and standard input, and gets them in order", async () => {
    const file = join(commandLine.file, "..", "job.json");
    await writeFile(file, '{"n":2}');
    expect((await queue(["put", "one", "--tag", "user=42"])).stdout).toMatch(/^\d+\n$/);
    expect((await queue(["put", `@${file}`])).exitCode).toBe(0);
    expect((await queue(["put", "-"], "three")).exitCode).toBe(0);
    expect((await queue(["get", "-n", "3"])).stdout).toBe('one\n{"n":2}\nthree\n');
    expect((await queue(["get", "--wait", "1ms"])).stdout).toBe("");
  });

  test("prints one JSON object for each item with --json", async () => {
    const { index } = await runJson(commandLine, ["queue", "put", "one", "-t", "user=42", ...target()]);
    expect(index).toMatch(/^\d+$/);
    const item = await runJson(commandLine, ["queue", "get", "--keep", ...target()]);
    expect(item).toMatchObject({ index, text: "one", tags: { user: "42" } });
    expect((await queue(["get"])).stdout).toBe("one\n");
  });

  test("watches and commits until the number of items is reached", async () => {
    for (const text of ["a", "b", "c"]) await queue(["put", text]);
    expect((await queue(["watch", "-n", "2"])).stdout).toBe("a\nb\n");
    const attributes = await runJson(commandLine, ["queue", "stats", ...target()]);
    expect(attributes["stream.length"]).toBe("1");
  });

  test("ends a watch with 130 after an interrupt", async () => {
    const child = startCommand(commandLine, ["queue", "watch", ...target()]);
    await queue(["put", "first"]);
    expect(await firstLine(child.stdout)).toBe("first");
    child.kill("SIGINT");
    await ended(child);
    expect(child.exitCode).toBe(130);
  });

  test("truncates, and ends only with --yes", async () => {
    await queue(["put", "a"]);
    const index = (await queue(["put", "b"])).stdout.trim();
    expect((await queue(["truncate", index])).exitCode).toBe(0);
    expect((await queue(["get"])).stdout).toBe("b\n");
    expect((await queue(["end"])).exitCode).toBe(2);
    expect((await queue(["end", "--yes"])).exitCode).toBe(0);
    const refused = await queue(["put", "late"]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/^error: /);
  });

  test.each([
    [["put", "x", "--tag", "novalue"], '--tag "novalue" has no value: write it as name=value'],
    [["put", "@missing.json"], "missing.json cannot be read"],
    [["get", "--index", "x"], 'index is "x"'],
    [["get", "--token-file", "missing"], "cannot be used with option"],
  ])("refuses %j with exit code 2", async (args, message) => {
    const { stderr, exitCode } = await queue(args);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(2);
    expect(stderr).not.toContain(emulator.token);
    expect(emulator.requests).toEqual([]);
  });

  test("reads the token from a file", async () => {
    const file = join(commandLine.file, "..", "token");
    await writeFile(file, `${emulator.token}\n`);
    const args = ["queue", "stats", "-q", "jobs", "-e", emulator.endpoint, "--token-file", file];
    expect((await runJson(commandLine, args))["stream.length"]).toBe("0");
  });
});
