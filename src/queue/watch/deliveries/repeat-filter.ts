import type { DataFrame, FrameOwner } from "../../frame.js";
import type { WatchSettings } from "../options.js";

/** Takes the frames that are handed out. */
interface Sink {
  push(frame: DataFrame): void;
}

/**
 * Lets one copy of an item through where several were put under one request id. Another copy waits as long as the first is
 * with the caller. It is skipped when the first was committed, and delivered when the first was returned to the queue.
 */
export class RepeatFilter {
  readonly #settings: Pick<WatchSettings, "remember" | "autoCommit">;
  readonly #sink: Sink;
  readonly #owner: Pick<FrameOwner, "commit">;
  /** Indexes of the copies that the caller has, by request id, and the reverse. */
  readonly #delivered = new Map<string, bigint>();
  readonly #ids = new Map<bigint, string>();
  /** Copies that wait for the outcome of a delivered one. */
  readonly #waiting = new Map<string, DataFrame[]>();
  /** Request ids of committed items, in two generations: removing the oldest one by one makes a large set slow. */
  #committed = new Set<string>();
  #committedBefore = new Set<string>();

  /** Without `remember` it delivers everything. */
  constructor(settings: Pick<WatchSettings, "remember" | "autoCommit">, sink: Sink, owner: Pick<FrameOwner, "commit">) {
    this.#settings = settings;
    this.#sink = sink;
    this.#owner = owner;
  }

  /** Takes a frame that the caller has not got yet. */
  take(frame: DataFrame): void {
    const id = this.#settings.remember === undefined ? undefined : idOf(frame);
    if (id === undefined) return this.#sink.push(frame);
    if (this.#committed.has(id) || this.#committedBefore.has(id)) return this.#skip(frame);
    const delivered = this.#delivered.get(id);
    if (delivered === undefined || delivered === frame.index) return this.#deliver(id, frame);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) this.#waiting.set(id, [frame]);
    else if (waiting.every(({ index }) => index !== frame.index)) waiting.push(frame);
  }

  /** Notes that the commits of items were answered. */
  committed(indexes: readonly bigint[]): void {
    for (const index of indexes) this.#committedOne(index);
  }

  /** Notes that the caller has returned items to the queue: the next copy takes the place of each. */
  returned(indexes: readonly bigint[]): void {
    for (const index of indexes) this.#returnedOne(index);
  }

  #committedOne(index: bigint): void {
    const id = this.#forget(index);
    if (id === undefined) return;
    this.#committed.add(id);
    if (this.#committed.size >= (this.#settings.remember as number)) {
      this.#committedBefore = this.#committed;
      this.#committed = new Set();
    }
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    for (const frame of waiting) this.#skip(frame);
  }

  #returnedOne(index: bigint): void {
    const id = this.#forget(index);
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    const next = waiting?.shift();
    if (id === undefined || next === undefined) return;
    if (waiting?.length === 0) this.#waiting.delete(id);
    this.#deliver(id, next);
  }

  #skip({ index }: DataFrame): void {
    // Where it fails, the item comes again after a reconnect, and is skipped then.
    this.#owner.commit(index).catch(() => {});
  }

  #deliver(id: string, frame: DataFrame): void {
    this.#delivered.set(id, frame.index);
    this.#ids.set(frame.index, id);
    this.#sink.push(frame);
    if (this.#settings.autoCommit) this.#committedOne(frame.index);
  }

  /** Forgets a delivered copy. Returns its request id, if it was one. */
  #forget(index: bigint): string | undefined {
    const id = this.#ids.get(index);
    if (id !== undefined) this.#delivered.delete(id);
    this.#ids.delete(index);
    return id;
  }
}

/** The frame's request id; undefined when it has none, or when its tags cannot be read. */
function idOf(frame: DataFrame): string | undefined {
  try {
    return frame.requestId || undefined;
  } catch {
    return undefined;
  }
}
