import { EasDecodeError } from "../../errors.js";
import type { Bytes } from "../request.js";
import { FIXED32, FIXED64, fromStrictUtf8, fromUtf8, LENGTH_DELIMITED, MAX_VARINT_BYTES, VARINT } from "./wire.js";

const START_GROUP = 3;
const END_GROUP = 4;
/** Deeper nesting than any real message has; a bound, since it is the sender who chooses it. */
const MAX_GROUP_DEPTH = 100;

/** Reads a message; every fault is an `EasDecodeError` that says at which byte. */
export class WireReader {
  readonly bytes: Bytes;
  readonly format: string;
  position: number;
  /** Where the message being read ends. */
  end: number;
  /** Set by `tag`. */
  field = 0;
  /** Set by `tag`. */
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

  /** Reads the next tag into `field` and `wireType`; false at the end of the message. */
  tag(): boolean {
    if (this.position >= this.end) return false;
    const start = this.position;
    const tag = this.varint();
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (this.field === 0 || tag > 0xffff_ffff) this.fail("a tag is not valid", start);
    return true;
  }

  /** A varint as a number; bits beyond 2^53 are lost, so only for tags, lengths and enums. */
  varint(): number {
    const { bytes, end, position: start } = this;
    // Most are one byte: all tags, and the lengths of what is small.
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

  /** A varint as a signed 64-bit integer. */
  int64(): bigint {
    const start = this.position;
    this.skipVarint();
    let value = 0n;
    for (let at = this.position - 1; at >= start; at--) {
      value = (value << 7n) | BigInt((this.bytes[at] as number) & 127);
    }
    return BigInt.asIntN(64, value);
  }

  /** The end of the length-delimited field that begins here, with the position set to its first byte. */
  delimitedEnd(): number {
    const start = this.position;
    const end = this.varint() + this.position;
    if (end > this.end) this.fail("a field is longer than the message", start);
    return end;
  }

  /** A length-delimited field as text. */
  text(): string {
    const end = this.delimitedEnd();
    const bytes = this.bytes.subarray(this.position, end);
    this.position = end;
    return fromUtf8(bytes);
  }

  /**
   * Reads a length-delimited field as text that names something, such as a key of a map. Fails when the bytes are not UTF-8:
   * with U+FFFD in their place, two different names could become equal.
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

  /** Reads a nested message by `read`, which sees nothing beyond it. */
  nested(read: () => void): void {
    const { end } = this;
    this.end = this.delimitedEnd();
    read();
    this.position = this.end;
    this.end = end;
  }

  /** Passes over the value of the field whose tag was read last. */
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

// Functions and no methods, so that bundles leave out what their formats have no field of.

const WORDS: DataView = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(8));

/** Reads a varint as an unsigned 64-bit integer. Not bit by bit as a bigint, which takes three times as long. */
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
  // Not by shifts of bigints, each of which makes another one.
  WORDS.setUint32(0, high);
  WORDS.setUint32(4, low);
  return WORDS.getBigUint64(0);
}

/** Reads a varint as a signed 32-bit integer; what is above is a sign, or is dropped, as all protobuf implementations do. */
export function readInt32(reader: WireReader): number {
  return Number(BigInt.asIntN(32, reader.int64()));
}
