import "./predict.suite.js";
import "./json.suite.js";
import "./auth.suite.js";
import "./addresses.suite.js";
import "./failures.suite.js";
import "./printing.suite.js";
import "./bodies.suite.js";
import "./streams.suite.js";
import "./truncation.suite.js";
import "./sockets.suite.js";
import "./queue.suite.js";
import "./watch.suite.js";
import "./repeats.suite.js";
import "./workers.suite.js";
import "./jobs.suite.js";
import "./relay.suite.js";
import "./limits.suite.js";
import "./page.suite.js";
import "./image.suite.js";
import "./upload.suite.js";
import { Counterpart } from "./counterpart.js";
import { runSuite, type SuiteContext, type SuiteReport } from "./harness.js";

/** Runs the suite and reports its result to the runner. Called by the program of each runtime. */
export async function run(context: SuiteContext): Promise<SuiteReport> {
  const counterpart = new Counterpart(context);
  const report = await runSuite(context, (title) => counterpart.started(title));
  await counterpart.finished(report);
  return report;
}

// For runtimes without modules.
Object.assign(globalThis, { runEasPredictionSuite: run });
