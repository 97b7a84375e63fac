import type { Bytes } from "../request.js";

/*
 * These loops take apart each varint step by step: as an inner loop over its bytes they take two to three times as long.
 * That every varint is whole was checked when the response was read.
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
