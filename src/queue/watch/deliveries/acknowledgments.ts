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

/** What acknowledgments need of their watcher. */
export interface AcknowledgmentsHost extends BackgroundRetriesHost {
  readonly calls: QueueCalls;
  readonly held: DeliveryTracker;
  readonly settings: Pick<WatchSettings, "autoCommit" | "minDelay" | "maxDelay">;
  readonly transport: WatchTransport;
  readonly onCommitted: (indexes: readonly bigint[]) => void;
  /** Called when the caller returns items to the queue. */
  readonly onReturned: (indexes: readonly bigint[]) => void;
  /** Called when the watcher holds frames no longer: their places in its window are free. */
  readonly onRelease: () => void;
}

const COMMIT: Commit = { method: "PUT" };
const DELETE: Commit = { method: "DELETE" };

/** The owner of the frames of one connection. */
class ConnectionFrames implements FrameOwner {
  /** How often the queue had been recreated when the frames were pushed. */
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
 * Commits, negatives and releases of a watcher's frames. Those that fail are retried in the background.
 *
 * An index that counts from 1 may name another item after a reconnect, when the queue was deleted and recreated. So an item
 * of an earlier connection is read again, without deleting it, and is acknowledged only if it has the same id.
 */
export class Acknowledgments {
  readonly #host: AcknowledgmentsHost;
  readonly #commits: CommitBatch;
  readonly #retries: BackgroundRetries;
  /** How often the queue was recreated, as far as is known. */
  #generation = 0;
  #owner = new ConnectionFrames(this, 0);
  #isConnected = false;
  /** Fires when the connection ends, or when there is one again. */
  #phase = new AbortController();

  constructor(host: AcknowledgmentsHost) {
    this.#host = host;
    this.#retries = new BackgroundRetries(host, (indexes, how) =>
      how.method === undefined ? this.#nack(indexes, how) : this.#commit(indexes, how, 0),
    );
    // A poll leaves items in the queue, without a consumer: they are done when they are deleted.
    const how = host.transport === "poll" ? DELETE : COMMIT;
    this.#commits = new CommitBatch((indexes) => this.#commit(indexes, how, undefined));
  }

  /** The owner of the frames that the current connection brings. */
  get owner(): FrameOwner {
    return this.#owner;
  }

  /** A connection is about to be opened. */
  connecting(): void {
    this.#owner = new ConnectionFrames(this, this.#generation);
  }

  connected(): void {
    this.#host.held.reconnected();
    this.#begin(true);
  }

  disconnected(): void {
    this.#begin(false);
  }

  /** Takes a pushed frame. Returns whether to hand it out. */
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
    // The service has lost its commit, or pushed the frame before it. The window would stay smaller by one.
    if (taken === "committed") {
      this.#commits.commit(frame.index).catch(() => {
        // An index that may name another item later is committed when it is pushed again.
        if (!isReusable(frame.index)) this.#retries.add([frame.index], COMMIT);
      });
    }
    return taken === "new";
  }

  commit(index: bigint, owner: ConnectionFrames): Promise<void> {
    if (this.#host.settings.autoCommit || this.#isGone(owner)) return Promise.resolve();
    return this.#commits.commit(index);
  }

  async negative(index: bigint, how: Negative, owner: ConnectionFrames): Promise<void> {
    // Checks the arguments in any case.
    negativeOperation([index], { code: how.code, reason: how.reason });
    if (!this.#host.settings.autoCommit && !this.#isGone(owner)) await this.#nack([index], how);
  }

  release(index: bigint, owner: ConnectionFrames): void {
    if (this.#isGone(owner)) return;
    this.#retries.delete(index);
    this.#host.held.released(index, this.#host.transport !== "poll");
    this.#host.onReturned([index]);
    this.#host.onRelease();
  }

  /** Returns an item that cannot be read to the queue, so that it does not occupy the window indefinitely. */
  async refuse(index: bigint): Promise<void> {
    const { calls, settings, transport } = this.#host;
    // The service does not wait for an item that was committed as it was sent, or that was polled.
    if (settings.autoCommit || transport === "poll") return;
    const code = { code: "Unreadable", reason: "the client cannot read the item" };
    await calls.run(negativeOperation([index], code));
  }

  /** Commits items by `send`, those of the watcher among them. Retries in the background what fails. */
  async trackCommit(
    indexes: readonly bigint[],
    send: (indexes: readonly bigint[]) => Promise<void>,
    method: "PUT" | "DELETE",
  ): Promise<void> {
    const { held } = this.#host;
    const frames = indexes.map((index) => held.get(index));
    // The queue may have been recreated in the meantime.
    const isSameFrame = (index: bigint, i: number) => held.get(index) === frames[i];
    try {
      // Without a wait if possible: a client that closes takes no calls later.
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

  /** Returns items to the queue by `send`, those of the watcher among them. */
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
      // Before the service is asked, which may push the item again before it answers.
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

  /** Sends commits that wait for the end of the turn, and failed ones once more. Never rejects. */
  flush(): Promise<void> {
    this.#commits.flush();
    return this.#retries.flush();
  }

  /** Never commits an index that names another item by now. */
  #commit(indexes: readonly bigint[], { method }: Commit, retryCount: number | undefined): Promise<void> {
    const { calls, life } = this.#host;
    const send = async (rest: readonly bigint[]): Promise<void> => {
      // A retry of the call could meet a recreated queue: the items are verified again when the connection changes.
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
      // An item that is polled has no consumer that could return it.
      if (transport !== "poll") await calls.run(negativeOperation(rest, { code: how.code, reason: how.reason }));
    };
    return this.trackNack(indexes, send, how);
  }

  #begin(isConnected: boolean): void {
    this.#isConnected = isConnected;
    // What is sent when the watcher closes is not interrupted.
    if (this.#host.life.aborted) return;
    this.#phase.abort(new Error("the connection that delivered the items has ended"));
    this.#phase = new AbortController();
  }

  /** Whether frames are of a queue that was deleted. */
  #isGone({ generation }: ConnectionFrames): boolean {
    return generation < this.#generation;
  }

  /** The queue was recreated: its indexes name other items now. */
  #forget(): void {
    const { held, transport, warn, onRelease } = this.#host;
    const generation = ++this.#generation;
    // Polls of the old and the new queue have the same owner.
    if (transport === "poll") this.#owner = new ConnectionFrames(this, generation);
    this.#owner.generation = generation;
    held.forget(this.#owner);
    this.#retries.forget((index) => held.get(index) === undefined);
    const message = "the queue was recreated: state about its earlier items is discarded";
    warn(`recreated ${generation}`, message);
    onRelease();
  }

  /** The held frames of indexes that may name other items by now; undefined when there are none. */
  #doubtful(indexes: readonly bigint[]): (DataFrame | undefined)[] | undefined {
    if (!indexes.some(isReusable)) return undefined;
    const frames = indexes.map((index) => {
      const frame = isReusable(index) ? this.#host.held.get(index) : undefined;
      return this.#isConnected && frame?.owner === this.#owner ? undefined : frame;
    });
    return frames.some((frame) => frame !== undefined) ? frames : undefined;
  }

  /** The indexes without those that name another item by now, or none. */
  async #verified(
    indexes: readonly bigint[],
    doubtful: readonly (DataFrame | undefined)[],
  ): Promise<readonly bigint[]> {
    const { calls, life } = this.#host;
    const found = await Promise.all(doubtful.map((frame) => frame === undefined || queueHasItem(calls, frame, life)));
    return indexes.filter((_, i) => found[i]);
  }
}
