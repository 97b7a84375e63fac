// The program of .ci/run: the test command of README, then the slower suites. The last line counts what they report.
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";

const REPORT = "test/.report/vitest.json";
/**
 * Each is one check, which passes if it exits with 0. The table of runtimes needs the reports of the two suites
 * before it.
 */
const CHECKS = [
  "lint",
  "lint:language",
  "typecheck",
  "proto:check",
  "size",
  "bench:check",
  "demo",
  "test:interop",
  "test:fuzz",
  "test:faults",
  "test:fleet",
  "test:busy -- --time --runs 1",
  "test:package",
  "test:environments",
  "test:libraries",
  "test:runtimes",
  "test:browsers",
  "test:console",
  "runtimes:check",
  "test:examples",
];

let passed = 0;
let failed = 0;
/** Failures for the summary, because some CI systems keep only the end of the output. */
const failures = [];

function npm(...args) {
  console.log(`\n> npm ${args.join(" ")}`);
  const startedAt = performance.now();
  const { status } = spawnSync("npm", args, { stdio: "inherit" });
  console.log(`> npm ${args.join(" ")}: exit ${status} after ${Math.round((performance.now() - startedAt) / 1000)} s`);
  return status === 0;
}

rmSync(REPORT, { force: true });
const tested = npm("cit");
try {
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(REPORT, "utf8"));
  passed += numPassedTests;
  failed += numFailedTests;
  for (const { name, status, message, assertionResults } of testResults) {
    if (status === "failed" && assertionResults.length === 0) failures.push(`${name}: ${message}`);
    for (const test of assertionResults) {
      if (test.status === "failed") failures.push(`${name}: ${test.fullName}\n  ${test.failureMessages.join("\n  ")}`);
    }
  }
  // A file that cannot be loaded has no tests to count.
  failed += testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  ).length;
} catch (error) {
  console.error(`no test report: ${error.message}`);
}
// Failures outside of tests, such as an unhandled rejection or a failed installation.
if (!tested && failed === 0) {
  failed++;
  failures.push("npm cit");
}

for (const check of CHECKS) {
  if (npm("run", ...check.split(" "))) passed++;
  else {
    failed++;
    failures.push(`npm run ${check}`);
  }
}

for (const failure of failures) console.log(`\nFAILED ${failure}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
