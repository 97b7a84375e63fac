import type { Bytes } from "../../formats/request.js";

/**
 * Decodes values from the chunks of a body. Appends the values that `chunk` completes. Returns whether the last value
 * in the body was decoded. An undefined chunk marks the end of the body. Values appended before an error are still
 * delivered.
 */
export type ChunkStep<T> = (chunk: Bytes | undefined, values: T[]) => boolean;

/** A body from which values are decoded. */
export interface ValueSource {
  /** Resolves with the next chunk, or with undefined at the end of the body. */
  read(): Promise<Bytes | undefined>;
  /**
   * Called once when reading stops: with true after the last value, and with false after an error or an early
   * return.
   */
  end(isWhole: boolean): void;
  /** Returns the error for the consumer, or undefined if the consumer has stopped reading. */
  explain(thrown: unknown): unknown;
}

/**
 * Base class that inherits from the runtime's async iterator prototype and therefore has `Symbol.asyncDispose` where
 * the runtime supports it.
 */
const AsyncIterators: new () => object = /* @__PURE__ */ (() => {
  class AsyncIterators {}
  const { prototype } = Object.getPrototypeOf(async function* () {});
  Object.setPrototypeOf(AsyncIterators.prototype, Object.getPrototypeOf(prototype));
  return AsyncIterators;
})();

/**
 * Iterates over the values of a body. All values in a chunk are decoded at once, so that `next` can resolve without
 * waiting. Not built from nested async generators, which would create several promises per value.
 */
export class StreamValues<T> extends AsyncIterators implements AsyncGenerator<T, void, undefined> {
  declare [Symbol.asyncIterator]: () => AsyncGenerator<T, void, undefined>;
  declare [Symbol.asyncDispose]: () => Promise<void>;
  readonly #source: ValueSource;
  readonly #step: ChunkStep<T>;
  #values: T[] = [];
  #next = 0;
  /** Outcome of the iteration. Set when reading stops. */
  #outcome: { readonly error?: unknown } | undefined;
  /** Number of pending calls. */
  #waiting = 0;
  /** The promise of the last pending call. */
  #last: Promise<IteratorResult<T, void>> = undefined as never;

  constructor(source: ValueSource, step: ChunkStep<T>) {
    super();
    this.#source = source;
    this.#step = step;
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#waiting > 0) return this.#inTurn(() => this.#take());
    // Fast path for a value that is already decoded.
    if (this.#next < this.#values.length) return Promise.resolve(this.#shift());
    this.#waiting++;
    this.#last = this.#take();
    return this.#last;
  }

  /** Ends the body immediately, so that pending calls to `next` resolve. */
  return(value?: undefined): Promise<IteratorResult<T, void>> {
    this.#leave();
    return this.#inTurn(async () => {
      this.#waiting--;
      return { done: true, value: await value };
    });
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    this.#leave();
    return this.#inTurn(() => {
      this.#waiting--;
      return Promise.reject(error);
    });
  }

  /** Runs `settle` after all pending calls. Then, `settle` must decrement `#waiting`. */
  #inTurn(settle: () => Promise<IteratorResult<T, void>>): Promise<IteratorResult<T, void>> {
    this.#last = this.#waiting++ > 0 ? this.#last.then(settle, settle) : settle();
    return this.#last;
  }

  /** Resolves with the next value. Reads chunks until a value is decoded. */
  async #take(): Promise<IteratorResult<T, void>> {
    try {
      for (;;) {
        if (this.#next < this.#values.length) return this.#shift();
        const outcome = this.#outcome;
        if (outcome !== undefined) {
          this.#outcome = {};
          if (outcome.error !== undefined) throw outcome.error;
          return { done: true, value: undefined };
        }
        this.#values = [];
        this.#next = 0;
        try {
          const chunk = await this.#source.read();
          if (this.#outcome !== undefined) continue;
          const isLast = this.#step(chunk, this.#values) || chunk === undefined;
          if (isLast) this.#end({}, true);
        } catch (thrown) {
          this.#end({ error: this.#source.explain(thrown) }, false);
        }
      }
    } finally {
      this.#waiting--;
    }
  }

  #shift(): IteratorResult<T, void> {
    return { done: false, value: this.#values[this.#next++] as T };
  }

  #leave(): void {
    this.#values = [];
    this.#next = 0;
    this.#end({}, false);
  }

  #end(outcome: { readonly error?: unknown }, isWhole: boolean): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#source.end(isWhole);
  }
}
