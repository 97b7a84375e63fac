import type { AcceptedSocket } from "../../server/socket.js";
import type { Watches, WatchPlan } from "./watch.js";

/** Number of buffered bytes at which deliveries pause until the caller reads. */
const MAX_BUFFERED = 1024 * 1024;

/** Returns a function that starts a watch over a WebSocket. Messages from the client are ignored. */
export function watchOverSocket(watches: Watches, plan: WatchPlan): AcceptedSocket["attach"] {
  return (socket) => {
    const session = watches.start(plan, {
      transport: "websocket",
      isFull: () => socket.bufferedBytes > MAX_BUFFERED,
      send: (frame) => socket.send(frame),
      end: (code, reason) => socket.close(code, reason),
      cut: () => socket.terminate(),
    });
    return { onMessage: () => {}, onDrain: () => session.onDrain(), onClose: () => session.onClose() };
  };
}
