// Runs the suite in one runtime after the other and prints the results.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const REPORTS = fileURLToPath(new URL("../.report/runtimes/", import.meta.url));
/** Milliseconds for the whole run in a runtime. */
const MAX_MS = 300_000;
/** Milliseconds from the report to the end of the program. */
const MAX_END_MS = 15_000;

/**
 * Runs the suite in each of these runtimes, or in those that the command line names. Prints the table and the
 * failures, and sets the exit code. With EAS_SUITE_ONLY=text, only tests run whose feature or name contains the
 * text. A runtime is a function that starts it with the suite's context as JSON. It returns `ended`, which rejects
 * after a failure, `endsByItself`, `stop`, and `checks` for additional checks.
 */
export async function runAll(runtimes) {
  const chosen = process.argv.slice(2);
  const unknown = chosen.filter((name) => !Object.hasOwn(runtimes, name));
  if (unknown.length > 0) {
    throw new Error(`unknown runtime ${unknown.join(", ")}. The runtimes are ${Object.keys(runtimes).join(", ")}`);
  }
  mkdirSync(REPORTS, { recursive: true });
  const rows = [];
  for (const [name, start] of Object.entries(runtimes)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const startedAt = performance.now();
    const report = await runOne(name, start);
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    writeFileSync(`${REPORTS}${name}.json`, `${JSON.stringify(report, null, 1)}\n`);
    rows.push(rowOf(report, seconds));
    console.log(lineOf(rows.at(-1)));
    for (const { feature, name, reason } of report.cases.filter(({ status }) => status === "failed")) {
      console.log(`  FAILED ${feature}: ${name}\n    ${reason.replaceAll("\n", "\n    ")}`);
    }
  }
  console.log(
    `\n${[["runtime", "passed", "failed", "skipped", "seconds", "why skipped"], ...rows].map(lineOf).join("\n")}\n`,
  );
  const sum = (column) => rows.reduce((total, row) => total + row[column], 0);
  console.log(`${sum(1)} passed, ${sum(2)} failed, ${sum(3)} skipped`);
  // Not `process.exitCode`: Node 20 can wait forever at its exit for a request that libuv never completes.
  process.exit(sum(2) === 0 && sum(1) > 0 ? 0 : 1);
}

async function runOne(name, start) {
  // Imported late, because it is generated from the build.
  const { startCounterpart } = await import("./counterpart.mjs");
  const counterpart = await startCounterpart();
  const context = { ...counterpart.context, runtime: name, only: process.env.EAS_SUITE_ONLY ?? "" };
  let running;
  let report;
  try {
    running = await start(JSON.stringify(context));
    // A program that ends without a report has failed.
    const early = running.ended.then(() => within(1000, counterpart.report, "the report of a program that has ended"));
    report = await within(MAX_MS, Promise.race([counterpart.report, early]), "the suite");
    // Something was left open that keeps the program alive.
    if (running.endsByItself) await within(MAX_END_MS, running.ended, "the program, after its report,");
    return { ...report, cases: [...report.cases, ...((await running.checks?.()) ?? [])] };
  } catch (error) {
    const failed = { feature: "failures", name: "the run itself", status: "failed" };
    const reason = `${error.message} (the last test was "${counterpart.lastStarted()}")`;
    return { runtime: name, userAgent: "", ...report, cases: [...(report?.cases ?? []), { ...failed, reason }] };
  } finally {
    await running?.stop();
    await counterpart.close();
  }
}

async function within(milliseconds, promise, what) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function rowOf({ runtime, cases }, seconds) {
  const count = (status) => cases.filter((entry) => entry.status === status).length;
  const reasons = new Set(
    cases.filter(({ status }) => status === "skipped").map(({ feature, reason }) => `${feature}: ${reason}`),
  );
  return [runtime, count("passed"), count("failed"), count("skipped"), seconds, [...reasons].join("; ")];
}

function lineOf([runtime, passed, failed, skipped, seconds, reasons]) {
  const numbers = [passed, failed, skipped, seconds].map((value) => String(value).padStart(8)).join("");
  return `${runtime.padEnd(10)}${numbers}   ${reasons}`;
}
