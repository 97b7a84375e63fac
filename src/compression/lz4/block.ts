import { copy, type Output } from "./output.js";

// The LZ4 block format, version 1.6.3. It is implemented here because no existing library is suitable. lz4js starts
// matches too close to the end of a block, so the official decoder rejects one in five of its blocks for mixed data. It
// also does not check distances or lengths during decompression, and allocates 5 MiB when loaded. Other libraries are
// native or WebAssembly, which not every runtime can load.

const MIN_MATCH = 4;
/**
 * Minimum distance from the start of a match to the end of its block, in bytes. Decoders rely on this distance to copy
 * many bytes at once.
 */
const LAST_MATCH_START = 12;
/** Number of bytes at the end of a block that must be literals. */
const LAST_LITERALS = 5;
const MAX_DISTANCE = 65_535;
const HASH_BITS = 14;
/** A length in a token that means that more length bytes follow. */
const LONG = 15;

/** Returns the maximum size of a block for `length` bytes of input. */
export function compressedBound(length: number): number {
  return length + Math.ceil(length / 255) + 16;
}

/**
 * Returns the maximum decompressed size of a block of `length` bytes. Each byte of the block extends a match by at most
 * 255 bytes.
 */
export function decompressedBound(length: number): number {
  return length * 255;
}

/** Creates a table for `compressBlock`. */
export function newTable(): Int32Array {
  return new Int32Array(1 << HASH_BITS);
}

/**
 * Compresses `input` from `start` to `end` to one block, and writes it to `output` at position `at`, where
 * `compressedBound` bytes must be free. Returns the end position of the block. Clears `table`, so that the block does
 * not depend on earlier blocks.
 */
export function compressBlock(
  input: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  at: number,
  table: Int32Array,
): number {
  table.fill(0);
  const lastStart = end - LAST_MATCH_START;
  const lastEnd = end - LAST_LITERALS;
  let next = at;
  let anchor = start;
  let misses = 0;
  for (let position = start; position <= lastStart; ) {
    const word = wordAt(input, position);
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
    // The table contains each position plus one, so that zero represents an empty slot.
    const candidate = (table[slot] as number) - 1;
    table[slot] = position + 1;
    if (candidate < start || position - candidate > MAX_DISTANCE || wordAt(input, candidate) !== word) {
      // Increase the step as long as no match is found, because incompressible data would otherwise take much more
      // time.
      position += 1 + (misses++ >>> 6);
      continue;
    }
    misses = 0;
    let length = MIN_MATCH;
    while (position + length < lastEnd && input[position + length] === input[candidate + length]) length++;
    next = writeLiterals(input, anchor, position, length - MIN_MATCH, output, next);
    const distance = position - candidate;
    output[next++] = distance & 0xff;
    output[next++] = distance >>> 8;
    next = writeLength(length - MIN_MATCH, output, next);
    position += length;
    anchor = position;
  }
  return writeLiterals(input, anchor, end, 0, output, next);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** Writes literals, preceded by a token for the literals and for the match that follows them. */
function writeLiterals(
  input: Uint8Array,
  start: number,
  end: number,
  match: number,
  output: Uint8Array,
  at: number,
): number {
  const count = end - start;
  output[at] = (Math.min(count, LONG) << 4) | Math.min(match, LONG);
  const next = writeLength(count, output, at + 1);
  copy(input, start, end, output, next);
  return next + count;
}

/** Writes the part of a length that does not fit into the token. */
function writeLength(length: number, output: Uint8Array, at: number): number {
  if (length < LONG) return at;
  let next = at;
  let rest = length - LONG;
  for (; rest >= 255; rest -= 255) output[next++] = 255;
  output[next++] = rest;
  return next;
}

/**
 * Appends the content of the block in `input` from `start` to `end`. Matches can refer to the output from position
 * `floor` onward. Throws an `Error` if the block is invalid, and a `RangeError` if the output exceeds its limit.
 */
export function decompressBlock(input: Uint8Array, start: number, end: number, output: Output, floor: number): void {
  let at = start;
  const longLength = (): number => {
    for (let length = LONG; ; ) {
      if (at >= end) throw new Error("the LZ4 block ends within a length");
      const byte = input[at++] as number;
      length += byte;
      if (byte !== 255) return length;
    }
  };
  for (;;) {
    if (at >= end) throw new Error("the LZ4 block ends without its last literals");
    const token = input[at++] as number;
    const literals = token >>> 4 === LONG ? longLength() : token >>> 4;
    if (literals > end - at) throw new Error("the LZ4 block ends within literals");
    output.append(input, at, at + literals);
    at += literals;
    if (at === end) {
      // The last token of a block has no match, so every encoder sets the match length to 0.
      if ((token & LONG) !== 0) throw new Error("the LZ4 block ends within a match");
      return;
    }
    if (end - at < 2) throw new Error("the LZ4 block ends within a distance");
    const distance = (input[at] as number) | ((input[at + 1] as number) << 8);
    at += 2;
    if (distance === 0 || distance > output.length - floor) {
      throw new Error(
        `the LZ4 block has a match ${distance} bytes back, but only ${output.length - floor} bytes precede it`,
      );
    }
    const length = (token & LONG) === LONG ? longLength() : token & LONG;
    output.repeat(distance, length + MIN_MATCH);
  }
}
