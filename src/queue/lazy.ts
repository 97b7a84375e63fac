/**
 * The code that a queue client loads for its first watch: connections, reconnects and the handlers of `consume`. All of
 * it is in a single module so that bundlers create a single chunk. That module does not import the queue client's
 * modules; see `WatchTools`.
 */
export { runWorker } from "./consume/run-worker.js";
export { WatchConnections } from "./watch/connections.js";
export { reconnectLoop } from "./watch/reconnect.js";
