/**
 * What a queue client loads for its first watch: its connections and their reconnects, and the handlers of `consume`. One file, so
 * that bundlers make one piece of it. It imports nothing of the queue's own modules, see `WatchTools`.
 */
export { handleItems } from "./handle-items.js";
export { keepConnected } from "./watch/keep-connected.js";
export { WatchConnections } from "./watch/watch-connections.js";
