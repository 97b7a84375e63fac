import type { Bytes } from "../../../formats/request.js";
import type { Consumer, ConsumerRequest, Delivery } from "../consumers.js";
import { encodeFrame } from "../frames.js";
import type { QueueSide, Receiver } from "../queue-side.js";

/** A watch's connection, for `cutConnections` to choose by. */
export interface EmulatorConnection {
  readonly queue: string;
  readonly side: "input" | "sink";
  /** Whether it is on what is behind that side: the store of dead items. */
  readonly isRear: boolean;
  readonly uid: string;
  readonly gid: string;
  /** The number that pushes to it have in the queue's history. */
  readonly connection: number;
  readonly transport: "websocket" | "http";
}

/** What carries the frames of a watch. */
export interface WatchWire {
  readonly transport: "websocket" | "http";
  /** Whether the caller should take what was sent before more comes. */
  isFull(): boolean;
  send(frame: Bytes): void;
  /** Ends in order, after what was sent. */
  end(code: number, reason: string): void;
  /** Breaks the connection. */
  cut(): void;
}

/** A watch that is understood and has no connection yet. */
export interface WatchPlan {
  readonly side: QueueSide;
  readonly request: ConsumerRequest;
  readonly place: Pick<EmulatorConnection, "queue" | "side" | "isRear">;
}

/** All watches of an emulator. */
export class Watches {
  readonly #sessions = new Set<WatchSession>();

  /** Begins a watch over a connection. */
  start(plan: WatchPlan, wire: WatchWire): WatchSession {
    const session = new WatchSession(plan, wire, () => this.#sessions.delete(session));
    this.#sessions.add(session);
    session.start();
    return session;
  }

  /** Breaks connections; returns how many. */
  cut(filter: (connection: EmulatorConnection) => boolean = () => true): number {
    const chosen = [...this.#sessions].filter((session) => filter(session.connection));
    for (const session of chosen) session.cut();
    return chosen.length;
  }
}

/** What a watch does, whatever carries it. */
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
    const { place, request } = this.#plan;
    const { uid, gid } = request;
    return { ...place, uid, gid, connection: this.#consumer?.connection ?? 0, transport: this.#wire.transport };
  }

  start(): void {
    const consumer = this.#plan.side.join(this.#plan.request, this);
    this.#consumer = consumer;
    // The first push may have ended it already.
    if (this.#isOver) this.#plan.side.leave(consumer);
  }

  /** To be called when the wire is no longer full. */
  drained(): void {
    if (!this.#isOver && this.#consumer?.isFull) this.#plan.side.pump();
  }

  /** To be called when the connection has ended, by whomever: what it had is pushed to others. */
  closed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
    if (this.#consumer) this.#plan.side.leave(this.#consumer);
  }

  cut(): void {
    this.#wire.cut();
    this.closed();
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
