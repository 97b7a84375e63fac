import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../../src/emulator/index.js";
import {
  buildCommandLine,
  type CommandLine,
  ended,
  openTerminal,
  runCommand,
  runJson,
  startCommand,
} from "../../../support/cli/command-line.js";

let commandLine: CommandLine;
let emulator: RunningEmulator;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());
beforeEach(async () => {
  emulator = await startEmulator();
});
afterEach(() => emulator.close());

const bench = (service: string, ...args: string[]) => [
  "bench",
  ...["-e", emulator.endpoint, "--token", emulator.token, "-s", service, "--warm-up", "0s", "--duration", "1h"],
  ...args,
];

describe("eas-prediction bench", () => {
  test("sends exactly the requests that it reports", async () => {
    const report = await runJson(commandLine, bench("echo", "-d", "hello", "-c", "4", "-n", "60"));
    expect(report.requests).toMatchObject({ completed: 60, failed: 0, skipped: 0 });
    expect(report.latency.p50).toBeGreaterThan(0);
    expect(report.latency.p50).toBeLessThanOrEqual(report.latency.p99);
    // One request checks the address before the test.
    expect(emulator.requests.length).toBe(61);
    expect(new Set(emulator.requests.map(({ body }) => new TextDecoder().decode(body)))).toEqual(new Set(["hello"]));
  });

  test("sends at a rate, and counts errors by kind without retrying them", async () => {
    emulator.fault({ delay: 0 });
    emulator.fault({ status: 503, times: 7 });
    const args = ["-d", "hello", "--rate", "500", "--arrivals", "constant", "-n", "50"];
    const report = await runJson(commandLine, bench("echo", ...args));
    expect(report.requests).toMatchObject({ completed: 43, failed: 7 });
    expect(report.errors).toEqual({ "ERR_EAS_HTTP 503": 7 });
    expect(emulator.requests.length).toBe(51);
  });

  test("measures the first token and the tokens of chats", async () => {
    const args = ["--chat", "hello", "-c", "2", "-n", "4", "--max-tokens", "6"];
    const report = await runJson(commandLine, bench("llm", ...args));
    expect(report.requests.completed).toBe(4);
    expect(report.chat.tokens).toBe(24);
    expect(report.chat.firstToken.p50).toBeGreaterThan(0);
    expect(report.chat.firstToken.p50).toBeLessThanOrEqual(report.latency.max);
  });

  test("draws a histogram that fits a terminal of 40 columns", async () => {
    const session = openTerminal(commandLine, bench("echo", "-d", "x", "-n", "30"), { columns: 40, rows: 60 });
    expect(await session.exitCode).toBe(0);
    expect(session.screen()).toMatch(/Requests\s+30 completed, 0 failed/);
    expect(session.screen()).toMatch(/^≤ +[\d.]+ ms +\d+ █+$/m);
    // No row of the histogram continues on the next line.
    expect(session.screen()).not.toMatch(/^█/m);
  });

  test("writes a page without scripts, in which text from the outside cannot become an element", async () => {
    const file = join(commandLine.file, "..", "report.html");
    emulator.addService("a", () => new Response("no", { status: 418 }));
    const args = ["-d", "x", "-n", "20", "--html", file, "--path", "/<img src=x>"];
    emulator.fault({ delay: 0 });
    emulator.fault({ status: 503, times: 2 });
    expect((await runCommand(commandLine, bench("echo", ...args))).exitCode).toBe(0);
    const page = await readFile(file, "utf8");
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).toContain("ERR_EAS_HTTP 503");
    expect(page.match(/<svg /g)?.length).toBe(2);
    expect(page).not.toMatch(/<script|<img|https?:\/\/[^ "<]*\.(js|css|png)|src=/i);
    expect(page).not.toContain(emulator.token);
  });

  test("says how many instances a target needs", async () => {
    const args = ["-d", "x", "-n", "50", "--target-p99", "10s", "--target-rate", "1"];
    const report = await runJson(commandLine, bench("echo", ...args));
    expect(report.capacity).toMatchObject({ instances: 1 });
    expect(report.capacity.text).toMatch(/^1 instance for 1 requests per second with a p99 of at most 10\.0 s/);
  });

  test("prints the results so far after Ctrl-C", async () => {
    const child = startCommand(commandLine, bench("echo", "-d", "x", "--json"));
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    while (emulator.requests.length < 20) await new Promise(setImmediate);
    child.kill("SIGINT");
    await ended(child);
    expect(child.exitCode).toBe(130);
    expect(JSON.parse(stdout).requests.completed).toBeGreaterThan(0);
  });

  test.each<[string, string[], RegExp]>([
    ["a rate of 0", ["-d", "x", "--rate", "0"], /must be a number above 0 and at most 20000/],
    ["a rate and a concurrency", ["-d", "x", "--rate", "1", "-c", "1"], /cannot be used with option/],
    ["nothing to send", [], /there is nothing to send: add --data/],
    ["a duration of a day", ["-d", "x", "--duration", "24h"], /a load test may take at most 1h/],
    ["a target without a rate", ["-d", "x", "--target-p99", "1s"], /add --target-rate/],
    ["a page in a missing folder", ["-d", "x", "--html", "missing/folder/a.html"], /cannot be written: ENOENT/],
    ["a foreign host", ["-d", "x", "-e", "http://192.0.2.1"], /^error: 192\.0\.2\.1 is not on this machine: add --yes/],
  ])("refuses %s before it sends anything", async (_, args, message) => {
    const { stderr, exitCode } = await runCommand(commandLine, bench("echo", ...args));
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(2);
    expect(emulator.requests).toEqual([]);
  });

  test("fails at the first request if the service does not respond as expected", async () => {
    const unreachable = await runCommand(commandLine, bench("echo", "-d", "x", "-e", "http://127.0.0.1:1"));
    expect(unreachable.stderr).toMatch(/^error: .*ECONNREFUSED/);
    const refused = await runCommand(commandLine, bench("echo", "-d", "x", "--token", "wrong"));
    expect(refused.stderr).toMatch(/^error: .* 401/);
    expect([unreachable.exitCode, refused.exitCode]).toEqual([1, 1]);
    expect(emulator.requests.length).toBe(1);
  });

  test("reads the body from a file", async () => {
    const file = join(commandLine.file, "..", "body.bin");
    await writeFile(file, Uint8Array.of(0, 255));
    await runJson(commandLine, bench("echo", "-d", `@${file}`, "-n", "3"));
    expect(emulator.requests.map(({ body }) => [...body])).toEqual(Array(4).fill([0, 255]));
  });
});
