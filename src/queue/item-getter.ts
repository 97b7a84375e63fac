import { EasError } from "../errors.js";
import { clockNow } from "../util/timing/clock.js";
import type { QueueCalls } from "./calls.js";
import type { DataFrame, FrameOwner } from "./frame.js";
import { type GetOptions, getOperation, indexesOperation } from "./operations.js";

/**
 * Makes the gets of a client. A transport may resend requests by itself, and a deleting get that is resent deletes items
 * that nobody receives. Over such a transport, a deleting get is made as a get that leaves the items in the queue and a
 * deletion of exactly those: both can be repeated.
 */
export class ItemGetter {
  readonly #calls: () => QueueCalls;
  /** Indexes that a get of this client is deleting. */
  readonly #claimed = new Set<bigint>();
  /** For each read under way, the indexes that were claimed at its start or since: its response may still have them. */
  readonly #reads = new Set<Set<bigint>>();
  /** Settles when all deletions under way have settled. */
  #deletions: Promise<unknown> = Promise.resolve();

  constructor(calls: () => QueueCalls) {
    this.#calls = calls;
  }

  /** Gets items. Two deleting gets of one client never return the same item. */
  async get(options: GetOptions, owner: FrameOwner): Promise<DataFrame[]> {
    const calls = this.#calls();
    calls.pool.checkOpen();
    const operation = getOperation(options, owner);
    if (operation.kind !== "take" || !calls.mayResend) return calls.run(operation);
    const startedAt = clockNow();
    const { held = 0, call } = operation;
    const { totalTimeout } = calls.planOf(operation);
    let timeout = options.timeout;
    for (;;) {
      const claimed = new Set(this.#claimed);
      this.#reads.add(claimed);
      const read = getOperation({ ...options, ...(timeout !== undefined && { timeout }), autoDelete: false }, owner);
      const frames = await calls.run(read).finally(() => this.#reads.delete(claimed));
      const elapsed = clockNow() - startedAt;
      const own = frames.filter(({ index }) => !claimed.has(index));
      if (own.length > 0) {
        const rest = Math.max(1, Math.ceil(totalTimeout - elapsed));
        await this.#delete(own, Number.isFinite(rest) ? { ...call, totalTimeout: rest } : call);
      }
      if (own.length > 0 || frames.length === 0) return own;
      // Another get of this client is deleting all of them; that may fail.
      await this.#deletions;
      timeout = Math.max(0, Math.floor(held - elapsed));
    }
  }

  async #delete(frames: readonly DataFrame[], call: Parameters<typeof indexesOperation>[2]): Promise<void> {
    const indexes = frames.map(({ index }) => index);
    for (const index of indexes) {
      for (const claimed of [this.#claimed, ...this.#reads]) claimed.add(index);
    }
    const deleted = this.#calls().runForAll(
      indexes,
      (batch) => indexesOperation("DELETE", batch, call),
      (batch, send) => send(batch),
    );
    this.#deletions = Promise.allSettled([this.#deletions, deleted]);
    try {
      await deleted;
    } catch (error) {
      // The service may have deleted them, and its response was lost.
      throw error instanceof EasError ? Object.assign(error, { maybeTaken: true }) : error;
    } finally {
      for (const index of indexes) this.#claimed.delete(index);
    }
  }
}
