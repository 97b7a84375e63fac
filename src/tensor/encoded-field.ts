import type { Bytes } from "../request.js";
import { delimitedSize, LENGTH_DELIMITED, tagSize, VARINT, varintSize, WireWriter } from "../wire/wire.js";

/** A field that is ready to be written. Its size is known before anything is, so that nothing is written twice. */
export interface EncodedField {
  /** Bytes of the whole field, tags and lengths included; 0 when it is left out. */
  readonly size: number;
  write(writer: WireWriter): void;
}

/** A field that is left out. */
export const NOTHING: EncodedField = { size: 0, write: () => {} };

/** Fields one after another. */
export function joined(parts: readonly EncodedField[]): EncodedField {
  let size = 0;
  for (const part of parts) size += part.size;
  return {
    size,
    write(writer) {
      for (const part of parts) part.write(writer);
    },
  };
}

/** A length-delimited field, whose content `write` writes in `length` bytes. */
export function delimited(field: number, length: number, write: (writer: WireWriter) => void): EncodedField {
  return {
    size: delimitedSize(field, length),
    write(writer) {
      writer.tag(field, LENGTH_DELIMITED);
      writer.varint(length);
      write(writer);
    },
  };
}

/** A packed field of `length` bytes; without any it is left out. */
export function packed(field: number, length: number, write: (writer: WireWriter) => void): EncodedField {
  return length === 0 ? NOTHING : delimited(field, length, write);
}

/** A message in a message; written although it may be empty. */
export function message(field: number, parts: readonly EncodedField[]): EncodedField {
  const content = joined(parts);
  return delimited(field, content.size, (writer) => content.write(writer));
}

/** One for all: making it takes as long as what it does for a name. */
const encoder = /* @__PURE__ */ new TextEncoder();
/** Up to so many characters, a loop is faster than a call out of the engine. */
const SHORT = 64;

/** A text or bytes; written although it may be empty. */
export function text(field: number, value: string | Uint8Array): EncodedField {
  const isPlain = typeof value !== "string" || (value.length <= SHORT && !/[^\0-\x7f]/.test(value));
  const content = isPlain ? value : encoder.encode(value);
  return delimited(field, content.length, (writer) => writer.raw(content));
}

/** An int32; written although it may be 0. */
export function int32(field: number, value: number): EncodedField {
  return {
    size: tagSize(field) + int32Size(value),
    write(writer) {
      writer.tag(field, VARINT);
      writer.int32(value);
    },
  };
}

/** Packed int32 values; without any it is left out. */
export function packedInt32s(field: number, values: readonly number[]): EncodedField {
  let length = 0;
  for (const value of values) length += int32Size(value);
  return packed(field, length, (writer) => {
    for (const value of values) writer.int32(value);
  });
}

/** Packed sizes of dimensions, which are non-negative safe integers; without any it is left out. */
export function packedSizes(field: number, values: readonly number[]): EncodedField {
  let length = 0;
  for (const value of values) length += varintSize(value);
  return packed(field, length, (writer) => {
    for (const value of values) writer.varint(value);
  });
}

/** The bytes of a message of these fields. */
export function serialised(parts: readonly EncodedField[]): Bytes {
  const content = joined(parts);
  const writer = new WireWriter(content.size);
  content.write(writer);
  return writer.bytes;
}

function int32Size(value: number): number {
  return value < 0 ? 10 : varintSize(value);
}
