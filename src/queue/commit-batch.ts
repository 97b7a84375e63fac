/** The most indexes that one request carries: with 19 digits each they make a URL of some 2,000 characters. */
const MOST_INDEXES = 100;

interface Waiting {
  readonly index: bigint;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Sends the commits of one turn of the event loop together. Each settles as the request does that carried it. */
export class CommitBatch {
  readonly #send: (indexes: readonly bigint[]) => Promise<void>;
  #waiting: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (indexes: readonly bigint[]) => Promise<void>) {
    this.#send = send;
  }

  /** Resolves when the service has answered the commit of `index`. */
  commit(index: bigint): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) this.#timer = setTimeout(() => this.flush(), 0);
      this.#waiting.push({ index, resolve, reject });
    });
  }

  /** Sends what waits now: there may be no later turn. */
  flush(): void {
    clearTimeout(this.#timer);
    const all = this.#waiting;
    this.#waiting = [];
    for (const batch of inBatches(all)) {
      const indexes = [...new Set(batch.map(({ index }) => index))];
      this.#send(indexes).then(
        () => {
          for (const { resolve } of batch) resolve();
        },
        (reason: unknown) => {
          for (const { reject } of batch) reject(reason);
        },
      );
    }
  }
}

/** What is sent in as few requests as there must be. */
export function inBatches<T>(all: readonly T[]): T[][] {
  const batches: T[][] = [];
  for (let first = 0; first < all.length; first += MOST_INDEXES) batches.push(all.slice(first, first + MOST_INDEXES));
  return batches;
}
