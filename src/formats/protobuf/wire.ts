/**
 * The protobuf wire format, as far as tensors need it: https://protobuf.dev/programming-guides/encoding. Written by hand
 * because a packed `repeated float` is the little-endian memory of a `Float32Array`, which a general codec copies number
 * by number.
 */

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;

/** The fields of a map's entry. */
export const MAP_KEY = 1;
export const MAP_VALUE = 2;

/** Bytes of the longest varint: 64 bits, seven in a byte. */
export const MAX_VARINT_BYTES = 10;

// Both decoders keep a byte order mark. They are shared, because creating one takes longer than decoding a name, and created
// on first use, because jest-environment-jsdom has no TextDecoder: importing this package must not fail there.
let decoder: TextDecoder | undefined;
let strictDecoder: TextDecoder | undefined;

/** Decodes UTF-8. Invalid bytes become U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
  return decoder.decode(bytes);
}

/** Decodes UTF-8. Throws a `TypeError` when the bytes are not UTF-8. */
export function fromStrictUtf8(bytes: Uint8Array): string {
  strictDecoder ??= new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  return strictDecoder.decode(bytes);
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
