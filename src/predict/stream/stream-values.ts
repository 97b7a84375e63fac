import type { Bytes } from "../../formats/request.js";

/**
 * Reads values out of the pieces of a body: adds those that end in a piece, and returns whether they are the last ones. An
 * undefined piece is the end of the body. Values that were added before it throws are delivered.
 */
export type ChunkStep<T> = (piece: Bytes | undefined, values: T[]) => boolean;

/** The body that values are read from. */
export interface ValueSource {
  /** Resolves with the next piece, or with undefined at the end. */
  read(): Promise<Bytes | undefined>;
  /** Called once, when no more is read: at the end of the values, or with false at an error and when the reader leaves. */
  end(isWhole: boolean): void;
  /** Returns the error that the reader gets, or undefined if it has left. */
  explain(thrown: unknown): unknown;
}

/** Has what the runtime gives all asynchronous iterators, such as `Symbol.asyncDispose`. */
const AsyncIterators: new () => object = /* @__PURE__ */ (() => {
  class AsyncIterators {}
  const { prototype } = Object.getPrototypeOf(async function* () {});
  Object.setPrototypeOf(AsyncIterators.prototype, Object.getPrototypeOf(prototype));
  return AsyncIterators;
})();

/**
 * Iterates over the values of a body. All values of a piece are read at once, and each call of `next` is answered from them
 * without a wait: asynchronous generators, one around the other, cost several promises for each value.
 */
export class StreamValues<T> extends AsyncIterators implements AsyncGenerator<T, void, undefined> {
  declare [Symbol.asyncIterator]: () => AsyncGenerator<T, void, undefined>;
  declare [Symbol.asyncDispose]: () => Promise<void>;
  readonly #source: ValueSource;
  readonly #step: ChunkStep<T>;
  #values: T[] = [];
  #next = 0;
  /** What follows the last value, once it is known. */
  #outcome: { readonly error?: unknown } | undefined;
  /** Calls of `next` that have no answer yet, and the last of them. */
  #waiting = 0;
  #last: Promise<IteratorResult<T, void>> = undefined as never;

  constructor(source: ValueSource, step: ChunkStep<T>) {
    super();
    this.#source = source;
    this.#step = step;
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#waiting > 0) return this.#inTurn(() => this.#take());
    // The most frequent case, without a wait.
    if (this.#next < this.#values.length) return Promise.resolve(this.#shift());
    this.#waiting++;
    this.#last = this.#take();
    return this.#last;
  }

  /** Ends the body at once, so that calls of `next` that wait are answered. */
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

  /** Answers a call after those before it. `answer` takes it off `#waiting`. */
  #inTurn(answer: () => Promise<IteratorResult<T, void>>): Promise<IteratorResult<T, void>> {
    this.#last = this.#waiting++ > 0 ? this.#last.then(answer, answer) : answer();
    return this.#last;
  }

  /** The next value, for which it may have to read. */
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
          const piece = await this.#source.read();
          if (this.#outcome !== undefined) continue;
          const isLast = this.#step(piece, this.#values) || piece === undefined;
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
