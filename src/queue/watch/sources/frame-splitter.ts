import { EasDecodeError } from "../../../errors.js";
import type { Bytes } from "../../../formats/request.js";
import { pushChunk } from "../../../platform/chunks.js";

/** Bytes of the big-endian length before each frame (github.com/pai-eas/eas-golang-sdk, types/codec.go). */
const PREFIX = 4;
/** Bytes of a frame that hold its index, which comes first. */
export const FRAME_HEAD_BYTES = 64;
/** Protobuf messages are smaller than this. A larger length does not belong to a frame. */
const MAX_MESSAGE_BYTES = 2 ** 31;

/** The error for a frame that is larger than the client allows; `size` where it is known. */
export function frameTooLarge(maxBytes: number, size: number | undefined): EasDecodeError {
  const frame = size === undefined ? "a frame" : `a frame of ${size} bytes`;
  return new EasDecodeError(`${frame} is larger than the limit of ${maxBytes} bytes (maxResponseBytes)`, {
    format: "queue",
    attempts: 1,
  });
}

/** Takes a stream of bytes apart into the frames in it, however it was cut into pieces. */
export class FrameSplitter {
  readonly #maxBytes: number;
  readonly #onFrame: (frame: Bytes) => void;
  readonly #onTooLarge: (head: Bytes, size: number) => void;
  /** Of the frame under way: its prefix, then its content. */
  #pieces: Bytes[] = [];
  #length = 0;
  /** Bytes still to come of a frame that is skipped. */
  #skipping = 0;

  /**
   * A frame of more than `maxBytes` takes no memory: `onTooLarge` gets its first bytes, and the rest is skipped. Without it, or
   * when it throws, the stream ends with an `EasDecodeError`.
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

  /** Whether the stream may end here: between two frames. */
  get isBetweenFrames(): boolean {
    return this.#length === 0 && this.#skipping === 0;
  }

  /** Takes the next piece. Throws `EasDecodeError` for a length that cannot be. */
  push(piece: Bytes): void {
    let rest = piece;
    if (this.#length > 0) {
      rest = this.#complete(piece);
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
      // A frame without bytes is at most a sign of life.
      if (size > 0) this.#onFrame(rest.subarray(at, at + size));
      at += size;
    }
    if (at < rest.length) {
      this.#pieces = [rest.subarray(at)];
      this.#length = rest.length - at;
    }
  }

  /** Adds to the frame under way; gives what is behind it when it is whole, and keeps on waiting when it is not. */
  #complete(piece: Bytes): Bytes {
    pushChunk(this.#pieces, piece);
    this.#length += piece.length;
    if (this.#length < PREFIX) return piece.subarray(piece.length);
    const total = PREFIX + this.#needed(this.#checked(sizeAt(this.#joined(PREFIX), 0)));
    if (this.#length < total) return piece.subarray(piece.length);
    const whole = this.#joined(this.#length);
    this.#pieces = [];
    this.#length = 0;
    return whole;
  }

  /** Passes over what `bytes` has of a frame that is skipped; gives where that ends. */
  #skip(bytes: Bytes, at: number): number {
    const skipped = Math.min(this.#skipping, bytes.length - at);
    this.#skipping -= skipped;
    return at + skipped;
  }

  /** The first bytes of the pieces, or all, as one. */
  #joined(length: number): Bytes {
    const [first] = this.#pieces;
    if (first !== undefined && first.length >= length && this.#pieces.length === 1) return first;
    const joined = new Uint8Array(length);
    let at = 0;
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, length - at);
      joined.set(part, at);
      at += part.length;
      if (at === length) break;
    }
    return joined;
  }

  /** Bytes of a frame that must be there before it is handed over: all, or its head. */
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
