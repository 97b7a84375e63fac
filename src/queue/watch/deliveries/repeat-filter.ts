import type { DataFrame, FrameOwner } from "../../frame.js";
import type { WatchSettings } from "../options.js";

/** Receives the frames that pass the filter. */
interface Sink {
  push(frame: DataFrame): void;
}

/**
 * Delivers only one of the items that share a request id. The other copies wait while the caller holds the delivered
 * copy. They are skipped if the caller commits that copy. If the caller returns it to the queue, the next copy is
 * delivered.
 */
export class RepeatFilter {
  readonly #settings: Pick<WatchSettings, "remember" | "autoCommit">;
  readonly #sink: Sink;
  readonly #owner: Pick<FrameOwner, "commit">;
  /** Maps the request id of each delivered copy to its index. `#ids` is the inverse map. */
  readonly #delivered = new Map<string, bigint>();
  readonly #ids = new Map<bigint, string>();
  /** Copies that are waiting until the delivered copy with the same request id is settled. */
  readonly #waiting = new Map<string, DataFrame[]>();
  /** Request ids of committed items, in two generations, because evicting entries individually would be slow. */
  #committed = new Set<string>();
  #committedBefore = new Set<string>();

  /** If `remember` is undefined, all frames pass. */
  constructor(settings: Pick<WatchSettings, "remember" | "autoCommit">, sink: Sink, owner: Pick<FrameOwner, "commit">) {
    this.#settings = settings;
    this.#sink = sink;
    this.#owner = owner;
  }

  /** Delivers, holds back or skips a new frame. */
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

  /** Records that commits succeeded. */
  committed(indexes: readonly bigint[]): void {
    for (const index of indexes) this.#committedOne(index);
  }

  /** Records that the caller has returned items to the queue. For each item, delivers the next waiting copy. */
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
    // Ignore a failed commit: the service delivers the item again after a reconnect, and the filter skips it.
    this.#owner.commit(index).catch(() => {});
  }

  #deliver(id: string, frame: DataFrame): void {
    this.#delivered.set(id, frame.index);
    this.#ids.set(frame.index, id);
    this.#sink.push(frame);
    if (this.#settings.autoCommit) this.#committedOne(frame.index);
  }

  /**
   * Removes a delivered copy and returns its request id, or undefined if the index does not belong to a delivered
   * copy.
   */
  #forget(index: bigint): string | undefined {
    const id = this.#ids.get(index);
    if (id !== undefined) this.#delivered.delete(id);
    this.#ids.delete(index);
    return id;
  }
}

/**
 * Returns the request id of a frame, or undefined if the id is missing or the tags are damaged. A worker that puts a
 * failed item again keeps the request id, so the number of the attempt is added to the id.
 */
function idOf(frame: DataFrame): string | undefined {
  try {
    const { requestId, tags } = frame;
    if (!requestId) return undefined;
    const { easAttempt } = tags;
    return easAttempt === undefined ? requestId : `${requestId} ${easAttempt}`;
  } catch {
    return undefined;
  }
}
