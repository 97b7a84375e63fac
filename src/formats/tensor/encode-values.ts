import { typedArrayName } from "../../util/realms.js";
import { type EncodedField, joined, memory, packed, text } from "../protobuf/encoded-field.js";
import { LITTLE_ENDIAN } from "../protobuf/wire.js";
import type { WireWriter } from "../protobuf/wire-writer.js";
import type { ContentOf, DType, NumberArray, ValueField } from "./dtype.js";
import { traitsOf } from "./dtype.js";

type Encoder = (field: number, content: never) => EncodedField;

const ENCODERS: Readonly<Record<ValueField, Encoder>> = {
  float: encodeFloats,
  double: encodeDoubles,
  int: encodeIntegers,
  int64: encodeInt64s,
  bool: encodeBooleans,
  string: encodeStrings,
};

/**
 * Computes the field for a tensor's elements, which must have passed `checkValues`. A `Float32Array` or `Float64Array`
 * that matches the dtype is not copied; its memory is read when the field is written.
 */
export function encodeValues(field: number, content: ContentOf<DType>, dtype: DType): EncodedField {
  const { field: kind } = traitsOf(dtype);
  if (kind === undefined) throw new TypeError(`${dtype} has no value field`);
  return ENCODERS[kind](field, content as never);
}

function encodeFloats(field: number, content: NumberArray): EncodedField {
  const isFloat32 = typedArrayName(content) === "Float32Array";
  return memory(field, isFloat32 ? (content as Float32Array) : new Float32Array(content), 4);
}

function encodeDoubles(field: number, content: NumberArray): EncodedField {
  const isFloat64 = typedArrayName(content) === "Float64Array";
  return memory(field, isFloat64 ? (content as Float64Array) : new Float64Array(content), 8);
}

function encodeIntegers(field: number, content: NumberArray): EncodedField {
  let size = 0;
  for (let i = 0; i < content.length; i++) {
    const value = content[i] as number;
    // A negative number needs ten bytes, because its sign is extended to 64 bits, which adds five bytes.
    size += varintBytes(32 - Math.clz32(value | 1)) + ((value >> 31) & 5);
  }
  return packed(field, size, (writer) => writeIntegers(writer, content));
}

/**
 * Returns the size of a varint with 1 to 64 bits, in bytes: the number of bits divided by seven, rounded up. Does not
 * branch on the length, because the processor would mispredict the branch for numbers of mixed size.
 */
function varintBytes(bits: number): number {
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
): EncodedField {
  // Read each element as a low and a high half of 32 bits, because reading it as a bigint would take five times as
  // long.
  const halves =
    LITTLE_ENDIAN && typedArrayName(content) === "BigInt64Array"
      ? new Uint32Array((content as BigInt64Array).buffer, (content as BigInt64Array).byteOffset, content.length * 2)
      : toHalves(content);
  return packed(field, sizeOfHalves(halves), (writer) => writeHalves(writer, halves));
}

function toHalves(content: ArrayLike<number | bigint>): Uint32Array {
  const halves = new Uint32Array(content.length * 2);
  for (let i = 0; i < content.length; i++) {
    const value = content[i] as number | bigint;
    if (typeof value === "number") {
      halves[2 * i] = value >>> 0;
      halves[2 * i + 1] = Math.floor(value / 0x1_0000_0000) >>> 0;
    } else {
      halves[2 * i] = Number(BigInt.asUintN(32, value));
      halves[2 * i + 1] = Number(BigInt.asUintN(32, value >> 32n));
    }
  }
  return halves;
}

function sizeOfHalves(halves: Uint32Array): number {
  let size = 0;
  for (let i = 0; i < halves.length; i += 2) {
    const low = halves[i] as number;
    const high = halves[i + 1] as number;
    size += varintBytes(high === 0 ? 32 - Math.clz32(low | 1) : 64 - Math.clz32(high));
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

function encodeBooleans(field: number, content: ArrayLike<unknown>): EncodedField {
  return packed(field, content.length, (writer) => {
    for (let i = 0; i < content.length; i++) writer.bytes[writer.position++] = content[i] ? 1 : 0;
  });
}

function encodeStrings(field: number, content: ArrayLike<string | Uint8Array>): EncodedField {
  return joined(Array.from(content, (value) => text(field, value)));
}
