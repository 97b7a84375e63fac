import { spawn } from "node:child_process";

/** Milliseconds after which a command counts as hung and is stopped. */
const COMMAND_MS = 120_000;

/** Runs a program. Resolves with its output, and rejects with it if the program fails. */
export function run(command, args, { cwd, env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, timeout: COMMAND_MS });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) {
      child[name].setEncoding("utf8").on("data", (text) => {
        output[name] += text;
      });
    }
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) return resolve(output);
      const said = `${output.stdout}${output.stderr}`.trim();
      reject(Object.assign(new Error(`${[command, ...args].join(" ")}: ${signal ?? `exit ${code}`}\n${said}`), output));
    });
  });
}
