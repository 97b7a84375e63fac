/** Maximum number of indexes in one request. With 19-digit indexes, this results in a URL of about 2,000 characters. */
export const MAX_INDEXES = 100;
/**
 * If fewer requests than this are in flight, commits are sent at the end of the event-loop turn. Otherwise, commits are
 * collected for a millisecond. The threshold is 2 because the next item often arrives before the response to the
 * previous commit.
 */
const MIN_REQUESTS_TO_COLLECT = 2;

/**
 * Sends all commits from one event-loop turn in a single request. They share one promise, which settles with the
 * request.
 */
export class CommitBatch {
  readonly #send: (indexes: readonly bigint[]) => Promise<void>;
  #indexes = new Set<bigint>();
  #sent: Promise<void> | undefined;
  #sendNow: (() => void) | undefined;
  #inFlight = 0;

  constructor(send: (indexes: readonly bigint[]) => Promise<void>) {
    this.#send = send;
  }

  /** Commits `index`. Settles with the request that contains it. */
  commit(index: bigint): Promise<void> {
    if (this.#sendNow === undefined) this.#begin();
    const sent = this.#sent as Promise<void>;
    this.#indexes.add(index);
    if (this.#indexes.size === MAX_INDEXES) this.flush();
    return sent;
  }

  /** Sends the collected commits immediately. */
  flush(): void {
    const sendNow = this.#sendNow;
    this.#sendNow = undefined;
    sendNow?.();
  }

  #begin(): void {
    const indexes = new Set<bigint>();
    this.#indexes = indexes;
    this.#sent = new Promise((resolve) => {
      this.#sendNow = () => {
        this.#inFlight++;
        resolve(this.#send([...indexes]).finally(() => this.#inFlight--));
      };
    });
    const sendNow = this.#sendNow;
    const flush = () => this.#sendNow === sendNow && this.flush();
    const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
    if (setImmediate && this.#inFlight < MIN_REQUESTS_TO_COLLECT) setImmediate(flush);
    else setTimeout(flush);
  }
}

/** Splits items into batches of at most `MAX_INDEXES`. */
export function inBatches<T>(all: readonly T[]): T[][] {
  const batches: T[][] = [];
  for (let first = 0; first < all.length; first += MAX_INDEXES) batches.push(all.slice(first, first + MAX_INDEXES));
  return batches;
}
