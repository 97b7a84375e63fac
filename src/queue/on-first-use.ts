/**
 * What a queue client loads for its first watch: its connections and their reconnects. One file, so that bundlers make one piece of
 * it. It imports nothing of the queue's own modules, see `WatchTools`.
 */
export { keepConnected } from "./watch/keep-connected.js";
export { WatchConnections } from "./watch/watch-connections.js";
