import { EasDecodeError } from "../../errors.js";
import type { Bytes } from "../request.js";
import { FIXED32, FIXED64, fromStrictUtf8, fromUtf8, LENGTH_DELIMITED, MAX_VARINT_BYTES, VARINT } from "./wire.js";

const START_GROUP = 3;
const END_GROUP = 4;
/** Maximum nesting depth of groups, which no real message reaches. Limits the recursion that a response can cause. */
const MAX_GROUP_DEPTH = 100;

/** Reads a protobuf message. Throws `EasDecodeError` with the position of the invalid byte. */
export class WireReader {
  readonly bytes: Bytes;
  readonly format: string;
  position: number;
  /** The end of the current message. */
  end: number;
  /** Field number of the last tag. */
  field = 0;
  /** Wire type of the last tag. */
  wireType = 0;

  constructor(bytes: Bytes, format: string) {
    this.bytes = bytes;
    this.format = format;
    this.position = 0;
    this.end = bytes.length;
  }

  fail(why: string, offset: number = this.position): never {
    throw new EasDecodeError(`the response is not a valid ${this.format} message: ${why} at byte ${offset}`, {
      format: this.format,
      offset,
    });
  }

  /** Reads the next tag into `field` and `wireType`. Returns false at the end of the message. */
  tag(): boolean {
    if (this.position >= this.end) return false;
    const start = this.position;
    const tag = this.varint();
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (this.field === 0 || tag > 0xffff_ffff) this.fail("a tag is not valid", start);
    return true;
  }

  /**
   * Reads a varint as a number. Numbers above 2^53 lose precision, so this method is only suitable for tags, lengths
   * and enums.
   */
  varint(): number {
    const { bytes, end, position: start } = this;
    // Fast path: most varints, such as tags with low field numbers and lengths of short fields, have one byte.
    if (start < end && (bytes[start] as number) < 128) return bytes[this.position++] as number;
    let value = 0;
    let scale = 1;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      value += (byte & 127) * scale;
      if (byte < 128) {
        this.position = at + 1;
        return value;
      }
      if (at - start === MAX_VARINT_BYTES - 1) this.fail("a varint has more than ten bytes", start);
      scale *= 128;
    }
    return this.fail("a varint is truncated", start);
  }

  /** Reads a varint as a signed 64-bit integer. */
  int64(): bigint {
    const start = this.position;
    this.skipVarint();
    let value = 0n;
    for (let at = this.position - 1; at >= start; at--) {
      value = (value << 7n) | BigInt((this.bytes[at] as number) & 127);
    }
    return BigInt.asIntN(64, value);
  }

  /**
   * Reads the length of a length-delimited field and returns the position where the field ends. Moves the reader to the
   * first byte of the content.
   */
  delimitedEnd(): number {
    const start = this.position;
    const end = this.varint() + this.position;
    if (end > this.end) this.fail("a field is longer than the message", start);
    return end;
  }

  /** Reads a length-delimited field as text. */
  text(): string {
    const end = this.delimitedEnd();
    const bytes = this.bytes.subarray(this.position, end);
    this.position = end;
    return fromUtf8(bytes);
  }

  /**
   * Reads a length-delimited field as text that identifies something, such as the key of a map. Fails if the bytes are
   * not UTF-8, because replacing them with U+FFFD could make two different names equal.
   */
  name(): string {
    const end = this.delimitedEnd();
    const start = this.position;
    this.position = end;
    try {
      return fromStrictUtf8(this.bytes.subarray(start, end));
    } catch {
      return this.fail("a string is not UTF-8", start);
    }
  }

  /** Calls `read` with `end` set to the end of the nested message at the current position. */
  nested(read: () => void): void {
    const { end } = this;
    this.end = this.delimitedEnd();
    read();
    this.position = this.end;
    this.end = end;
  }

  /** Skips the value of the field whose tag was just read. */
  skip(depth = 0): void {
    const { field, wireType } = this;
    const start = this.position;
    switch (wireType) {
      case VARINT:
        this.skipVarint();
        return;
      case FIXED64:
        this.position += 8;
        break;
      case FIXED32:
        this.position += 4;
        break;
      case LENGTH_DELIMITED:
        this.position = this.delimitedEnd();
        return;
      case START_GROUP:
        if (depth === MAX_GROUP_DEPTH) this.fail("groups are nested too deeply", start);
        while (this.tag()) {
          if (this.wireType !== END_GROUP) this.skip(depth + 1);
          else if (this.field === field) return;
          else this.fail("a group ends without a start");
        }
        this.fail("a group has no end", start);
        break;
      default:
        this.fail(`field ${field} has the unexpected wire type ${wireType}`, start);
    }
    if (this.position > this.end) this.fail("a field is truncated", start);
  }

  skipVarint(): void {
    const { bytes, end } = this;
    const start = this.position;
    const limit = Math.min(end, start + MAX_VARINT_BYTES);
    for (let at = start; at < limit; at++) {
      if ((bytes[at] as number) < 128) {
        this.position = at + 1;
        return;
      }
    }
    this.fail(limit === end ? "a varint is truncated" : "a varint has more than ten bytes", start);
  }
}

// These are functions instead of methods so that bundlers can remove those that a page does not use.

const WORDS: DataView = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(8));

/** Reads a varint as an unsigned 64-bit integer. Building the bigint in small steps would take three times as long. */
export function readUint64(reader: WireReader): bigint {
  const { bytes, position: start } = reader;
  reader.skipVarint();
  let low = 0;
  let high = 0;
  for (let at = start, shift = 0; at < reader.position; at++, shift += 7) {
    const bits = (bytes[at] as number) & 127;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high = bits >>> 4;
    } else high |= bits << (shift - 32);
  }
  if (high === 0) return BigInt(low >>> 0);
  // Use a DataView, because shifting bigints would create a new bigint for each shift.
  WORDS.setUint32(0, high);
  WORDS.setUint32(4, low);
  return WORDS.getBigUint64(0);
}

/**
 * Reads a varint as a signed 32-bit integer. Higher bits repeat the sign or are dropped, as in all protobuf
 * implementations.
 */
export function readInt32(reader: WireReader): number {
  return Number(BigInt.asIntN(32, reader.int64()));
}
