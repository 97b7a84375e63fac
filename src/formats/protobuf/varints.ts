import type { Bytes } from "../request.js";
import { MAX_VARINT_BYTES } from "./wire.js";
import type { WireReader } from "./wire-reader.js";

/**
 * Counts the varints from the reader's position to `end`, and checks that each varint is complete. Reads eight bytes at
 * a time. With a branch for each byte, half of the time needed to read a tensor was lost to branch mispredictions for
 * varints of mixed length.
 */
export function countVarints(reader: WireReader, end: number): number {
  const { bytes, position: start } = reader;
  const words = new DataView(bytes.buffer, bytes.byteOffset, end);
  let count = 0;
  let at = start;
  // `followed` has one bit for each of the last 32 bytes, with the latest byte in the lowest bit. A bit is set if the
  // varint continues after that byte.
  for (let followed = 0; end - at >= 8; at += 8) {
    const first = (words.getInt32(at, true) >>> 7) & 0x0101_0101;
    const second = (words.getInt32(at + 4, true) >>> 7) & 0x0101_0101;
    // The product collects the lowest bit of four bytes in adjacent bits.
    followed =
      (followed << 8) | ((Math.imul(first, 0x0804_0201) >>> 24) << 4) | (Math.imul(second, 0x0804_0201) >>> 24);
    // These steps find runs of two, four, eight and ten set bits. A run of ten is an error; the loop below determines
    // its position.
    let row = followed & (followed >>> 1);
    row &= row >>> 2;
    row &= row >>> 4;
    if ((row & (row >>> 2)) !== 0) break;
    // The highest byte of the product contains the sum of four bytes.
    count += 8 - (Math.imul(first + second, 0x0101_0101) >>> 24);
  }
  let begin = at;
  while (begin > start && (bytes[begin - 1] as number) > 127) begin--;
  for (; at < end; at++) {
    if ((bytes[at] as number) < 128) {
      count++;
      if (at - begin >= MAX_VARINT_BYTES) reader.fail("a varint has more than ten bytes", begin);
      begin = at + 1;
    }
  }
  if (begin !== end) reader.fail("a varint is truncated", begin);
  return count;
}

/**
 * The functions below are unrolled over the bytes of a varint. An inner loop would take two to three times as long.
 * They rely on `countVarints` to check that every varint is complete.
 */

/**
 * Reads the varints in `bytes` from `start` to `end` as signed 32-bit integers and writes them to `values`, starting at
 * index `first`.
 */
export function readInt32s(bytes: Bytes, start: number, end: number, values: Int32Array, first: number): void {
  let i = first;
  let at = start;
  while (at < end) {
    let byte = bytes[at++] as number;
    let value = byte;
    if (byte > 127) {
      byte = bytes[at++] as number;
      value = (value & 127) | (byte << 7);
      if (byte > 127) {
        byte = bytes[at++] as number;
        value = (value & 0x3fff) | (byte << 14);
        if (byte > 127) {
          byte = bytes[at++] as number;
          value = (value & 0x1f_ffff) | (byte << 21);
          if (byte > 127) {
            byte = bytes[at++] as number;
            value = (value & 0xfff_ffff) | (byte << 28);
            // The bits above 32 repeat the sign or are dropped, as in all protobuf implementations.
            while (byte > 127) byte = bytes[at++] as number;
          }
        }
      }
    }
    values[i++] = value;
  }
}

/**
 * Reads varints as 64-bit integers, each split into its low and high 32 bits. The low bits are at even indexes in
 * `halves`.
 */
export function readInt64Halves(bytes: Bytes, start: number, end: number, halves: Int32Array, first: number): void {
  let i = first;
  let at = start;
  while (at < end) {
    let byte = bytes[at++] as number;
    let low = byte & 127;
    let high = 0;
    // A label leaves the block after the last byte of a varint. Nested conditions would be ten levels deep.
    // biome-ignore lint/suspicious/noConfusingLabels: see above
    varint: {
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      low |= (byte & 127) << 7;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      low |= (byte & 127) << 14;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      low |= (byte & 127) << 21;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      low |= byte << 28;
      high = (byte & 127) >>> 4;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      high |= (byte & 127) << 3;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      high |= (byte & 127) << 10;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      high |= (byte & 127) << 17;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      high |= (byte & 127) << 24;
      if (byte < 128) break varint;
      byte = bytes[at++] as number;
      high |= byte << 31;
    }
    halves[i] = low;
    halves[i + 1] = high;
    i += 2;
  }
}
