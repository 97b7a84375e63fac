import type { Bytes } from "../../formats/request.js";

/** Approximate memory of a message in addition to its content, in bytes. */
const MESSAGE_OVERHEAD_BYTES = 64;

type Result = IteratorResult<string | Bytes, undefined>;

interface Waiting {
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
}

/** Callbacks of a `MessageBuffer`. */
export interface BufferEvents {
  /** Called when the buffer exceeds its limit. */
  onFull(): void;
  /** Called when the buffer has shrunk to half of its limit. */
  onDrain(): void;
}

/** Queue of messages between a socket and the iteration over its messages. */
export class MessageBuffer {
  /** Approximate memory of the queued messages, in bytes. */
  bytes = 0;
  readonly #highWater: number;
  readonly #events: BufferEvents;
  /** The queued messages start at `#first`, because `shift` would move all of them. */
  #messages: (string | Bytes)[] = [];
  #first = 0;
  #isFull = false;
  #waiting: Waiting[] = [];
  #end: { readonly error: unknown } | undefined;

  constructor(highWater: number, events: BufferEvents) {
    this.#highWater = highWater;
    this.#events = events;
  }

  /** Adds a message, or passes it to a pending `next`. Ignored after the end. */
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

  /** Resolves with the next message. Settles with the end after all messages. */
  next(): Promise<Result> {
    if (this.#first < this.#messages.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#end !== undefined) return this.#ended();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /**
   * Ends the iteration after the queued messages, which `discard` drops. If `error` is not undefined, one call of `next`
   * rejects with it.
   */
  end(error: unknown, discard: boolean): void {
    if (discard) {
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
      this.#events.onDrain();
    }
    return message;
  }
}

/** Returns the approximate memory of a message. Text takes at most two bytes per UTF-16 code unit. */
function weightOf(message: string | Bytes): number {
  return MESSAGE_OVERHEAD_BYTES + (typeof message === "string" ? message.length * 2 : message.length);
}
