import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { isBytes, typedArrayName } from "../../util/realms.js";
import { type EncodedField, joined, memory, packed, text } from "../protobuf/encoded-field.js";
import { LITTLE_ENDIAN } from "../protobuf/wire.js";
import type { WireWriter } from "../protobuf/wire-writer.js";
import type { ContentOf, DType, NumberArray, ValueField } from "./dtype.js";
import { traitsOf } from "./dtype.js";

type Encoder = (field: number, content: never, dtype: DType, of: string) => EncodedField;

const ENCODERS: Readonly<Record<ValueField, Encoder>> = {
  float: encodeFloats,
  double: encodeDoubles,
  int: encodeIntegers,
  int64: encodeInt64s,
  bool: encodeBooleans,
  string: encodeStrings,
};

/**
 * Checks every element of `content` against `dtype` and computes the size of its field. `of` names the feed in errors.
 * Typed arrays of the dtype's own kind are not copied: their memory is read when the field is written.
 */
export function encodeValues(field: number, content: ContentOf<DType>, dtype: DType, of: string): EncodedField {
  const { field: kind } = traitsOf(dtype);
  // Each format has checked the dtype against its own table.
  if (kind === undefined) throw new TypeError(`${dtype} has no value field`);
  return ENCODERS[kind](field, content as never, dtype, of);
}

/** The error for an element that its dtype cannot hold. */
export function unfit(of: string, dtype: DType, index: number, value: unknown, right: string): Error {
  const make = typeof value === "number" || typeof value === "bigint" ? argumentRangeError : argumentTypeError;
  return make(
    "ERR_EAS_ARG_CONTENT",
    `${of}: content[${index}] is ${show(value)}, which does not fit ${dtype}: ${right}`,
  );
}

function isBigIntArray(content: unknown): content is BigInt64Array | BigUint64Array {
  const name = typedArrayName(content);
  return name === "BigInt64Array" || name === "BigUint64Array";
}

