import type { Bytes } from "../request.js";
import { delimitedSize, LENGTH_DELIMITED, LITTLE_ENDIAN, tagSize, VARINT, varintSize } from "./wire.js";
import { MIN_CHUNK_BYTES, WireWriter } from "./wire-writer.js";

/**
 * An encoded field whose size is known before it is written, so that a message can be written in one pass into a buffer
 * of exactly the right size.
 */
export interface EncodedField {
  /** Size of the field in bytes, including tags and lengths. 0 if the field is omitted. */
  readonly size: number;
  /** Number of these bytes that are in the caller's memory and can be sent without a copy. Default 0. */
  readonly borrowed?: number;
  write(writer: WireWriter): void;
}

/** A field that is omitted. */
export const NOTHING: EncodedField = { size: 0, write: () => {} };

/** Combines fields into one. */
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

/**
 * Creates a length-delimited field. `write` writes its content of `length` bytes, of which `borrowed` bytes are in the
 * caller's memory.
 */
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

/** Creates a packed field of `length` bytes. The field is omitted if it is empty. */
export function packed(field: number, length: number, write: (writer: WireWriter) => void): EncodedField {
  return length === 0 ? NOTHING : delimited(field, length, write);
}

/** Creates a nested message. The message is written even if it is empty. */
export function message(field: number, parts: readonly EncodedField[]): EncodedField {
  const content = joined(parts);
  return delimited(field, content.size, (writer) => content.write(writer), content.borrowed);
}

/**
 * Creates a field that contains the memory of `values`, whose elements are `width` bytes wide. The field is omitted if
 * it is empty.
 */
export function memory(field: number, values: ArrayBufferView, width: number): EncodedField {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength) as Bytes;
  const { length } = bytes;
  if (length === 0) return NOTHING;
  if (LITTLE_ENDIAN) {
    const borrowed = length < MIN_CHUNK_BYTES ? 0 : length;
    return delimited(field, length, (writer) => writer.memory(bytes), borrowed);
  }
  return delimited(field, length, (writer) => {
    for (let at = 0; at < length; at += width) writer.raw(bytes.slice(at, at + width).reverse());
  });
}

/**
 * A shared encoder, because creating an encoder takes as long as encoding a name. Created on first use, because
 * jest-environment-jsdom does not have TextEncoder.
 */
let encoder: TextEncoder | undefined;
/** Maximum number of characters for which a loop is faster than TextEncoder. */
const SHORT = 64;

function encode(value: string): Uint8Array {
  encoder ??= new TextEncoder();
  return encoder.encode(value);
}

/** Creates a field of text or bytes, which is written even if it is empty. */
export function text(field: number, value: string | Uint8Array): EncodedField {
  const isPlain = typeof value !== "string" || (value.length <= SHORT && !/[^\0-\x7f]/.test(value));
  const content = isPlain ? value : encode(value);
  return delimited(field, content.length, (writer) => writer.raw(content));
}

/** Creates an int32 field, which is written even if it is 0. */
export function int32(field: number, value: number): EncodedField {
  return {
    size: tagSize(field) + int32Size(value),
    write(writer) {
      writer.tag(field, VARINT);
      writer.int32(value);
    },
  };
}

/** Creates a packed field of int32 values, which is omitted if it is empty. */
export function packedInt32s(field: number, values: readonly number[]): EncodedField {
  let length = 0;
  for (const value of values) length += int32Size(value);
  return packed(field, length, (writer) => {
    for (const value of values) writer.int32(value);
  });
}

/** Creates a packed field of dimensions, which are non-negative safe integers. The field is omitted if it is empty. */
export function packedSizes(field: number, values: readonly number[]): EncodedField {
  let length = 0;
  for (const value of values) length += varintSize(value);
  return packed(field, length, (writer) => {
    for (const value of values) writer.varint(value);
  });
}

/**
 * Serializes a message to chunks. The caller's large arrays become chunks without being copied; the other chunks
 * contain the bytes between them.
 */
export function inChunks(parts: readonly EncodedField[]): Bytes[] {
  const content = joined(parts);
  const chunks: Bytes[] = [];
  const writer = new WireWriter(content.size - (content.borrowed ?? 0), chunks);
  content.write(writer);
  writer.endChunk();
  return chunks;
}

/** Serializes a message. */
export function serialized(parts: readonly EncodedField[]): Bytes {
  const content = joined(parts);
  const writer = new WireWriter(content.size);
  content.write(writer);
  return writer.bytes;
}

function int32Size(value: number): number {
  return value < 0 ? 10 : varintSize(value);
}
