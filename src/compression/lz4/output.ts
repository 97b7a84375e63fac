import type { Bytes } from "../../formats/request.js";

/** Maximum number of bytes for which a loop is faster than a built-in method. */
const SHORT = 32;

/** A growing buffer with a limit. */
export class Output {
  bytes: Bytes;
  length = 0;
  readonly #maxBytes: number;

  constructor(capacity: number, maxBytes: number) {
    this.bytes = new Uint8Array(capacity);
    this.#maxBytes = maxBytes;
  }

  /**
   * Allocates room for `count` more bytes. Throws a `RangeError`, before allocating memory, if the result would exceed
   * the limit.
   */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    if (needed > this.#maxBytes) throw new RangeError(`more than ${this.#maxBytes} bytes`);
    const grown = new Uint8Array(Math.min(this.#maxBytes, Math.max(needed, this.bytes.length * 2)));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  /** Appends `input` from `start` to `end`. */
  append(input: Uint8Array, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    copy(input, start, end, this.bytes, this.length);
    this.length += count;
  }

  /**
   * Appends a copy of `count` bytes of the output, starting `distance` bytes before the end. If `count` is greater than
   * `distance`, these bytes are repeated.
   */
  repeat(distance: number, count: number): void {
    this.reserve(count);
    const { bytes } = this;
    const end = this.length + count;
    if (count <= SHORT) {
      for (let at = this.length; at < end; at++) bytes[at] = bytes[at - distance] as number;
    } else {
      const from = this.length - distance;
      // Each copy doubles the number of bytes that the next copy can take without an overlap.
      for (let at = this.length; at < end; ) {
        const part = Math.min(at - from, end - at);
        bytes.copyWithin(at, from, from + part);
        at += part;
      }
    }
    this.length = end;
  }

  /** Returns the output in an array of exactly the right length. */
  finish(): Bytes {
    return this.length === this.bytes.length ? this.bytes : this.bytes.slice(0, this.length);
  }
}

/** Copies the bytes of `input` from `start` to `end` into `output`, starting at the position `at`. */
export function copy(input: Uint8Array, start: number, end: number, output: Uint8Array, at: number): void {
  if (end - start > SHORT) output.set(input.subarray(start, end), at);
  else for (let from = start, to = at; from < end; ) output[to++] = input[from++] as number;
}
