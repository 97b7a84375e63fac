import { EasDecodeError } from "../errors.js";
import type { Bytes } from "../request.js";

/**
 * The protobuf wire format, as far as tensors need it: https://protobuf.dev/programming-guides/encoding. Written by hand
 * because a packed `repeated float` is the little-endian memory of a `Float32Array`, which a general codec copies number
 * by number.
 */

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
const START_GROUP = 3;
const END_GROUP = 4;
export const FIXED32 = 5;

/** The fields of a map's entry. */
export const MAP_KEY = 1;
export const MAP_VALUE = 2;

/** Deeper nesting than any real message has; a bound, since it is the sender who chooses it. */
const MAX_GROUP_DEPTH = 100;
/** Bytes of the longest varint: 64 bits, seven in a byte. */
export const MAX_VARINT_BYTES = 10;

/** Drops nothing: a byte order mark is a character like any other here. One for all, since making it takes longer than a name. */
const decoder = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true });

/** Text of UTF-8; bytes that are none become U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Whether typed arrays have the byte order of the wire. All current hosts have. */
export const LITTLE_ENDIAN: boolean = /* @__PURE__ */ (() => new Uint8Array(new Uint16Array([1]).buffer)[0] === 1)();

/** Bytes that a varint of a non-negative safe integer takes. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Bytes that a length-delimited field of `length` bytes takes, with tag and length. The field number is below 2,048. */
export function delimitedSize(field: number, length: number): number {
  return tagSize(field) + varintSize(length) + length;
}

/** Bytes that a field's tag takes. */
export function tagSize(field: number): number {
  return field < 16 ? 1 : 2;
}

/** Writes into an array whose size was computed before, so that nothing is ever joined or copied again. */
export class WireWriter {
  readonly bytes: Bytes;
  position = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** A non-negative safe integer. */
  varint(value: number): void {
    const { bytes } = this;
    let rest = value;
    while (rest >= 128) {
      bytes[this.position++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    bytes[this.position++] = rest;
  }

  /** A signed 32-bit integer; negative ones take ten bytes, as protobuf extends their sign to 64 bits. */
  int32(value: number): void {
    if (value >= 0) return this.varint(value);
    const { bytes } = this;
    let at = this.position;
    bytes[at++] = (value & 127) | 128;
    bytes[at++] = ((value >>> 7) & 127) | 128;
    bytes[at++] = ((value >>> 14) & 127) | 128;
    bytes[at++] = ((value >>> 21) & 127) | 128;
    bytes[at++] = ((value >>> 28) & 15) | 240;
    bytes[at++] = 255;
    bytes[at++] = 255;
    bytes[at++] = 255;
    bytes[at++] = 255;
    bytes[at++] = 1;
    this.position = at;
  }

  /** Bytes, or a text of ASCII. */
  raw(content: Uint8Array | string): void {
    if (typeof content === "string") {
      for (let i = 0; i < content.length; i++) this.bytes[this.position++] = content.charCodeAt(i);
    } else {
      this.bytes.set(content, this.position);
      this.position += content.length;
    }
  }

  /** Tag, length and bytes of a field. */
  delimited(field: number, bytes: Uint8Array): void {
    this.tag(field, LENGTH_DELIMITED);
    this.varint(bytes.length);
    this.raw(bytes);
  }
}

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
    throw new EasDecodeError(`the response is no ${this.format} message: ${why} at byte ${offset}`, {
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
    if (this.field === 0 || tag > 0xffff_ffff) this.fail("no valid tag", start);
    return true;
  }

  /** A varint as a number; bits beyond 2^53 are lost, so only for tags, lengths and enums. */
  varint(): number {
    const { bytes, end } = this;
    const start = this.position;
    let value = 0;
    let scale = 1;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      value += (byte & 127) * scale;
      if (byte < 128) {
        this.position = at + 1;
        return value;
      }
      if (at - start === MAX_VARINT_BYTES - 1) this.fail("a varint of more than ten bytes", start);
      scale *= 128;
    }
    return this.fail("a varint is cut off", start);
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
          else this.fail("a group ends that was not begun");
        }
        this.fail("a group has no end", start);
        break;
      default:
        this.fail(`wire type ${wireType} of field ${field}`, start);
    }
    if (this.position > this.end) this.fail("a field is cut off", start);
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
    this.fail(limit === end ? "a varint is cut off" : "a varint of more than ten bytes", start);
  }
}

// Functions and no methods, so that bundles leave out what their formats have no field of.

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
  return high === 0 ? BigInt(low >>> 0) : (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** Reads a varint as a signed 32-bit integer; what is above is a sign, or is dropped, as all protobuf implementations do. */
export function readInt32(reader: WireReader): number {
  return Number(BigInt.asIntN(32, reader.int64()));
}
