import { EasDecodeError } from "../../../errors.js";
import type { Bytes } from "../../../formats/request.js";
import { pushChunk } from "../../../platform/chunks.js";

/** Size of each frame's big-endian length prefix, in bytes (github.com/pai-eas/eas-golang-sdk, types/codec.go). */
const PREFIX = 4;
/** Number of bytes at the start of a frame that are sufficient to read its index. */
export const FRAME_HEAD_BYTES = 64;
/** Maximum size of a protobuf message in bytes. A greater value cannot be a frame length. */
const MAX_MESSAGE_BYTES = 2 ** 31;

/** Creates the error for a frame that is larger than the client allows. `size` is undefined if it is unknown. */
export function frameTooLarge(maxBytes: number, size: number | undefined): EasDecodeError {
  const frame = size === undefined ? "a frame" : `a frame of ${size} bytes`;
  return new EasDecodeError(`${frame} is larger than the limit of ${maxBytes} bytes (maxResponseBytes)`, {
    format: "queue",
    attempts: 1,
  });
}

/** Splits a stream of bytes into frames. A chunk may end at any position in a frame. */
export class FrameSplitter {
  readonly #maxBytes: number;
  readonly #onFrame: (frame: Bytes) => void;
  readonly #onTooLarge: (head: Bytes, size: number) => void;
  /** Chunks of the incomplete frame, including its length prefix. */
  #chunks: Bytes[] = [];
  #length = 0;
  /** Number of bytes left to skip in the current frame. */
  #skipping = 0;

  /**
   * For a frame larger than `maxBytes`, the first bytes are passed to `onTooLarge` and the rest is skipped without
   * being kept in memory. Without `onTooLarge`, `push` throws an `EasDecodeError` for such a frame.
   */
  constructor(maxBytes: number, onFrame: (frame: Bytes) => void, onTooLarge?: (head: Bytes, size: number) => void) {
    this.#maxBytes = maxBytes;
    this.#onFrame = onFrame;
    this.#onTooLarge =
      onTooLarge ??
      ((_, size) => {
        throw frameTooLarge(maxBytes, size);
      });
  }

  /** Whether the last received byte is the end of a frame. */
  get isBetweenFrames(): boolean {
    return this.#length === 0 && this.#skipping === 0;
  }

  /** Handles the next chunk. Throws `EasDecodeError` for an invalid length. */
  push(chunk: Bytes): void {
    let rest = chunk;
    if (this.#length > 0) {
      rest = this.#complete(chunk);
      if (this.#length > 0) return;
    }
    let at = this.#skip(rest, 0);
    while (rest.length - at >= PREFIX) {
      const size = this.#checked(sizeAt(rest, at));
      if (rest.length - at - PREFIX < this.#needed(size)) break;
      at += PREFIX;
      if (size > this.#maxBytes) {
        this.#onTooLarge(rest.subarray(at, at + this.#needed(size)), size);
        this.#skipping = size;
        at = this.#skip(rest, at);
        continue;
      }
      // Empty frames only keep the connection alive, so they are ignored.
      if (size > 0) this.#onFrame(rest.subarray(at, at + size));
      at += size;
    }
    if (at < rest.length) {
      this.#chunks = [rest.subarray(at)];
      this.#length = rest.length - at;
    }
  }

  /**
   * Adds a chunk to the incomplete frame. Returns the frame's bytes once it is complete, or an empty array before that.
   */
  #complete(chunk: Bytes): Bytes {
    pushChunk(this.#chunks, chunk);
    this.#length += chunk.length;
    if (this.#length < PREFIX) return chunk.subarray(chunk.length);
    const total = PREFIX + this.#needed(this.#checked(sizeAt(this.#joined(PREFIX), 0)));
    if (this.#length < total) return chunk.subarray(chunk.length);
    const whole = this.#joined(this.#length);
    this.#chunks = [];
    this.#length = 0;
    return whole;
  }

  /** Skips bytes of a frame that is too large. Returns the position after them. */
  #skip(bytes: Bytes, at: number): number {
    const skipped = Math.min(this.#skipping, bytes.length - at);
    this.#skipping -= skipped;
    return at + skipped;
  }

  /** Returns the first `length` bytes of the collected chunks as a single array. */
  #joined(length: number): Bytes {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= length && this.#chunks.length === 1) return first;
    const joined = new Uint8Array(length);
    let at = 0;
    for (const chunk of this.#chunks) {
      const part = chunk.subarray(0, length - at);
      joined.set(part, at);
      at += part.length;
      if (at === length) break;
    }
    return joined;
  }

  /** Returns the number of bytes needed to process a frame. For a frame that is too large, only its start is needed. */
  #needed(size: number): number {
    return size > this.#maxBytes ? Math.min(size, FRAME_HEAD_BYTES) : size;
  }

  #checked(size: number): number {
    if (size < MAX_MESSAGE_BYTES || size <= this.#maxBytes) return size;
    throw frameTooLarge(this.#maxBytes, size);
  }
}

function sizeAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x100_0000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}
