import type { DataFrame } from "../../frame.js";
import { AscendingIndexes } from "./ascending-indexes.js";

/** Minimum number of answered commits that are remembered. */
const MIN_REMEMBERED = 1024;
/**
 * Indexes from here on are made of the time (`milliseconds << 22`), so that no index is ever used twice. Below, they count
 * from 1, and a queue that is deleted and recreated uses the same indexes again for other items.
 */
const FIRST_TIME_INDEX = 1n << 60n;

/** What a pushed frame is to the watcher: `"other"` is an item of another queue with an index that is in use. */
export type Taken = "new" | "held" | "committed" | "other";

/**
 * The frames of a watcher, so that a frame that the service pushes again after a reconnect is not handed out a second time
 * while its first copy is held, or after its commit was answered.
 */
export class DeliveryTracker {
  #held = new AscendingIndexes<DataFrame>();
  /** The latest answered commits with the ids of their items, and those before. A map that evicts one by one is slow. */
  #committed = new Map<bigint, string | undefined>();
  #committedBefore = new Map<bigint, string | undefined>();
  /** Released on this connection. The service waits for their commits until the connection ends. */
  readonly #released = new Set<bigint>();
  /** Negatives under way. The service may push them again before it answers. */
  readonly #nacking = new Map<bigint, DataFrame>();
  readonly #window: number;

  constructor(window: number) {
    this.#window = window;
  }

  /** Takes a pushed frame. Only a `"new"` one is to be handed out. */
  take(frame: DataFrame): Taken {
    const { index } = frame;
    // An index above all earlier ones is new.
    if (index <= this.#held.greatest) {
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
        // Without an id nothing proves that this item was handled: it must not be committed unseen.
        memory.delete(index);
      }
      this.#released.delete(index);
      this.#nacking.delete(index);
    }
    this.#held.add(index, frame);
    return "new";
  }

  /** The frame that is held with this index. */
  get(index: bigint): DataFrame | undefined {
    return this.#held.get(index);
  }

  /** Records that a commit was answered. */
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

  /** Releases a frame that the service is asked to give to a consumer again. */
  nacking(index: bigint): void {
    const frame = this.#held.delete(index);
    if (frame !== undefined) this.#nacking.set(index, frame);
  }

  /**
   * Records how a negative ended. `"refused"`: the service certainly did not carry it out, so the frame is held again.
   * `"unknown"`: it is released. A frame that was pushed in the meantime stays with whom it was handed to.
   */
  nackSettled(index: bigint, outcome: "done" | "refused" | "unknown"): void {
    const frame = this.#nacking.get(index);
    this.#nacking.delete(index);
    if (outcome === "done") this.#released.delete(index);
    else if (frame !== undefined && outcome === "refused") this.#held.add(index, frame);
    else if (frame !== undefined) this.#released.add(index);
  }

  /** Releases a frame; `isAwaited`: the service waits for its commit until the connection ends. */
  released(index: bigint, isAwaited: boolean): void {
    if (this.#held.delete(index) !== undefined && isAwaited) this.#released.add(index);
  }

  /** A new connection: the service pushes everything again that was not committed. */
  reconnected(): void {
    this.#released.clear();
  }

  /** Forgets everything about a queue that is gone, and keeps the frames of `owner`'s connection. */
  forget(owner: unknown): void {
    const kept = this.#held.values().filter((frame) => frame.owner === owner);
    this.#held = new AscendingIndexes();
    for (const frame of kept) this.#held.add(frame.index, frame);
    this.#committed.clear();
    this.#committedBefore.clear();
    this.#released.clear();
    this.#nacking.clear();
  }

  /** How many more frames the window has room for. */
  get room(): number {
    return this.#window - this.#held.size;
  }

  /**
   * Whether it is time for the reconnect that brings released frames back: no other frame is held. Not before, since the
   * service would give the held ones to other consumers.
   */
  get isStuck(): boolean {
    return this.#released.size > 0 && this.#held.size === 0 && this.#nacking.size === 0;
  }
}

/** Whether an index may be used again by a queue that was recreated. */
export function isReusable(index: bigint): boolean {
  return index < FIRST_TIME_INDEX;
}

/** Whether a frame is the item with this id. Without ids, frames of one index count as the same. */
export function isSame(id: string | undefined, frame: DataFrame): boolean {
  if (!isReusable(frame.index)) return true;
  const other = idOf(frame);
  return id === undefined || other === undefined || id === other;
}

/** The id that the service gave the item; undefined when it has none, or its tags are damaged. */
export function idOf(frame: DataFrame): string | undefined {
  try {
    return frame.requestId;
  } catch {
    return undefined;
  }
}
