// Runs a Python program that prints one JSON line for each check: {"name", "error"} with null for one that passed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Milliseconds after which a program counts as hung. */
const PROGRAM_MS = 300_000;

/** Returns the printed results. A line that is not JSON, such as a warning of the SDK, is ignored. */
export async function runPython(python, program, settings) {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const args = ["-I", "-B", "-X", "utf8", path, JSON.stringify(settings)];
  const child = spawn(python, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_PROXY: "*" } });
  const overdue = setTimeout(() => child.kill("SIGKILL"), PROGRAM_MS);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    errors = (errors + text).slice(-20_000);
  });
  const lines = [];
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    try {
      const value = JSON.parse(line);
      if (typeof value === "object" && value !== null) lines.push(value);
    } catch {
      // Not a result.
    }
  }
  const [code, signal] = await exited;
  clearTimeout(overdue);
  if (code !== 0) lines.push({ name: `${program} ends by itself`, error: `exit ${code ?? signal}\n${errors}` });
  return lines;
}

/**
 * Converts the printed results to checks of check.mjs. A check of `faults` passes if it fails with that fault of the
 * SDK, or if it no longer fails, which is printed.
 */
export function checksOf(lines, faults = []) {
  const results = lines.filter(({ name }) => name !== undefined);
  const missing = faults.find(({ check }) => !results.some(({ name }) => name === check));
  if (results.length === 0 || missing !== undefined) {
    return [["results", () => fail(`the program printed no result${missing ? ` of ${missing.check}` : ""}`)]];
  }
  return results.map(({ name, error }) => {
    const fault = faults.find(({ check }) => check === name);
    if (error === null) {
      if (fault !== undefined) console.log(`  GONE, so python-faults.mjs may follow: ${fault.name}`);
      return [name, () => {}];
    }
    return [name, () => (fault?.python.test(error) ? undefined : fail(error))];
  });
}

function fail(message) {
  throw new Error(message);
}
