import { DataFrame } from "../data-frame.js";
import type { FrameSource } from "./frame-source.js";

/** Bytes that wait to be taken before the server is held back. */
const HIGH_WATER_BYTES = 16_777_216;
/** What a frame weighs beside its data: with indexes alone there is no data, and memory is taken all the same. */
const FRAME_BYTES = 512;

type Result = IteratorResult<DataFrame, undefined>;

interface Waiting {
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

/** Frames between the connection, which brings them, and the iteration, which takes them; in their order. */
export class FrameBuffer {
  readonly #source: () => FrameSource | undefined;
  readonly #onOverflow: () => void;
  /** What came, with errors at their place; taken from `#first` on, since `shift` moves all that is behind. */
  #entries: (DataFrame | Error | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #paused = false;
  #warned = false;
  #waiting: Waiting[] = [];
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
      if (entry instanceof DataFrame) waiting.resolve({ done: false, value: entry });
      else waiting.reject(entry);
      return;
    }
    this.#entries.push(entry);
    this.#bytes += weightOf(entry);
    if (this.#bytes > HIGH_WATER_BYTES && !this.#paused) this.#pause();
  }

  next(): Promise<Result> {
    const entry = this.#entries[this.#first];
    if (entry !== undefined) {
      this.#take();
      this.#bytes -= weightOf(entry);
      if (this.#paused && this.#bytes < HIGH_WATER_BYTES / 2) this.#resume();
      if (!(entry instanceof DataFrame)) return Promise.reject(entry);
      return Promise.resolve({ done: false, value: entry });
    }
    if (this.#end !== undefined) return this.#ended();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
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
      this.#first = 0;
    }
    if (this.#end !== undefined) return;
    this.#end = { error };
    const all = this.#waiting;
    this.#waiting = [];
    for (const { resolve, reject } of all) this.#ended().then(resolve, reject);
  }

  #ended(): Promise<Result> {
    const error = this.#end?.error;
    this.#end = { error: undefined };
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  #take(): void {
    this.#entries[this.#first++] = undefined;
    if (this.#first === this.#entries.length) {
      this.#entries = [];
      this.#first = 0;
    } else if (this.#first > 1024 && this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
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

function weightOf(entry: DataFrame | Error): number {
  return FRAME_BYTES + (entry instanceof DataFrame ? entry.data.length : 0);
}
