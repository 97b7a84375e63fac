// Values as both ends can say them in JSON, which has no NaN, no -0 and no 64-bit integers: text, booleans, null and lists
// as they are; all else as an object with one tag.
//
// | tag                  | content                                                            |
// | -------------------- | ------------------------------------------------------------------ |
// | `float`, `double`    | one number: its little-endian bytes in base64, 4 or 8 of them      |
// | `floats`, `doubles`  | a list of them, the bytes joined                                   |
// | `int`, `ints`        | decimal text; a list of such                                       |
// | `bytes`, `bytesList` | base64; a list of such                                             |
// | `map`                | a list of pairs of key and value                                   |
// | `dtype`              | a dtype's name; Python looks its number up in the format's schema  |
import { isUtf8 } from "node:buffer";

export const base64 = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

/** Fresh memory, so that any typed array may lie in it. */
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

/** A tagged value as a caller of ours would give it: integers as numbers, as far as these hold them. */
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

/** A typed array as a plain list, where that can hold the same. */
export const asList = (values) => (hasOddNaN(values) ? values : Array.from(values));

/** Whether there is a NaN with other bits than the usual, which the engine may change when it makes a number of it. */
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
 * The content of a feed. `typed`: in the dtype's own typed array where it has one; else as a plain list, and of bytes that
 * are UTF-8 as text.
 */
export function contentOf(dtype, tagged, typed) {
  const plain = decode(tagged);
  if (typeof plain !== "object") return plain;
  if (!typed && dtype === "DT_STRING") return plain.map((bytes) => (isUtf8(bytes) ? textOf(bytes) : bytes));
  if (!typed) return asList(plain);
  if (dtype === "DT_INT64") return BigInt64Array.from(plain, BigInt);
  return INTEGER_ARRAYS[dtype]?.from(plain) ?? plain;
}

/** The values of a dtype that our response class gave, as a tagged value. */
export function tagged(dtype, values) {
  if (dtype === "DT_BOOL") return values;
  if (dtype === "DT_STRING") return { bytesList: values.map(base64) };
  if (values instanceof Float32Array) return { floats: base64(values) };
  if (values instanceof Float64Array) return { doubles: base64(values) };
  return { ints: Array.from(values, String) };
}
