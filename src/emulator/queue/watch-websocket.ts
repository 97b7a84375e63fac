import type { Bytes } from "../../request.js";
import type { Watches, WatchPlan } from "./watch.js";

/** The little that a watch needs of a WebSocket. */
export interface EmulatorSocket {
  /** Sends one binary message, in one frame. */
  send(message: Bytes): void;
  /** Bytes that were sent and that nobody has taken yet. */
  readonly bufferedBytes: number;
  /** Begins the closing handshake. */
  close(code: number, reason: string): void;
  /** Ends the connection without one. */
  terminate(): void;
}

/** What a server tells a watch of its socket. */
export interface AttachedWatch {
  /** Some of `bufferedBytes` were taken. */
  drained(): void;
  /** The connection has ended, by whomever. */
  closed(): void;
}

/** A watch whose upgrade is granted: the server makes a socket and attaches it. */
export interface AcceptedWatch {
  /** Begins the watch. Clients send nothing that matters but pings, which the server answers. */
  attach(socket: EmulatorSocket): AttachedWatch;
}

/** Bytes that wait in a socket before no more are given to it. */
const MOST_BUFFERED = 1024 * 1024;

/** A watch that waits for its socket. */
export function acceptWatch(watches: Watches, plan: WatchPlan): AcceptedWatch {
  return {
    attach: (socket) =>
      watches.start(plan, {
        transport: "websocket",
        isFull: () => socket.bufferedBytes > MOST_BUFFERED,
        send: (frame) => socket.send(frame),
        end: (code, reason) => socket.close(code, reason),
        cut: () => socket.terminate(),
      }),
  };
}
