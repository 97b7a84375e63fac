/**
 * What a queue client loads for its first watch: its connections and their reconnects, and the handlers of `consume`. One file, so
 * that bundlers make one piece of it. It imports nothing of the queue's own modules, see `WatchTools`.
 */
export { handleItems } from "./consume/handle-items.js";
export { WatchConnections } from "./watch/connections.js";
export { reconnectLoop } from "./watch/reconnect.js";
