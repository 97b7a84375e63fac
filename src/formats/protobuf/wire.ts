/**
 * The part of the protobuf wire format that tensors need: https://protobuf.dev/programming-guides/encoding. Implemented
 * here because a packed `repeated float` has the memory layout of a `Float32Array`, but a general-purpose library
 * copies such a field number by number.
 */

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;

/** Field numbers in a map entry. */
export const MAP_KEY = 1;
export const MAP_VALUE = 2;

/** Maximum size of a varint in bytes: 64 bits, with seven bits in each byte. */
export const MAX_VARINT_BYTES = 10;

// Both decoders keep a byte order mark. They are shared because creating a decoder takes longer than decoding a name.
// They are created on first use because this package must be importable in jest-environment-jsdom, which does not have
// TextDecoder.
let decoder: TextDecoder | undefined;
let strictDecoder: TextDecoder | undefined;

/** Decodes UTF-8. Invalid bytes become U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
  return decoder.decode(bytes);
}

/** Decodes UTF-8. Throws a `TypeError` if the bytes are not UTF-8. */
export function fromStrictUtf8(bytes: Uint8Array): string {
  strictDecoder ??= new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  return strictDecoder.decode(bytes);
}

/** Whether typed arrays have the wire format's byte order, as on all current hosts. */
export const LITTLE_ENDIAN: boolean = /* @__PURE__ */ (() => new Uint8Array(new Uint16Array([1]).buffer)[0] === 1)();

/** Returns the size of a non-negative safe integer when encoded as a varint, in bytes. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/**
 * Returns the size in bytes of a length-delimited field of `length` bytes, including its tag and length. `field` must
 * be below 2,048.
 */
export function delimitedSize(field: number, length: number): number {
  return tagSize(field) + varintSize(length) + length;
}

/** Returns the size in bytes of a field's tag. */
export function tagSize(field: number): number {
  return field < 16 ? 1 : 2;
}
