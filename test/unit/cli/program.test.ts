import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildCommandLine, type CommandLine, openTerminal, runCommand } from "../../support/cli/command-line.js";

let commandLine: CommandLine;
beforeAll(async () => {
  commandLine = await buildCommandLine();
});
afterAll(() => commandLine.remove());

describe("the command line", () => {
  test("prints help on standard output and exits with 0", async () => {
    const { stdout, stderr, exitCode } = await runCommand(commandLine, ["--help"]);
    expect(stdout).toContain("Usage: eas-prediction [options] [command]");
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  });

  test("prints the version", async () => {
    expect((await runCommand(commandLine, ["--version"])).stdout).toBe("0.0.0-test\n");
  });

  test.each([
    [["emulater"], /unknown command 'emulater'\n\(Did you mean emulator\?\)/],
    [["emulator", "--prot", "1"], /unknown option '--prot'\n\(Did you mean --port\?\)/],
    [["emulator", "--port", "x"], /argument 'x' is invalid\. It must be an integer from 0 to 65535\./],
  ])("refuses %j with exit code 2 and says what to write", async (args, message) => {
    const { stdout, stderr, exitCode } = await runCommand(commandLine, args);
    expect(stderr).toMatch(message);
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 2 });
  });

  test("prints help and exits with 2 without a command", async () => {
    const { stderr, exitCode } = await runCommand(commandLine, []);
    expect(stderr).toContain("Usage:");
    expect(exitCode).toBe(2);
  });

  test.each(["bash", "zsh", "fish"])("prints a completion script for %s", async (shell) => {
    const { stdout, exitCode } = await runCommand(commandLine, ["completion", shell]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(shell === "fish" ? "complete -c eas-prediction" : "eas-prediction");
  });

  test("completes commands and options", async () => {
    expect((await runCommand(commandLine, ["complete", "--", "emu"])).stdout).toMatch(/^emulator\t/m);
    expect((await runCommand(commandLine, ["complete", "--", "emulator", "--po"])).stdout).toMatch(/^--port\t/m);
  });

  test.each([
    [{}, true],
    [{ NO_COLOR: "1" }, false],
    [{ TERM: "dumb" }, false],
  ])("uses colors in a terminal with the environment %j: %s", async (env: Record<string, string>, colors) => {
    const session = openTerminal(commandLine, ["emulator"], { env });
    await session.shows(/Press Ctrl-C/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a color.
    expect(/\x1b\[1m/.test(session.raw())).toBe(colors);
    session.kill();
    await session.exitCode;
  });

  test("uses no colors in a pipe, unless FORCE_COLOR is set", async () => {
    const plain = await runCommand(commandLine, ["help", "emulator"]);
    expect(plain.stdout).not.toContain("\x1b");
  });
});
