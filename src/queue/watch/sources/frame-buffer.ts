import { DataFrame } from "../../frame.js";
import type { FrameSource } from "./frame-source.js";

/** Bytes that wait to be taken before the server is held back. */
const HIGH_WATER_BYTES = 16_777_216;
/** What a frame weighs beside its data: with indexes alone there is no data, and memory is taken all the same. */
const FRAME_BYTES = 512;

type Result = IteratorResult<DataFrame, undefined>;

/** Frames between the connection, which brings them, and the iteration, which takes them; in their order. */
export class FrameBuffer {
  readonly #source: () => FrameSource | undefined;
  readonly #onOverflow: () => void;
  /** What came, with errors at their place. */
  #entries: (DataFrame | Error)[] = [];
  /** What came before that, the oldest last: `shift` would move all that is behind. */
  #oldest: (DataFrame | Error)[] = [];
  #bytes = 0;
  #paused = false;
  #warned = false;
  #waiting: ((result: Result | Promise<Result>) => void)[] = [];
  #end: { readonly error: unknown } | undefined;

  /** `onOverflow` hears once of a source that cannot be held back. */
  constructor(source: () => FrameSource | undefined, onOverflow: () => void) {
    this.#source = source;
    this.#onOverflow = onOverflow;
  }

  /** Takes a frame, or the error for one that cannot be read. */
  push(entry: DataFrame | Error): void {
    if (this.#end !== undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting(resultOf(entry));
      return;
    }
    this.#entries.push(entry);
    this.#bytes += weightOf(entry);
    if (this.#bytes > HIGH_WATER_BYTES && !this.#paused) this.#pause();
  }

  next(): Promise<Result> {
    if (this.#oldest.length === 0) {
      this.#oldest = this.#entries.reverse();
      this.#entries = [];
    }
    const entry = this.#oldest.pop();
    if (entry !== undefined) {
      this.#bytes -= weightOf(entry);
      if (this.#paused && this.#bytes < HIGH_WATER_BYTES / 2) this.#resume();
      return Promise.resolve(resultOf(entry));
    }
    if (this.#end !== undefined) return this.#ended();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A new connection, which is not held back. */
  connected(): void {
    this.#paused = false;
    if (this.#bytes > HIGH_WATER_BYTES) this.#pause();
  }

  /**
   * Ends the iteration: with `error` once, if there is one. What was not taken is given first after a failure; `dropped`
   * forgets it.
   */
  end(error: unknown, dropped: boolean): void {
    if (dropped) {
      this.#entries = [];
      this.#oldest = [];
    }
    if (this.#end !== undefined) return;
    this.#end = { error };
    const all = this.#waiting;
    this.#waiting = [];
    for (const resolve of all) resolve(this.#ended());
  }

  #ended(): Promise<Result> {
    const error = this.#end?.error;
    this.#end = { error: undefined };
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  #pause(): void {
    const source = this.#source();
    if (source === undefined) return;
    this.#paused = true;
    if (source.pause !== undefined) source.pause();
    else if (!this.#warned) {
      this.#warned = true;
      this.#onOverflow();
    }
  }

  #resume(): void {
    this.#paused = false;
    this.#source()?.resume?.();
  }
}

function resultOf(entry: DataFrame | Error): Result | Promise<Result> {
  return entry instanceof DataFrame ? { done: false, value: entry } : Promise.reject(entry);
}

function weightOf(entry: DataFrame | Error): number {
  return FRAME_BYTES + (entry instanceof DataFrame ? entry.data.length : 0);
}
