// Finds the test files that deal with time by their content, so that the list is never out of date.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Timers, clocks, and the options that set a duration to a number, such as `timeout: 50` or `{ heartbeat: 20 }`. */
const CLOCKS = /\b(?:setTimeout|setInterval|useFakeTimers|performance\.now|Date\.now|AbortSignal\.timeout)\b/;
const DURATIONS = /\b(?:timeout|delay|minDelay|maxDelay|heartbeat|interval|grace|wait|linger)\w*: \d/i;

/** The paths, relative to `root`, of the test files that use a clock or set a duration. */
export function timeDependentTests(root) {
  const folder = "test/unit";
  const tests = readdirSync(join(root, folder), { recursive: true }).filter((name) => name.endsWith(".test.ts"));
  const found = tests.filter((name) => {
    const text = readFileSync(join(root, folder, name), "utf8");
    return CLOCKS.test(text) || DURATIONS.test(text);
  });
  return found.map((name) => `${folder}/${name}`);
}