function encodeFloats(field: number, content: NumberArray, dtype: DType, of: string): EncodedField {
  if ((dtype === "DT_HALF" || dtype === "DT_BFLOAT16") && typedArrayName(content) === "Uint16Array") {
    const name = dtype === "DT_HALF" ? "fromFloat16" : "fromBFloat16";
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of}: content is a Uint16Array, which may hold the bits of ${dtype}. This format sends floats: pass ${name}(content)`,
    );
  }
  const own = typedArrayName(content) === "Float32Array";
  const values = own ? (content as Float32Array) : new Float32Array(content.length);
  if (!own) fillNumbers(values, content, dtype, of);
  return memory(field, values, 4);
}

function encodeDoubles(field: number, content: NumberArray, dtype: DType, of: string): EncodedField {
  const own = typedArrayName(content) === "Float64Array";
  const values = own ? (content as Float64Array) : new Float64Array(content.length);
  if (!own) fillNumbers(values, content, dtype, of);
  return memory(field, values, 8);
}

/** Copies numbers into an array of floats, each as the nearest. */
export function fillNumbers(values: Float32Array | Float64Array, content: NumberArray, dtype: DType, of: string): void {
  for (let i = 0; i < values.length; i++) {
    const value = content[i];
    if (typeof value !== "number") throw unfit(of, dtype, i, value, "it must be a number");
    values[i] = value;
  }
}

function encodeIntegers(field: number, content: NumberArray, dtype: DType, of: string): EncodedField {
  if (isBigIntArray(content) && content.length > 0) {
    throw unfit(of, dtype, 0, content[0], "it must be a number; bigints fit DT_INT64");
  }
  const [least, greatest] = traitsOf(dtype).range ?? [-2_147_483_648, 2_147_483_647];
  const { length } = content;
  let size = 0;
  for (let i = 0; i < length; i++) {
    const value = content[i] as number;
    // The second comparison is true for all numbers that are no 32-bit integers: fractions, NaN, larger ones.
    if (typeof value !== "number" || (value | 0) !== value || value < least || value > greatest) {
      throw unfit(of, dtype, i, value, `it must be an integer from ${least} to ${greatest}`);
    }
    // Negative ones take ten bytes: the sign of 32 bits adds five.
    size += bytesOf(32 - Math.clz32(value | 1)) + ((value >> 31) & 5);
  }
  return packed(field, size, (writer) => writeIntegers(writer, content));
}

/**
 * Bytes of a varint of 1 to 64 bits: a seventh of them, rounded up. Without a branch for each length, as which comes next
 * cannot be guessed where numbers are of mixed size, and that takes longer than all the rest.
 */
function bytesOf(bits: number): number {
  return (bits * 9 + 64) >>> 6;
}

function writeIntegers(writer: WireWriter, content: NumberArray): void {
  const { bytes } = writer;
  const { length } = content;
  let at = writer.position;
  for (let i = 0; i < length; i++) {
    let rest = content[i] as number;
    if (rest < 0) {
      writer.position = at;
      writer.int32(rest);
      at = writer.position;
      continue;
    }
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
  }
  writer.position = at;
}

function encodeInt64s(
  field: number,
  content: NumberArray | readonly (number | bigint)[] | BigInt64Array,
  dtype: DType,
  of: string,
): EncodedField {
  // Pairs of low and high 32 bits: working on bigints one by one takes five times as long.
  const halves =
    LITTLE_ENDIAN && typedArrayName(content) === "BigInt64Array"
      ? new Uint32Array((content as BigInt64Array).buffer, (content as BigInt64Array).byteOffset, content.length * 2)
      : toHalves(content, dtype, of);
  return packed(field, sizeOfHalves(halves), (writer) => writeHalves(writer, halves));
}

const INT64_RIGHT = "it must be an integer: a number within ±(2^53 - 1), or a bigint within 64 bits";

function toHalves(content: ArrayLike<number | bigint>, dtype: DType, of: string): Uint32Array {
  const halves = new Uint32Array(content.length * 2);
  for (let i = 0; i < content.length; i++) {
    const value = content[i] as number | bigint;
    if (typeof value === "number") {
      if (!Number.isSafeInteger(value)) throw unfit(of, dtype, i, value, INT64_RIGHT);
      halves[2 * i] = value >>> 0;
      halves[2 * i + 1] = Math.floor(value / 0x1_0000_0000) >>> 0;
    } else if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) {
      halves[2 * i] = Number(BigInt.asUintN(32, value));
      halves[2 * i + 1] = Number(BigInt.asUintN(32, value >> 32n));
    } else {
      throw unfit(of, dtype, i, value, INT64_RIGHT);
    }
  }
  return halves;
}

function sizeOfHalves(halves: Uint32Array): number {
  let size = 0;
  for (let i = 0; i < halves.length; i += 2) {
    const low = halves[i] as number;
    const high = halves[i + 1] as number;
    size += bytesOf(high === 0 ? 32 - Math.clz32(low | 1) : 64 - Math.clz32(high));
  }
  return size;
}

function writeHalves(writer: WireWriter, halves: Uint32Array): void {
  const { bytes } = writer;
  let at = writer.position;
  for (let i = 0; i < halves.length; i += 2) {
    let low = halves[i] as number;
    let high = halves[i + 1] as number;
    while (high !== 0) {
      bytes[at++] = (low & 127) | 128;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    while (low > 127) {
      bytes[at++] = (low & 127) | 128;
      low >>>= 7;
    }
    bytes[at++] = low;
  }
  writer.position = at;
}

function encodeBooleans(field: number, content: ArrayLike<unknown>, dtype: DType, of: string): EncodedField {
  for (let i = 0; i < content.length; i++) {
    const value = content[i];
    if (value !== true && value !== false && value !== 0 && value !== 1) {
      throw unfit(of, dtype, i, value, "it must be true, false, 1 or 0");
    }
  }
  return packed(field, content.length, (writer) => {
    for (let i = 0; i < content.length; i++) writer.bytes[writer.position++] = content[i] ? 1 : 0;
  });
}

function encodeStrings(field: number, content: ArrayLike<unknown>, dtype: DType, of: string): EncodedField {
  const elements: EncodedField[] = [];
  for (let i = 0; i < content.length; i++) {
    const value = content[i];
    if (typeof value !== "string" && !isBytes(value)) {
      throw unfit(of, dtype, i, value, "it must be a string, sent as UTF-8, or a Uint8Array");
    }
    elements.push(text(field, value));
  }
  return joined(elements);
}
