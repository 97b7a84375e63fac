/**
 * The code that a queue client loads for its first watch: connections, reconnects and the handlers of `consume`. It
 * is a single module, so bundlers create a single chunk. It does not import the modules of the queue client; see
 * `WatchTools`.
 */
export { runWorker } from "./consume/run-worker.js";
export { WatchConnections } from "./watch/connections.js";
export { reconnectLoop } from "./watch/reconnect.js";
