import { EasError } from "../../../errors.js";
import type { QueueCalls } from "../../calls.js";
import { CommitBatch } from "../../commit-batch.js";
import type { DataFrame, FrameOwner } from "../../frame.js";
import { indexesOperation, negativeOperation } from "../../operations.js";
import type { WatchSettings, WatchTransport } from "../options.js";
import { queueHasItem } from "../queue-exists.js";
import {
  BackgroundRetries,
  type BackgroundRetriesHost,
  type Commit,
  isArgumentError,
  isRefusal,
  type Negative,
} from "./background-retries.js";
import { type DeliveryTracker, isReusable } from "./delivery-tracker.js";

/** The dependencies of `Acknowledgments`. */
export interface AcknowledgmentsHost extends BackgroundRetriesHost {
  readonly calls: QueueCalls;
  readonly held: DeliveryTracker;
  readonly settings: Pick<WatchSettings, "autoCommit" | "minDelay" | "maxDelay">;
  readonly transport: WatchTransport;
  /** Called after commits have succeeded. */
  readonly onCommitted: (indexes: readonly bigint[]) => void;
  /** Called when the caller returns items to the queue. */
  readonly onReturned: (indexes: readonly bigint[]) => void;
  /** Called when the watcher stops holding a frame, which makes room in its window. */
  readonly onRelease: () => void;
}

const COMMIT: Commit = { method: "PUT" };
const DELETE: Commit = { method: "DELETE" };

/** The owner of the frames delivered by one connection. */
class ConnectionFrames implements FrameOwner {
  /** Number of times the queue had been recreated when the frames were delivered. */
  generation: number;
  readonly #acks: Acknowledgments;

  constructor(acks: Acknowledgments, generation: number) {
    this.#acks = acks;
    this.generation = generation;
  }

  commit(index: bigint): Promise<void> {
    return this.#acks.commit(index, this);
  }

  negative(index: bigint, code: string | undefined, reason: string | undefined): Promise<void> {
    return this.#acks.negative(index, { code, reason }, this);
  }

  release(index: bigint): void {
    this.#acks.release(index, this);
  }
}

/**
 * Commits, nacks and releases a watcher's frames. Retries failed acknowledgments in the background.
 *
 * If a queue's indexes count from 1, an index may belong to another item after the queue is recreated. An item from an
 * earlier connection is therefore read again before it is acknowledged, and is acknowledged only if its request id is
 * the same.
 */
export class Acknowledgments {
  readonly #host: AcknowledgmentsHost;
  readonly #commits: CommitBatch;
  readonly #retries: BackgroundRetries;
  /** Number of times the queue was recreated during the watch. */
  #generation = 0;
  #owner = new ConnectionFrames(this, 0);
  #isConnected = false;
  /** Fires when the connection ends and when the next connection opens. */
  #phase = new AbortController();

