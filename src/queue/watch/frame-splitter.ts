import { EasDecodeError } from "../../errors.js";
import { pushChunk } from "../../platform/chunks.js";
import type { Bytes } from "../../request.js";

/** Bytes of the big-endian length before each frame (github.com/pai-eas/eas-golang-sdk, types/codec.go). */
const PREFIX = 4;

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
  /** Of the frame under way: its prefix, then its content. */
  #pieces: Bytes[] = [];
  #length = 0;

  /** A frame of more than `maxBytes` is an error, and takes no memory. */
  constructor(maxBytes: number, onFrame: (frame: Bytes) => void) {
    this.#maxBytes = maxBytes;
    this.#onFrame = onFrame;
  }

  /** Whether the stream may end here: between two frames. */
  get isBetweenFrames(): boolean {
    return this.#length === 0;
  }

  /** Takes the next piece. Throws `EasDecodeError` for a length that cannot be. */
  push(piece: Bytes): void {
    let rest = piece;
    if (this.#length > 0) {
      rest = this.#complete(piece);
      if (this.#length > 0) return;
    }
    let at = 0;
    while (rest.length - at >= PREFIX) {
      const size = this.#checked(sizeAt(rest, at));
      if (rest.length - at - PREFIX < size) break;
      // A frame of no bytes is nothing: a sign of life at the most.
      if (size > 0) this.#onFrame(rest.subarray(at + PREFIX, at + PREFIX + size));
      at += PREFIX + size;
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
    const head = this.#joined(PREFIX);
    const total = PREFIX + this.#checked(sizeAt(head, 0));
    if (this.#length < total) return piece.subarray(piece.length);
    const whole = this.#joined(this.#length);
    this.#pieces = [];
    this.#length = 0;
    return whole;
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

  #checked(size: number): number {
    if (size <= this.#maxBytes) return size;
    throw frameTooLarge(this.#maxBytes, size);
  }
}

function sizeAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x100_0000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}
