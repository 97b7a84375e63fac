/** Maximum number of indexes in one request. With 19 digits each, they make a URL of about 2,000 characters. */
export const MAX_INDEXES = 100;
/**
 * With fewer requests under way, commits go at the end of the turn. With more, a timer collects what comes within a
 * millisecond. Two, since the next item is often there before the answer to the commit that made room for it.
 */
const FEW = 2;

/**
 * Sends the commits of one turn of the event loop together. Each settles as the request does that carried it, by a promise
 * that it shares with the others.
 */
export class CommitBatch {
  readonly #send: (indexes: readonly bigint[]) => Promise<void>;
  #indexes = new Set<bigint>();
  #answered: Promise<void> | undefined;
  #go: (() => void) | undefined;
  #underWay = 0;

  constructor(send: (indexes: readonly bigint[]) => Promise<void>) {
    this.#send = send;
  }

  /** Resolves when the service has answered the commit of `index`. */
  commit(index: bigint): Promise<void> {
    if (this.#go === undefined) this.#begin();
    const answered = this.#answered as Promise<void>;
    this.#indexes.add(index);
    if (this.#indexes.size === MAX_INDEXES) this.flush();
    return answered;
  }

  /** Sends what waits now: there may be no later turn. */
  flush(): void {
    const go = this.#go;
    this.#go = undefined;
    go?.();
  }

  #begin(): void {
    const indexes = new Set<bigint>();
    this.#indexes = indexes;
    this.#answered = new Promise((resolve) => {
      this.#go = () => {
        this.#underWay++;
        resolve(this.#send([...indexes]).finally(() => this.#underWay--));
      };
    });
    const go = this.#go;
    const flush = () => this.#go === go && this.flush();
    const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => void };
    if (setImmediate && this.#underWay < FEW) setImmediate(flush);
    else setTimeout(flush);
  }
}

/** What is sent in as few requests as there must be. */
export function inBatches<T>(all: readonly T[]): T[][] {
  const batches: T[][] = [];
  for (let first = 0; first < all.length; first += MAX_INDEXES) batches.push(all.slice(first, first + MAX_INDEXES));
  return batches;
}