  constructor(host: AcknowledgmentsHost) {
    this.#host = host;
    this.#retries = new BackgroundRetries(host, (indexes, how) =>
      how.method === undefined ? this.#nack(indexes, how) : this.#commit(indexes, how, 0),
    );
    // Polled items are not assigned to a consumer, so a commit must delete them.
    const how = host.transport === "poll" ? DELETE : COMMIT;
    this.#commits = new CommitBatch((indexes) => this.#commit(indexes, how, undefined));
  }

  /** The owner of the frames delivered by the current connection. */
  get owner(): FrameOwner {
    return this.#owner;
  }

  /** Prepares for frames from a new connection. */
  connecting(): void {
    this.#owner = new ConnectionFrames(this, this.#generation);
  }

  /** Records that a connection is open. */
  connected(): void {
    this.#host.held.reconnected();
    this.#begin(true);
  }

  /** Records that the connection has ended. */
  disconnected(): void {
    this.#begin(false);
  }

  /** Handles a delivered frame. Returns whether the frame must be passed to the caller. */
  take(frame: DataFrame): boolean {
    const { held } = this.#host;
    frame.owner = this.#owner;
    let taken = held.take(frame);
    if (taken === "other") {
      this.#forget();
      frame.owner = this.#owner;
      taken = held.take(frame);
    }
    if (taken === "held") this.#retries.pushedAgain(frame.index);
    // Commit the frame again: the service lost the commit, or sent the frame before it received the commit. Otherwise,
    // the window would stay smaller by one item.
    if (taken === "committed") {
      this.#commits.commit(frame.index).catch(() => {
        // A reusable index may belong to another item later, so commit the item only when it is delivered again.
        if (!isReusable(frame.index)) this.#retries.add([frame.index], COMMIT);
      });
    }
    return taken === "new";
  }

  /** Commits a frame. Does nothing if the queue was recreated after the frame was delivered. */
  commit(index: bigint, owner: ConnectionFrames): Promise<void> {
    if (this.#host.settings.autoCommit || this.#isGone(owner)) return Promise.resolve();
    return this.#commits.commit(index);
  }

  /** Nacks a frame. Does nothing if the queue was recreated after the frame was delivered. */
  async negative(index: bigint, how: Negative, owner: ConnectionFrames): Promise<void> {
    // Throw for invalid arguments even if nothing is sent.
    negativeOperation([index], { code: how.code, reason: how.reason });
    if (!this.#host.settings.autoCommit && !this.#isGone(owner)) await this.#nack([index], how);
  }

  /** Releases a frame without a request. */
  release(index: bigint, owner: ConnectionFrames): void {
    if (this.#isGone(owner)) return;
    this.#retries.delete(index);
    this.#host.held.released(index, this.#host.transport !== "poll");
    this.#host.onReturned([index]);
    this.#host.onRelease();
  }

  /** Returns an unreadable item to the queue so that it does not occupy the window indefinitely. */
  async refuse(index: bigint): Promise<void> {
    const { calls, settings, transport } = this.#host;
    // With autoCommit or polling, the service does not wait for acknowledgments.
    if (settings.autoCommit || transport === "poll") return;
    const code = { code: "Unreadable", reason: "the client cannot read the item" };
    await calls.run(negativeOperation([index], code));
  }

  /**
   * Commits items with `send`. Tracks the items that this watcher delivered and retries their failed commits in the
   * background.
   */
  async trackCommit(
    indexes: readonly bigint[],
    send: (indexes: readonly bigint[]) => Promise<void>,
    method: "PUT" | "DELETE",
  ): Promise<void> {
    const { held } = this.#host;
    const frames = indexes.map((index) => held.get(index));
    // The queue may be recreated while the request is in flight.
    const isSameFrame = (index: bigint, i: number) => held.get(index) === frames[i];
    try {
      // Send the commit in the same event-loop turn if possible, because a closing client refuses later calls.
      const doubtful = this.#doubtful(indexes);
      const rest = doubtful === undefined ? indexes : await this.#verified(indexes, doubtful);
      if (rest.length > 0) await send(rest);
    } catch (error) {
      const failed = indexes.filter((index, i) => frames[i] !== undefined && isSameFrame(index, i));
      if (error instanceof EasError) this.#retries.add(failed, method === "PUT" ? COMMIT : DELETE);
      throw error;
    }
    for (const [i, index] of indexes.entries()) {
      if (!isSameFrame(index, i)) continue;
      this.#retries.delete(index);
      held.committed(index);
    }
    this.#host.onCommitted(indexes);
    this.#host.onRelease();
  }

  /** Returns items to the queue with `send`. Tracks the items that this watcher delivered. */
  async trackNack(
    indexes: readonly bigint[],
    send: (indexes: readonly bigint[]) => Promise<void>,
    how: Negative,
  ): Promise<void> {
    const { held, onRelease, onReturned } = this.#host;
    const doubtful = this.#doubtful(indexes);
    const returned = indexes.filter((index) => held.get(index) !== undefined);
    for (const index of indexes) {
      this.#retries.delete(index);
      // The service may deliver the item again before it responds.
      held.nacking(index);
    }
    onReturned(returned);
    onRelease();
    let outcome: "done" | "refused" | "unknown" = "unknown";
    let isRetried = false;
    try {
      const rest = doubtful === undefined ? indexes : await this.#verified(indexes, doubtful);
      if (rest.length > 0) await send(rest);
      outcome = "done";
    } catch (error) {
      isRetried = error instanceof EasError && !error.maybeTaken && !isRefusal(error);
      if (isRetried || isArgumentError(error)) outcome = "refused";
      throw error;
    } finally {
      for (const index of indexes) held.nackSettled(index, outcome);
      if (isRetried)
        this.#retries.add(
          indexes.filter((index) => held.get(index) !== undefined),
          how,
        );
      onRelease();
    }
  }

  /** Sends collected commits immediately, and failed commits once more. Never rejects. */
  flush(): Promise<void> {
    this.#commits.flush();
    return this.#retries.flush();
  }

  /** Commits items. Skips indexes that now belong to other items. */
  #commit(indexes: readonly bigint[], { method }: Commit, retryCount: number | undefined): Promise<void> {
    const { calls, life } = this.#host;
    const send = async (rest: readonly bigint[]): Promise<void> => {
      // The queue could be recreated before the call is retried, so verify the items again when the connection changes.
      const signal = rest.some(isReusable) ? this.#phase.signal : undefined;
      const retries = signal === undefined || this.#isConnected ? retryCount : 0;
      const call = { ...(signal && { signal }), ...(retries !== undefined && { retryCount: retries }) };
      try {
        await calls.run(indexesOperation(method, rest, call));
      } catch (error) {
        if (!signal?.aborted || life.aborted) throw error;
        const doubtful = this.#doubtful(rest);
        const still = doubtful === undefined ? rest : await this.#verified(rest, doubtful);
        if (still.length > 0) await send(still);
      }
    };
    return this.trackCommit(indexes, send, method);
  }

  #nack(indexes: readonly bigint[], how: Negative): Promise<void> {
    const { transport, calls } = this.#host;
    const send = async (rest: readonly bigint[]): Promise<void> => {
      // A polled item is not assigned to a consumer, so it does not need to be returned.
      if (transport !== "poll") await calls.run(negativeOperation(rest, { code: how.code, reason: how.reason }));
    };
    return this.trackNack(indexes, send, how);
  }

  #begin(isConnected: boolean): void {
    this.#isConnected = isConnected;
    // Do not abort requests that are sent while the watcher is closing.
    if (this.#host.life.aborted) return;
    this.#phase.abort(new Error("the connection that delivered the items has ended"));
    this.#phase = new AbortController();
  }

  /** Whether the queue was recreated after the frames were delivered. */
  #isGone({ generation }: ConnectionFrames): boolean {
    return generation < this.#generation;
  }

  /** Discards all state about a recreated queue, because its indexes now belong to other items. */
  #forget(): void {
    const { held, transport, warn, onRelease } = this.#host;
    const generation = ++this.#generation;
    // With polling, frames from the old and the new queue would otherwise share an owner.
    if (transport === "poll") this.#owner = new ConnectionFrames(this, generation);
    this.#owner.generation = generation;
    held.forget(this.#owner);
    this.#retries.forget((index) => held.get(index) === undefined);
    const message = "the queue was recreated: the client discards its state about earlier items";
    warn(`recreated ${generation}`, message);
    onRelease();
  }

  /** Returns the held frames whose indexes may now belong to other items, or undefined if there are none. */
  #doubtful(indexes: readonly bigint[]): (DataFrame | undefined)[] | undefined {
    if (!indexes.some(isReusable)) return undefined;
    const frames = indexes.map((index) => {
      const frame = isReusable(index) ? this.#host.held.get(index) : undefined;
      return this.#isConnected && frame?.owner === this.#owner ? undefined : frame;
    });
    return frames.some((frame) => frame !== undefined) ? frames : undefined;
  }

  /** Returns the indexes that still belong to the same items. */
  async #verified(
    indexes: readonly bigint[],
    doubtful: readonly (DataFrame | undefined)[],
  ): Promise<readonly bigint[]> {
    const { calls, life } = this.#host;
    const found = await Promise.all(doubtful.map((frame) => frame === undefined || queueHasItem(calls, frame, life)));
    return indexes.filter((_, i) => found[i]);
  }
}
