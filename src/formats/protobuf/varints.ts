import type { Bytes } from "../request.js";
import { MAX_VARINT_BYTES } from "./wire.js";
import type { WireReader } from "./wire-reader.js";

/**
 * Counts the varints from the reader's position to `end` and checks that each is whole. Eight bytes at once: where lengths
 * follow no rule, a branch for each byte is guessed wrong for each varint, and that took half the time of a tensor.
 */
export function countVarints(reader: WireReader, end: number): number {
  const { bytes, position: start } = reader;
  const words = new DataView(bytes.buffer, bytes.byteOffset, end);
  let count = 0;
  let at = start;
  // A bit for each of the last 32 bytes, the newest lowest: set where another byte of the same varint follows.
  for (let followed = 0; end - at >= 8; at += 8) {
    const first = (words.getInt32(at, true) >>> 7) & 0x0101_0101;
    const second = (words.getInt32(at + 4, true) >>> 7) & 0x0101_0101;
    // The product puts the lowest bits of four bytes side by side.
    followed =
      (followed << 8) | ((Math.imul(first, 0x0804_0201) >>> 24) << 4) | (Math.imul(second, 0x0804_0201) >>> 24);
    // Where two, four, eight of them in a row are set; then ten, and the loop below says where that is.
    let row = followed & (followed >>> 1);
    row &= row >>> 2;
    row &= row >>> 4;
    if ((row & (row >>> 2)) !== 0) break;
    // This product has the sum of four bytes at its top.
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

/*
 * These loops take apart each varint step by step: as an inner loop over its bytes they take two to three times as long.
 * That every varint is whole was checked when they were counted.
 */

/** Reads the varints of `bytes` from `start` to `end` as signed 32-bit integers into `values`, from `first` on. */
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
            // What is above 32 bits is a sign, or is dropped, as all protobuf implementations do.
            while (byte > 127) byte = bytes[at++] as number;
          }
        }
      }
    }
    values[i++] = value;
  }
}

/** Reads varints as pairs of low and high 32 bits, the low ones at even places. */
export function readInt64Halves(bytes: Bytes, start: number, end: number, halves: Int32Array, first: number): void {
  let i = first;
  let at = start;
  while (at < end) {
    let byte = bytes[at++] as number;
    let low = byte & 127;
    let high = 0;
    // Left as soon as a byte is the varint's last; a label, since nesting goes ten levels deep.
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
