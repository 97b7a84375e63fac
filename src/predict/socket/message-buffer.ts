import type { Bytes } from "../../formats/request.js";

/** What a message weighs beside its content: small ones take memory too. */
const MESSAGE_BYTES = 64;

type Result = IteratorResult<string | Bytes, undefined>;

interface Waiting {
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

/** What a buffer tells its socket. */
export interface BufferEvents {
  /** Enough waits to be taken. */
  onFull(): void;
  /** Half of that was taken. */
  onRoom(): void;
}

/** Messages between the socket, which brings them, and the iteration, which takes them; in their order. */
export class MessageBuffer {
  /** About how much memory waits to be taken. */
  bytes = 0;
  readonly #highWater: number;
  readonly #events: BufferEvents;
  /** Taken from `#first` on, since `shift` moves all that is behind. */
  #messages: (string | Bytes)[] = [];
  #first = 0;
  #isFull = false;
  #waiting: Waiting[] = [];
  #end: { readonly error: unknown } | undefined;

  constructor(highWater: number, events: BufferEvents) {
    this.#highWater = highWater;
    this.#events = events;
  }

  push(message: string | Bytes): void {
    if (this.#end !== undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: message });
      return;
    }
    this.#messages.push(message);
    this.bytes += weightOf(message);
    if (this.bytes > this.#highWater && !this.#isFull) {
      this.#isFull = true;
      this.#events.onFull();
    }
  }

  next(): Promise<Result> {
    if (this.#first < this.#messages.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#end !== undefined) return this.#ended();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ends the iteration: with `error` once, unless it is undefined; after what waits, or at once when that is `dropped`. */
  end(error: unknown, dropped: boolean): void {
    if (dropped) {
      this.#messages = [];
      this.#first = 0;
      this.bytes = 0;
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

  #take(): string | Bytes {
    const message = this.#messages[this.#first] as string | Bytes;
    this.#messages[this.#first++] = "";
    if (this.#first > 1024 && this.#first * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#first);
      this.#first = 0;
    }
    this.bytes -= weightOf(message);
    if (this.#isFull && this.bytes < this.#highWater / 2) {
      this.#isFull = false;
      this.#events.onRoom();
    }
    return message;
  }
}

/** Text takes two bytes for each unit at the most. */
function weightOf(message: string | Bytes): number {
  return MESSAGE_BYTES + (typeof message === "string" ? message.length * 2 : message.length);
}
