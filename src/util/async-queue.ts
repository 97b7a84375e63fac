type Result<T> = IteratorResult<T, undefined>;

interface Waiting<T> {
  readonly resolve: (result: Result<T>) => void;
  readonly reject: (reason: unknown) => void;
}

/** An error in the queue, which keeps its order among the values. */
class QueuedError {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** Options for `AsyncQueue`. */
export interface AsyncQueueOptions<T> {
  /** Weight above which the queue is full, usually in bytes. */
  readonly highWater: number;
  /** Returns the weight of a value. */
  weigh(value: T): number;
  /** Called when the queue becomes full. */
  onFull(): void;
  /** Called when a full queue has shrunk to half of `highWater`. */
  onDrain(): void;
}

/**
 * A queue between a producer that pushes values and a consumer that iterates over them. The queue accepts values
 * even when it is full.
 */
export class AsyncQueue<T> {
  /** Whether the queue has exceeded `highWater` and has not yet shrunk to half of that weight. */
  isFull = false;
  /** Sum of the weights of the queued values. */
  weight = 0;
  readonly #options: AsyncQueueOptions<T>;
  /**
   * The queued entries, which start at index `#first`. Not removed with `shift`, which would move all remaining
   * entries.
   */
  #entries: (T | QueuedError | undefined)[] = [];
  #first = 0;
  #waiting: Waiting<T>[] = [];
  #end: { readonly error: unknown } | undefined;

  constructor(options: AsyncQueueOptions<T>) {
    this.#options = options;
  }

  /** Adds a value, or passes it to a pending `next`. Does nothing after `end`. */
  push(value: T): void {
    if (this.#end !== undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value });
      return;
    }
    this.#entries.push(value);
    this.weight += this.#options.weigh(value);
    if (this.weight > this.#options.highWater && !this.isFull) {
      this.isFull = true;
      this.#options.onFull();
    }
  }

  /**
   * Adds an error. One call to `next` rejects with the error, and the iteration continues. Does nothing after `end`.
   */
  pushError(error: unknown): void {
    if (this.#end !== undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#entries.push(new QueuedError(error));
    else waiting.reject(error);
  }

  /**
   * Resolves with the next value. After the last value, resolves with `done: true`, or rejects once if the queue
   * ended with an error.
   */
  next(): Promise<Result<T>> {
    if (this.#first < this.#entries.length) return this.#take();
    if (this.#end !== undefined) return this.#ended();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /**
   * Ends the iteration after the queued values. If `discard` is true, the queued values are dropped. If `error` is not
   * undefined, one call to `next` rejects with it.
   */
  end(error: unknown, discard: boolean): void {
    if (discard) {
      this.#entries = [];
      this.#first = 0;
      this.weight = 0;
    }
    if (this.#end !== undefined) return;
    this.#end = { error };
    const all = this.#waiting;
    this.#waiting = [];
    for (const { resolve, reject } of all) this.#ended().then(resolve, reject);
  }

  #ended(): Promise<Result<T>> {
    const error = this.#end?.error;
    this.#end = { error: undefined };
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  #take(): Promise<Result<T>> {
    const entry = this.#entries[this.#first] as T | QueuedError;
    this.#entries[this.#first++] = undefined;
    if (this.#first > 1024 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
    if (entry instanceof QueuedError) return Promise.reject(entry.error);
    this.weight -= this.#options.weigh(entry);
    if (this.isFull && this.weight < this.#options.highWater / 2) {
      this.isFull = false;
      this.#options.onDrain();
    }
    return Promise.resolve({ done: false, value: entry });
  }
}
