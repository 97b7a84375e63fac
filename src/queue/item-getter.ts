import { EasError } from "../errors.js";
import { clockNow } from "../util/timing/clock.js";
import type { QueueCalls } from "./calls.js";
import type { DataFrame, FrameOwner } from "./frame.js";
import { type GetOptions, getOperation, indexesOperation } from "./operations.js";

/**
 * Gets items for a client. Some transports resend requests without the client's knowledge, and resending a get that
 * deletes items would lose items. With such a transport, the client first reads the items without deleting them and
 * then deletes exactly those items, because both requests can safely be repeated.
 */
export class ItemGetter {
  readonly #calls: () => QueueCalls;
  /** Indexes that this client's gets are currently deleting. */
  readonly #claimed = new Set<bigint>();
  /**
   * For each read in flight, the indexes that were claimed after the read started, because its response may still
   * contain them.
   */
  readonly #reads = new Set<Set<bigint>>();
  /** Settles when all deletions in flight have settled. */
  #deletions: Promise<unknown> = Promise.resolve();

  constructor(calls: () => QueueCalls) {
    this.#calls = calls;
  }

  /** Gets items. If two gets from the same client delete items, they never return the same item. */
  async get(options: GetOptions, owner: FrameOwner): Promise<DataFrame[]> {
    const calls = this.#calls();
    calls.pool.checkOpen();
    const operation = getOperation(options, owner);
    if (operation.kind !== "take" || !calls.mayResend) return calls.run(operation);
    const startedAt = clockNow();
    const { longPoll = 0, call } = operation;
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
      // Another get from this client is deleting all of these items. Read again afterwards, because that deletion may
      // fail.
      await this.#deletions;
      timeout = Math.max(0, Math.floor(longPoll - elapsed));
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
      // The service may have deleted the items even if the response was lost.
      throw error instanceof EasError ? Object.assign(error, { maybeTaken: true }) : error;
    } finally {
      for (const index of indexes) this.#claimed.delete(index);
    }
  }
}
