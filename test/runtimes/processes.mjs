// Runs programs and servers for tests.
import { spawn } from "node:child_process";

/** Milliseconds after which a program counts as hung. */
const MAX_MS = 240_000;

/** Runs a program to its end and returns its output. Rejects with all of its output if it fails. */
export async function run(command, args, options) {
  const program = spawnProgram(command, args, options);
  const timer = setTimeout(() => program.child.kill("SIGKILL"), MAX_MS);
  const status = await program.ended;
  clearTimeout(timer);
  if (status !== 0) throw new Error(`\`${command} ${args.join(" ")}\` ended with ${status}\n${program.said()}`);
  return program.printed();
}

/**
 * Starts a server, and waits until its output matches `ready`. `stop` sends it a signal and returns its exit code,
 * or the name of the signal that ended it.
 */
export async function startServer(command, args, ready, options) {
  const { child, ended, printed, said } = spawnProgram(command, args, options);
  const timer = setTimeout(() => child.kill("SIGKILL"), MAX_MS);
  const match = await new Promise((resolve, reject) => {
    child.stdout.on("data", () => {
      const found = ready.exec(printed());
      if (found) resolve(found);
    });
    void ended.then((status) => reject(new Error(`${command} exited with ${status} before it was ready\n${said()}`)));
  }).finally(() => clearTimeout(timer));
  return {
    match,
    said,
    stop: async (signal = "SIGTERM") => {
      child.kill(signal);
      return ended;
    },
  };
}

function spawnProgram(command, args, { cwd, env } = {}) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    printed += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    errors += text;
  });
  const ended = new Promise((resolve) => {
    // The program does not exist.
    child.once("error", ({ message }) => resolve(message));
    child.once("close", (code, signal) => resolve(code ?? signal));
  });
  return { child, ended, printed: () => printed, said: () => [printed, errors].join("\n").trim().slice(-4000) };
}
