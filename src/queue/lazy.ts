/**
 * The code that queue clients load on first use: connections, reconnects and the handlers of `consume` for a watch, and
 * the results of jobs. All of it is in a single module so that bundlers create a single chunk. That module does not
 * import the queue client's modules; see `WatchTools`.
 */
export { runWorker } from "./consume/run-worker.js";
export { checkFormat, jobRefusal } from "./jobs/job-refusal.js";
export { discardResult, jobResult } from "./jobs/job-result.js";
export { jobStatus } from "./jobs/job-status.js";
export { run } from "./jobs/run-job.js";
export { WatchConnections } from "./watch/connections.js";
export { reconnectLoop } from "./watch/reconnect.js";
