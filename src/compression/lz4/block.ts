import { copy, type Output } from "./output.js";

// The LZ4 block format, version 1.6.3. Written here since no library will do: lz4js begins matches too near to a block's
// end, so that the official decoder refuses every fifth block of mixed data, checks neither distances nor lengths when it reads, and
// takes 5 MiB when it is loaded; the others are native or WASM, which does not run everywhere.

const MIN_MATCH = 4;
/** No match begins nearer to a block's end: decoders copy in large steps until there. */
const LAST_MATCH_START = 12;
/** A block's last bytes are literals. */
const LAST_LITERALS = 5;
const MAX_DISTANCE = 65_535;
const HASH_BITS = 14;
/** A length of 15 in a token goes on in the bytes behind it. */
const LONG = 15;

/** The most bytes that a block of `length` bytes can take. */
export function compressedBound(length: number): number {
  return length + Math.ceil(length / 255) + 16;
}

/** The most bytes that a block in `length` bytes can hold: each of them makes a match at most 255 bytes longer. */
export function decompressedBound(length: number): number {
  return length * 255;
}

/** A table for `compressBlock`. */
export function newTable(): Int32Array {
  return new Int32Array(1 << HASH_BITS);
}

/**
 * Writes `input` from `start` to `end` as one block to `output` from `at` on, where `compressedBound` must have room;
 * returns where it ends. Whatever `table` holds is forgotten, so that the block needs none before it.
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
    // Positions are kept plus one: zero is none.
    const candidate = (table[slot] as number) - 1;
    table[slot] = position + 1;
    if (candidate < start || position - candidate > MAX_DISTANCE || wordAt(input, candidate) !== word) {
      // The longer nothing repeats, the larger the steps: data that cannot be compressed costs little.
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

/** Writes a token for the literals and a match behind them, and the literals. */
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

/** Writes what of a length has no room in the token. */
function writeLength(length: number, output: Uint8Array, at: number): number {
  if (length < LONG) return at;
  let next = at;
  let rest = length - LONG;
  for (; rest >= 255; rest -= 255) output[next++] = 255;
  output[next++] = rest;
  return next;
}

/**
 * Appends what the block in `input` from `start` to `end` holds. Matches reach back to `floor` in the output at most.
 * Throws for what is no block, and the output's `RangeError`.
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
      // No encoder leaves the length of a match in the last token.
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
