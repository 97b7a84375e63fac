import type { DataFrame } from "../../frame.js";
import { AscendingIndexes } from "./ascending-indexes.js";

/** Minimum number of successful commits to remember. */
const MIN_REMEMBERED = 1024;
/**
 * Indexes of at least this value contain the time (`milliseconds << 22`) and are never reused. Smaller indexes count
 * from 1, and a recreated queue reuses them for other items.
 */
const FIRST_TIME_INDEX = 1n << 60n;

/**
 * The state of a delivered frame. `"other"` is an item from a recreated queue whose index belongs to a different item
 * that this watcher holds or has committed.
 */
export type Taken = "new" | "held" | "committed" | "other";

/**
 * Tracks a watcher's frames. After a reconnect, the service may deliver a frame again. The second copy is not passed to
 * the caller while the caller holds the first one or after the first one has been committed.
 */
export class DeliveryTracker {
  #held = new AscendingIndexes<DataFrame>();
  /**
   * Request ids of committed items, by index. Kept in two generations, because evicting entries individually would be
   * slow.
   */
  #committed = new Map<bigint, string | undefined>();
  #committedBefore = new Map<bigint, string | undefined>();
  /** Items released on this connection. The service waits for their commits until the connection ends. */
  readonly #released = new Set<bigint>();
  /** Items with a negative acknowledgment in flight. The service may deliver them again before it responds. */
  readonly #nacking = new Map<bigint, DataFrame>();
  readonly #window: number;

  constructor(window: number) {
    this.#window = window;
  }

  /** Records a delivered frame and returns its state. Only a `"new"` frame is passed to the caller. */
  take(frame: DataFrame): Taken {
    const { index } = frame;
    // Fast path: an index greater than all earlier indexes is new.
    if (index <= this.#held.max) {
      const held = this.#held.get(index);
      if (held !== undefined) {
        if (!isSame(idOf(held), frame)) return "other";
        held.owner = frame.owner;
        return "held";
      }
      const memory = this.#committed.has(index) ? this.#committed : this.#committedBefore;
      if (memory.has(index)) {
        if (index >= FIRST_TIME_INDEX) return "committed";
        const id = memory.get(index);
        if (id !== undefined && isSame(id, frame)) return "committed";
        if (id !== undefined) return "other";
        // A frame without a request id may be another item, which must not be committed before the caller has received
        // it.
        memory.delete(index);
      }
      this.#released.delete(index);
      this.#nacking.delete(index);
    }
    this.#held.add(index, frame);
    return "new";
  }

  /** Returns the held frame with this index, or undefined. */
  get(index: bigint): DataFrame | undefined {
    return this.#held.get(index);
  }

  /** Records that a commit succeeded. */
  committed(index: bigint): void {
    const frame = this.#held.delete(index);
    if (frame === undefined) {
      this.#released.delete(index);
      if (this.#committed.has(index) || this.#committedBefore.has(index)) return;
    }
    this.#committed.set(index, frame === undefined || index >= FIRST_TIME_INDEX ? undefined : idOf(frame));
    if (this.#committed.size < Math.max(MIN_REMEMBERED, 4 * this.#window)) return;
    this.#committedBefore = this.#committed;
    this.#committed = new Map();
  }

  /** Records that a negative acknowledgment for a frame is in flight. */
  nacking(index: bigint): void {
    const frame = this.#held.delete(index);
    if (frame !== undefined) this.#nacking.set(index, frame);
  }

  /**
   * Records the outcome of a negative acknowledgment. `"refused"`: the service did not execute the request, so the
   * frame is held again. `"unknown"`: the frame is released. A frame that was delivered again in the meantime remains
   * held.
   */
  nackSettled(index: bigint, outcome: "done" | "refused" | "unknown"): void {
    const frame = this.#nacking.get(index);
    this.#nacking.delete(index);
    if (outcome === "done") this.#released.delete(index);
    else if (frame !== undefined && outcome === "refused") this.#held.add(index, frame);
    else if (frame !== undefined) this.#released.add(index);
  }

  /** Releases a frame. `isAwaited` is whether the service waits for the frame's commit until the connection ends. */
  released(index: bigint, isAwaited: boolean): void {
    if (this.#held.delete(index) !== undefined && isAwaited) this.#released.add(index);
  }

  /** Handles a new connection, on which the service redelivers all uncommitted items. */
  reconnected(): void {
    this.#released.clear();
  }

  /** Discards all state about a deleted queue. Keeps the frames that belong to `owner`. */
  forget(owner: unknown): void {
    const kept = this.#held.values().filter((frame) => frame.owner === owner);
    this.#held = new AscendingIndexes();
    for (const frame of kept) this.#held.add(frame.index, frame);
    this.#committed.clear();
    this.#committedBefore.clear();
    this.#released.clear();
    this.#nacking.clear();
  }

  /** Number of frames for which the window has room. */
  get room(): number {
    return this.#window - this.#held.size;
  }

  /**
   * Whether only released frames remain, so that a reconnect is needed to receive them again. While the caller still
   * holds frames, a reconnect would deliver those frames to other consumers.
   */
  get isStuck(): boolean {
    return this.#released.size > 0 && this.#held.size === 0 && this.#nacking.size === 0;
  }
}

/** Whether a recreated queue may use the index for another item. */
export function isReusable(index: bigint): boolean {
  return index < FIRST_TIME_INDEX;
}

/** Whether a frame can be the item with this request id. If neither has a request id, they count as the same item. */
export function isSame(id: string | undefined, frame: DataFrame): boolean {
  if (!isReusable(frame.index)) return true;
  const other = idOf(frame);
  return id === undefined || other === undefined || id === other;
}

/** Returns the request id of a frame, or undefined if the id is missing or the tags are damaged. */
export function idOf(frame: DataFrame): string | undefined {
  try {
    return frame.requestId;
  } catch {
    return undefined;
  }
}
