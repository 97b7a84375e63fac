import { spawn } from "node:child_process";

/** Far beyond what one command takes; so that one which hangs ends. */
const COMMAND_MS = 120_000;

/** What a program printed; rejects with it when the program fails. */
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
