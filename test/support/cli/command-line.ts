import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pty from "@lydell/node-pty";
import { Terminal } from "@xterm/headless";
import { build } from "esbuild";
import { consolePage } from "../../../scripts/console-page.mjs";

const root = new URL("../../../", import.meta.url).pathname;

/** The command line, bundled from the sources of this clone, so that tests need no build. */
export interface CommandLine {
  /** The executable script, for `process.execPath`. */
  readonly file: string;
  /** Deletes the bundle. */
  remove(): Promise<void>;
}

/** Bundles the command line. Takes less than a second. */
export async function buildCommandLine(): Promise<CommandLine> {
  const folder = await mkdtemp(join(tmpdir(), "eas-command-line-"));
  const file = join(folder, "cli.mjs");
  await build({
    absWorkingDir: root,
    entryPoints: ["src/cli/main.ts"],
    outfile: file,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    tsconfig: "tsconfig.json",
    define: { PACKAGE_VERSION: JSON.stringify("0.0.0-test") },
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    plugins: [consolePage],
    logLevel: "error",
  });
  return { file, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Options for running a command. */
export interface RunOptions {
  /** Environment variables besides PATH. `EAS_*` variables of the test's own process are not inherited. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard input. Default: empty. */
  readonly input?: string | Uint8Array;
}

/** What a command wrote, and how it ended. */
export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  /** Undefined if a signal ended the process. */
  readonly exitCode: number | undefined;
}

/** Starts a command with pipes for all three streams. */
export function startCommand(
  { file }: CommandLine,
  args: readonly string[],
  { env = {}, cwd = tmpdir() }: RunOptions = {},
): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [file, ...args], { cwd, env: { PATH: process.env.PATH, ...env } });
}

/** Runs a command to its end, with pipes for all three streams. */
export async function runCommand(
  commandLine: CommandLine,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const child = startCommand(commandLine, args, options);
  child.stdin.on("error", () => {}); // A command that does not read its input closes it.
  child.stdin.end(options.input ?? "");
  const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr), ended(child)]);
  return { stdout, stderr, exitCode: child.exitCode ?? undefined };
}

/** Runs a command to its end, and returns the result that it printed as JSON. Throws if the command failed. */
export async function runJson<T = any>(
  commandLine: CommandLine,
  args: readonly string[],
  options: RunOptions = {},
): Promise<T> {
  const { stdout, stderr, exitCode } = await runCommand(commandLine, [...args, "--json"], options);
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${stderr}`);
  return JSON.parse(stdout);
}

/** A command that runs in a pseudo-terminal, and the screen that a person would see. */
export interface TerminalSession {
  /** Types text. Write `\r` for Enter and `\x03` for Ctrl-C. */
  type(text: string): void;
  /** The rows of the screen and of its history, without trailing blanks. */
  screen(): string;
  /** Resolves when the screen matches. Rejects if the command ends first. */
  shows(pattern: RegExp): Promise<void>;
  /** Resolves with the exit code when the command ends. */
  readonly exitCode: Promise<number>;
  /** Everything that the command wrote, with its escape sequences. */
  raw(): string;
  kill(): void;
}

/** Runs a command in a pseudo-terminal of the given size. */
export function openTerminal(
  { file }: CommandLine,
  args: readonly string[],
  { env = {}, cwd = tmpdir(), columns = 100, rows = 30 }: RunOptions & { columns?: number; rows?: number } = {},
): TerminalSession {
  const screen = new Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 10_000 });
  let raw = "";
  let changed = () => {};
  const child = pty.spawn(process.execPath, [file, ...args], {
    cols: columns,
    rows,
    cwd,
    env: { PATH: process.env.PATH, TERM: "xterm-256color", ...env },
  });
  child.onData((data) => {
    raw += data;
    screen.write(data, () => changed());
  });
  let running = true;
  const exitCode = new Promise<number>((resolve) => {
    child.onExit(({ exitCode }) => {
      running = false;
      // The screen handles its input later: an empty write ends after it.
      screen.write("", () => {
        changed();
        resolve(exitCode);
      });
    });
  });
  const text = () => {
    const { active } = screen.buffer;
    const lines = Array.from({ length: active.length }, (_, y) => active.getLine(y)?.translateToString(true) ?? "");
    return lines.join("\n").trimEnd();
  };
  return {
    type: (input) => child.write(input),
    screen: text,
    raw: () => raw,
    exitCode,
    kill: () => {
      if (running) child.kill("SIGKILL");
    },
    async shows(pattern) {
      for (;;) {
        if (pattern.test(text())) return;
        if (!running) throw new Error(`the command ended before its screen matched ${pattern}:\n${text()}`);
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
      }
    },
  };
}

/** Resolves with the first line that the stream sends. */
export function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) resolve(text.slice(0, end));
    });
    stream.once("end", () => reject(new Error(`the stream ended without a line: ${text}`)));
  });
}

/** Resolves when the process has ended and its streams are closed. Resolves too if that has already happened. */
export function ended(child: ChildProcessWithoutNullStreams): Promise<void> {
  return new Promise((resolve, reject) => {
    const hasExited = child.exitCode !== null || child.signalCode !== null;
    // The event "close" follows the exit when all streams are closed. It does not occur again.
    if (hasExited && child.stdio.every((stream) => stream?.closed !== false)) return resolve();
    child.once("close", () => resolve());
    child.once("error", reject);
  });
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream) text += chunk;
  return text;
}
