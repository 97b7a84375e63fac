// `npm run test:busy`: runs the tests several times while busy loops compete for the processor. A test that passes only on
// an idle machine fails here. The default is all tests, three runs and four busy loops.
//
// - `--loops N` sets the number of busy loops.
// - `--runs N` sets the number of runs.
// - `--time` selects the test files that deal with time.
// - Other arguments select test files whose path contains them: `npm run test:busy -- test/unit/ready`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { timeDependentTests } from "./time-dependent.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const REPORT = join(ROOT, "test/.report/busy.json");
/** Occupies one core. Exits when its parent has died, so that a killed run leaves no busy loop behind. */
const BUSY_LOOP = `
const parent = process.ppid;
while (process.ppid === parent) for (const end = Date.now() + 200; Date.now() < end; );
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    loops: { type: "string", default: "4" },
    runs: { type: "string", default: "3" },
    time: { type: "boolean", default: false },
  },
});
const loops = readCount("--loops", values.loops);
const runs = readCount("--runs", values.runs);
const files = values.time ? timeDependentTests(ROOT) : positionals;

/** Processes that this script started and that have not exited. */
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    stopAll();
    process.exit(1);
  });
}
process.on("exit", stopAll);

/** For each failed test or file: the runs in which it failed and the first message. */
const failures = new Map();
let failedRuns = 0;
for (let i = 0; i < loops; i++) start(["-e", BUSY_LOOP], { stdio: "ignore" });
const what = files.length === 0 ? "all test files" : `${files.length} test files`;
for (let run = 1; run <= runs; run++) {
  console.log(`\nbusy: run ${run} of ${runs}, ${what}, ${loops} busy loops`);
  if (!(await runTests(run))) failedRuns++;
}
stopAll();
report();

async function runTests(run) {
  rmSync(REPORT, { force: true });
  mkdirSync(dirname(REPORT), { recursive: true });
  const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
  const env = { ...process.env, EAS_TEST_REPORT: REPORT };
  const [code] = await once(start([vitest, "run", ...files], { stdio: "inherit", env }), "exit");
  readFailures(run);
  return code === 0;
}

function readFailures(run) {
  let results;
  try {
    results = JSON.parse(readFileSync(REPORT, "utf8")).testResults;
  } catch (error) {
    note(run, "no report", error.message);
    return;
  }
  for (const { name, status, message, assertionResults } of results) {
    const file = relative(ROOT, name);
    const failed = assertionResults.filter((test) => test.status === "failed");
    for (const test of failed) note(run, `${file}: ${test.fullName}`, test.failureMessages[0] ?? "");
    if (status === "failed" && failed.length === 0) note(run, file, message);
  }
}

function note(run, test, message) {
  const failure = failures.get(test) ?? { runs: [], message };
  failure.runs.push(run);
  failures.set(test, failure);
}

function report() {
  for (const [test, { runs, message }] of failures) {
    console.error(`\nfailed in run ${runs.join(", ")}: ${test}\n${message.split("\n").slice(0, 6).join("\n")}`);
  }
  console.log(`\nbusy: ${runs - failedRuns} of ${runs} runs passed beside ${loops} busy loops`);
  // A run can fail without a failed test, for example because of an unhandled rejection.
  process.exitCode = failedRuns === 0 && failures.size === 0 ? 0 : 1;
}

function start(args, options) {
  const child = spawn(process.execPath, args, { cwd: ROOT, ...options });
  running.add(child);
  child.on("exit", () => running.delete(child));
  return child;
}

function stopAll() {
  for (const child of running) child.kill("SIGKILL");
}

function readCount(option, text) {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0) return count;
  console.error(`busy: ${option} is "${text}". It must be a whole number above 0.`);
  process.exit(2);
}
