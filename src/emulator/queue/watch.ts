import type { Bytes } from "../../formats/request.js";
import { resetConnection } from "../faults.js";
import type { AcceptedSocket } from "../server/socket.js";
import type { Consumer, ConsumerRequest, Delivery } from "./consumers.js";
import { encodeFrame, PROTOBUF, withLength } from "./frames.js";
import type { QueueSide, Receiver } from "./queue-side.js";

/** A watch connection, as passed to the filter of `cutConnections`. */
export interface EmulatorConnection {
  /** Name of the queue. */
  readonly queue: string;
  /** Side of the queue that is watched. */
  readonly side: "input" | "sink";
  /** Whether the connection watches the dead-letter queue of that side. */
  readonly isDeadLetter: boolean;
  /** User name of the consumer. */
  readonly uid: string;
  /** Group of the consumer. */
  readonly gid: string;
  /** Number of the connection, which also identifies it in the queue's history. */
  readonly connection: number;
  /** Transport of the watch. */
  readonly transport: "websocket" | "http";
}

/** The transport for a watch's frames. */
export interface WatchWire {
  readonly transport: "websocket" | "http";
  /** Whether deliveries must pause until the caller has read more. */
  isFull(): boolean;
  /** Sends a frame. */
  send(frame: Bytes): void;
  /** Closes the connection gracefully, after the frames sent so far. */
  end(code: number, reason: string): void;
  /** Breaks the connection without a close frame. */
  cut(): void;
}

/** The parameters for a watch that has not connected yet. */
export interface WatchPlan {
  readonly side: QueueSide;
  readonly request: ConsumerRequest;
  readonly location: Pick<EmulatorConnection, "queue" | "side" | "isDeadLetter">;
}

/** The watches of an emulator. */
export class Watches {
  readonly #sessions = new Set<WatchSession>();

  /** Starts a watch over a connection. */
  start(plan: WatchPlan, wire: WatchWire): WatchSession {
    const session = new WatchSession(plan, wire, () => this.#sessions.delete(session));
    this.#sessions.add(session);
    session.start();
    return session;
  }

  /** Breaks the connections that `filter` selects. Returns their number. */
  cut(filter: (connection: EmulatorConnection) => boolean = () => true): number {
    const chosen = [...this.#sessions].filter((session) => filter(session.connection));
    for (const session of chosen) session.cut();
    return chosen.length;
  }
}

/** A watch, independent of its transport. */
export class WatchSession implements Receiver {
  readonly #plan: WatchPlan;
  readonly #wire: WatchWire;
  readonly #onEnd: () => void;
  #consumer: Consumer | undefined;
  #isOver = false;

  constructor(plan: WatchPlan, wire: WatchWire, onEnd: () => void) {
    this.#plan = plan;
    this.#wire = wire;
    this.#onEnd = onEnd;
  }

  get connection(): EmulatorConnection {
    const { location, request } = this.#plan;
    const { uid, gid } = request;
    return { ...location, uid, gid, connection: this.#consumer?.connection ?? 0, transport: this.#wire.transport };
  }

  /** Joins the queue. */
  start(): void {
    const consumer = this.#plan.side.join(this.#plan.request, this);
    this.#consumer = consumer;
    // The watch may already have ended during the first delivery.
    if (this.#isOver) this.#plan.side.leave(consumer);
  }

  /** Resumes sending. Call this method when the transport can accept more data. */
  onDrain(): void {
    if (!this.#isOver && this.#consumer?.isFull) this.#plan.side.pump();
  }

  /**
   * Must be called when the connection has ended, regardless of which side ended it. Redelivers the watch's uncommitted
   * items to other consumers.
   */
  onClose(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
    if (this.#consumer) this.#plan.side.leave(this.#consumer);
  }

  /** Breaks the connection. */
  cut(): void {
    this.#wire.cut();
    this.onClose();
  }

  isFull(): boolean {
    return this.#isOver || this.#wire.isFull();
  }

  push({ item }: Delivery): void {
    this.#wire.send(encodeFrame(item, this.#plan.request.indexOnly));
  }

  end(code: number, reason: string): void {
    this.#isOver = true;
    this.#onEnd();
    this.#wire.end(code, reason);
  }
}

/** Number of buffered bytes at which deliveries pause until the caller reads. */
const MAX_HTTP_BUFFER_BYTES = 256 * 1024;

/**
 * Starts a watch whose frames form an endless response body. Each frame is preceded by its length. The watch ends when
 * the caller disconnects.
 */
export function watchOverHttp(watches: Watches, plan: WatchPlan, caller: Request): Response {
  // The closures below keep the request alive: on Node, the signal of a garbage-collected request never fires.
  const request = caller;
  let session: WatchSession | undefined;
  const body = new ReadableStream<Bytes>(
    {
      start(controller) {
        const onAbort = () => {
          controller.error(request.signal.reason);
          session?.onClose();
        };
        const stop = () => request.signal.removeEventListener("abort", onAbort);
        request.signal.addEventListener("abort", onAbort);
        session = watches.start(plan, {
          transport: "http",
          isFull: () => (controller.desiredSize ?? 0) <= 0,
          send: (frame) => controller.enqueue(withLength(frame)),
          end() {
            stop();
            controller.close();
          },
          cut() {
            stop();
            controller.error(resetConnection());
          },
        });
        if (request.signal.aborted) onAbort();
      },
      pull: () => session?.onDrain(),
      cancel: () => session?.onClose(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MAX_HTTP_BUFFER_BYTES }),
  );
  return new Response(body, { headers: { "content-type": PROTOBUF } });
}

/** Number of buffered bytes at which deliveries pause until the caller reads. */
const MAX_SOCKET_BUFFER_BYTES = 1024 * 1024;

/** Returns a function that starts a watch over a WebSocket. Messages from the client are ignored. */
export function watchOverSocket(watches: Watches, plan: WatchPlan): AcceptedSocket["attach"] {
  return (socket) => {
    const session = watches.start(plan, {
      transport: "websocket",
      isFull: () => socket.bufferedBytes > MAX_SOCKET_BUFFER_BYTES,
      send: (frame) => socket.send(frame),
      end: (code, reason) => socket.close(code, reason),
      cut: () => socket.terminate(),
    });
    return { onMessage: () => {}, onDrain: () => session.onDrain(), onClose: () => session.onClose() };
  };
}
