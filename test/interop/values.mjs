// Values in a JSON form for both clients, because JSON has no NaN, -0 and 64-bit integers. Text, booleans, null and lists are
// unchanged. All other values are objects with one tag.
//
// | tag                  | content                                                            |
// | -------------------- | ------------------------------------------------------------------ |
// | `float`, `double`    | one number: its little-endian bytes in base64, 4 or 8 of them      |
// | `floats`, `doubles`  | a list of them, the bytes joined                                   |
// | `int`, `ints`        | decimal text; a list of them                                       |
// | `bytes`, `bytesList` | base64; a list of them                                             |
// | `map`                | a list of pairs of key and value                                   |
// | `dtype`              | a dtype's name; Python looks its number up in the format's schema  |
import { isUtf8 } from "node:buffer";

export const base64 = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

/** Returns a copy in new memory, aligned for any typed array. */
export function memoryOf(text) {
  return Uint8Array.from(Buffer.from(text, "base64")).buffer;
}

const DECODERS = {
  float: (text) => new Float32Array(memoryOf(text))[0],
  floats: (text) => new Float32Array(memoryOf(text)),
  double: (text) => new Float64Array(memoryOf(text))[0],
  doubles: (text) => new Float64Array(memoryOf(text)),
  int: (text) => integer(text),
  ints: (texts) => texts.map(integer),
  bytes: (text) => new Uint8Array(memoryOf(text)),
  bytesList: (texts) => texts.map((text) => new Uint8Array(memoryOf(text))),
  map: (pairs) => new Map(pairs.map(([key, value]) => [decode(key), decode(value)])),
  dtype: (name) => name,
};

/** Returns a tagged value as passed to this package: integers as numbers, if exact. */
export function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== "object" || value === null) return value;
  const [[tag, content]] = Object.entries(value);
  return DECODERS[tag](content);
}

function integer(text) {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

const textOf = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Returns a typed array as a plain list, if that represents the same values. */
export const asList = (values) => (hasOddNaN(values) ? values : Array.from(values));

/** Returns whether there is a NaN with unusual bits, which the engine may change in a conversion to a number. */
function hasOddNaN(values) {
  if (values instanceof Float32Array) {
    const bits = new Uint32Array(values.buffer);
    return values.some((value, i) => Number.isNaN(value) && bits[i] !== 0x7fc00000);
  }
  if (!(values instanceof Float64Array)) return false;
  const bits = new BigUint64Array(values.buffer);
  return values.some((value, i) => Number.isNaN(value) && bits[i] !== 0x7ff80000_00000000n);
}

const INTEGER_ARRAYS = {
  DT_INT8: Int8Array,
  DT_QINT8: Int8Array,
  DT_UINT8: Uint8Array,
  DT_QUINT8: Uint8Array,
  DT_INT16: Int16Array,
  DT_QINT16: Int16Array,
  DT_UINT16: Uint16Array,
  DT_QUINT16: Uint16Array,
  DT_INT32: Int32Array,
  DT_QINT32: Int32Array,
  DT_UINT32: Uint32Array,
};

/**
 * Returns the content of a tensor. `typed`: in the dtype's own typed array if there is one. Otherwise as a plain
 * list, and bytes that are UTF-8 as text.
 */
export function contentOf(dtype, tagged, typed) {
  const plain = decode(tagged);
  if (typeof plain !== "object") return plain;
  if (!typed && dtype === "DT_STRING") return plain.map((bytes) => (isUtf8(bytes) ? textOf(bytes) : bytes));
  if (!typed) return asList(plain);
  if (dtype === "DT_INT64") return BigInt64Array.from(plain, BigInt);
  return INTEGER_ARRAYS[dtype]?.from(plain) ?? plain;
}

/** Returns the values of a dtype from this package's response class, as a tagged value. */
export function tagged(dtype, values) {
  if (dtype === "DT_BOOL") return values;
  if (dtype === "DT_STRING") return { bytesList: values.map(base64) };
  if (values instanceof Float32Array) return { floats: base64(values) };
  if (values instanceof Float64Array) return { doubles: base64(values) };
  return { ints: Array.from(values, String) };
}
