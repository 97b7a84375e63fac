import type { AcceptedSocket } from "../../server/socket.js";
import type { Watches, WatchPlan } from "./watch.js";

/** Bytes that wait in a socket before no more are given to it. */
const MAX_BUFFERED = 1024 * 1024;

/** Begins a watch over the socket that it is given. Clients send nothing that matters. */
export function watchOverSocket(watches: Watches, plan: WatchPlan): AcceptedSocket["attach"] {
  return (socket) => {
    const session = watches.start(plan, {
      transport: "websocket",
      isFull: () => socket.bufferedBytes > MAX_BUFFERED,
      send: (frame) => socket.send(frame),
      end: (code, reason) => socket.close(code, reason),
      cut: () => socket.terminate(),
    });
    return { received: () => {}, drained: () => session.drained(), closed: () => session.closed() };
  };
}
