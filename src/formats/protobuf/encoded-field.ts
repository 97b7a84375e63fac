import type { Bytes } from "../request.js";
import { delimitedSize, LENGTH_DELIMITED, LITTLE_ENDIAN, tagSize, VARINT, varintSize } from "./wire.js";
import { MIN_PIECE_BYTES, WireWriter } from "./wire-writer.js";

/** A field that is ready to be written. Its size is known before anything is, so that nothing is written twice. */
export interface EncodedField {
  /** Bytes of the whole field, tags and lengths included; 0 when it is left out. */
  readonly size: number;
  /** Of these, bytes of memory that may be sent as it is. Default none. */
  readonly borrowed?: number;
  write(writer: WireWriter): void;
}

/** A field that is left out. */
export const NOTHING: EncodedField = { size: 0, write: () => {} };

/** Fields one after another. */
export function joined(parts: readonly EncodedField[]): EncodedField {
  let size = 0;
  let borrowed = 0;
  for (const part of parts) {
    size += part.size;
    borrowed += part.borrowed ?? 0;
  }
  return {
    size,
    borrowed,
    write(writer) {
      for (const part of parts) part.write(writer);
    },
  };
}

/** A length-delimited field, whose content `write` writes in `length` bytes, of which some may be `borrowed`. */
export function delimited(
  field: number,
  length: number,
  write: (writer: WireWriter) => void,
  borrowed = 0,
): EncodedField {
  return {
    size: delimitedSize(field, length),
    borrowed,
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
  return delimited(field, content.size, (writer) => content.write(writer), content.borrowed);
}

/** The elements of `values`, each of `width` bytes, as they lie in memory; without any it is left out. */
export function memory(field: number, values: ArrayBufferView, width: number): EncodedField {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength) as Bytes;
  const { length } = bytes;
  if (length === 0) return NOTHING;
  if (LITTLE_ENDIAN) {
    const borrowed = length < MIN_PIECE_BYTES ? 0 : length;
    return delimited(field, length, (writer) => writer.memory(bytes), borrowed);
  }
  return delimited(field, length, (writer) => {
    for (let at = 0; at < length; at += width) writer.raw(bytes.slice(at, at + width).reverse());
  });
}

/** Created on first use, because jest-environment-jsdom has no TextEncoder; shared, because creating one is as slow as encoding a name. */
let encoder: TextEncoder | undefined;
/** Up to so many characters, a loop is faster than a call out of the engine. */
const SHORT = 64;

function encode(value: string): Uint8Array {
  encoder ??= new TextEncoder();
  return encoder.encode(value);
}

/** A text or bytes; written although it may be empty. */
export function text(field: number, value: string | Uint8Array): EncodedField {
  const isPlain = typeof value !== "string" || (value.length <= SHORT && !/[^\0-\x7f]/.test(value));
  const content = isPlain ? value : encode(value);
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

/** The bytes of a message of these fields, in pieces: large memory as it is, and what is around it. */
export function inChunks(parts: readonly EncodedField[]): Bytes[] {
  const content = joined(parts);
  const pieces: Bytes[] = [];
  const writer = new WireWriter(content.size - (content.borrowed ?? 0), pieces);
  content.write(writer);
  writer.endPiece();
  return pieces;
}

/** The bytes of a message of these fields. */
export function serialized(parts: readonly EncodedField[]): Bytes {
  const content = joined(parts);
  const writer = new WireWriter(content.size);
  content.write(writer);
  return writer.bytes;
}

function int32Size(value: number): number {
  return value < 0 ? 10 : varintSize(value);
}
