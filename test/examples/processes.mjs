// Programs that the examples are run by.
import { spawn } from "node:child_process";

/** Far beyond what any takes; so that one which hangs fails. */
const LONGEST_MS = 240_000;

/** Runs a program to its end and returns what it printed. Rejects, with all that it said, when it fails. */
export async function run(command, args, options) {
  const program = spawnProgram(command, args, options);
  const timer = setTimeout(() => program.child.kill("SIGKILL"), LONGEST_MS);
  const status = await program.ended;
  clearTimeout(timer);
  if (status !== 0) throw new Error(`\`${command} ${args.join(" ")}\` ended with ${status}\n${program.said()}`);
  return program.printed();
}

/**
 * Starts a server, and waits for it to print what `ready` matches. `stop` ends it and gives its exit code; a signal is
 * given by its name.
 */
export async function startServer(command, args, ready, options) {
  const program = spawnProgram(command, args, options);
  const { child, ended } = program;
  const match = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), LONGEST_MS);
    const look = () => {
      const found = ready.exec(program.printed());
      if (found) resolve(found);
    };
    child.stdout.on("data", look);
    void ended.then((status) =>
      reject(new Error(`${command} ended with ${status}, before it was ready\n${program.said()}`)),
    );
    void ended.finally(() => clearTimeout(timer));
    // It may serve for as long as the test likes.
    child.stdout.on("data", () => clearTimeout(timer));
  });
  return {
    match,
    said: program.said,
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
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal));
  });
  ended.catch(() => {});
  return { child, ended, printed: () => printed, said: () => [printed, errors].join("\n").trim().slice(-4000) };
}
