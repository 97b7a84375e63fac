import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { typedArrayName } from "../../util/realms.js";
import type { Float32Values, Uint16Values } from "./dtype.js";

/**
 * This file works on bit patterns, because a JavaScript engine may change the bits of a NaN that it reads as a number.
 * A binary16 number has 5 exponent bits and 10 fraction bits. A bfloat16 number has 8 and 7, a 32-bit float 8 and 23.
 */

const FLOAT32_INFINITY = 0x7f80_0000;

/**
 * Rounds numbers to binary16 (IEEE 754, `DT_HALF`) and returns their bits in new memory. Rounds to the nearest value,
 * ties to even. Numbers with a magnitude of at least 65,520 become infinite. NaN stays NaN. Throws a `TypeError` if an
 * element is not a number.
 *
 * @example
 * const bits = toFloat16([1, 0.5]); // Uint16Array [0x3c00, 0x3800]
 */
export function toFloat16(values: Float32Array | ArrayLike<number>): Uint16Values {
  return convert(values, float16Bits);
}

/**
 * Converts binary16 bits to numbers, in new memory. The conversion is exact. Throws a `RangeError` if an element is not
 * an integer from 0 to 65,535.
 */
export function fromFloat16(bits: Uint16Array | ArrayLike<number>): Float32Values {
  return widen(bits, float32BitsOfFloat16);
}

/**
 * Rounds numbers to bfloat16 (`DT_BFLOAT16`) and returns their bits in new memory. Rounds to the nearest value, ties to
 * even. Throws a `TypeError` if an element is not a number.
 */
export function toBFloat16(values: Float32Array | ArrayLike<number>): Uint16Values {
  return convert(values, bfloat16Bits);
}

/**
 * Converts bfloat16 bits to numbers, in new memory. The conversion is exact. Throws a `RangeError` if an element is not
 * an integer from 0 to 65,535.
 */
export function fromBFloat16(bits: Uint16Array | ArrayLike<number>): Float32Values {
  return widen(bits, (bits) => bits << 16);
}

function convert(values: ArrayLike<number>, narrow: (bits: number) => number): Uint16Values {
  const floats =
    typedArrayName(values) === "Float32Array"
      ? bitsOf(values as Float32Array)
      : bitsRoundedToOdd(checkNumbers("values", values));
  return Uint16Array.from(floats, narrow);
}

function widen(bits: ArrayLike<number>, wide: (bits: number) => number): Float32Values {
  if (typedArrayName(bits) !== "Uint16Array") check16Bits(checkNumbers("bits", bits));
  const floats = new Float32Array(bits.length);
  const floatBits = bitsOf(floats);
  for (let i = 0; i < bits.length; i++) floatBits[i] = wide(bits[i] as number);
  return floats;
}

function checkNumbers(argument: string, values: ArrayLike<number>): ArrayLike<number> {
  if (typeof values !== "object" || values === null || !Number.isSafeInteger(values.length)) {
    throw argumentTypeError("ERR_EAS_ARG_CONTENT", `${argument} is ${show(values)}: it must be an array of numbers`);
  }
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] !== "number") {
      throw argumentTypeError("ERR_EAS_ARG_CONTENT", `${argument}[${i}] is ${show(values[i])}: it must be a number`);
    }
  }
  return values;
}

function check16Bits(bits: ArrayLike<number>): void {
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i] as number;
    if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
      throw argumentRangeError("ERR_EAS_ARG_CONTENT", `bits[${i}] is ${value}: it must be an integer from 0 to 65535`);
    }
  }
}

function bitsOf(floats: Float32Array): Uint32Array {
  return new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
}

/**
 * Converts numbers to 32-bit floats, rounded to odd, and returns their bits. Rounding to odd truncates an inexact
 * number and sets its last bit, which preserves whether the number is above or below a tie. With rounding to nearest,
 * the second rounding would wrongly round 1 + 2^-11 + 2^-30 down.
 */
function bitsRoundedToOdd(values: ArrayLike<number>): Uint32Array {
  const floats = Float32Array.from(values);
  const bits = bitsOf(floats);
  for (let i = 0; i < floats.length; i++) {
    const rounded = floats[i] as number;
    const value = values[i] as number;
    if (rounded === value || Number.isNaN(value)) continue;
    const towardsZero = (bits[i] as number) - (Math.abs(rounded) > Math.abs(value) ? 1 : 0);
    bits[i] = towardsZero | 1;
  }
  return bits;
}

function float16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (magnitude > FLOAT32_INFINITY) return sign | 0x7c00 | ((magnitude >>> 13) & 0x3ff || 0x200);
  // 65,520 is halfway between 65,504, the largest finite binary16 number, and 65,536.
  if (magnitude >= 0x477f_f000) return sign | 0x7c00;
  if (magnitude >= 0x3880_0000) {
    // Change the exponent bias from 127 to 15.
    return sign | roundedShift(magnitude - 0x3800_0000, 13);
  }
  // Below 2^-14, binary16 numbers are multiples of 2^-24. Numbers of at most 2^-25 are rounded to 0.
  const exponent = magnitude >>> 23;
  if (exponent < 102) return sign;
  return sign | roundedShift((magnitude & 0x7f_ffff) | 0x80_0000, 126 - exponent);
}

/** Shifts right and rounds to the nearest value, ties to even. A carry increments the exponent, as intended. */
function roundedShift(value: number, by: number): number {
  const shifted = value >>> by;
  const rest = value & ((1 << by) - 1);
  const half = 1 << (by - 1);
  return rest > half || (rest === half && (shifted & 1) === 1) ? shifted + 1 : shifted;
}

function float32BitsOfFloat16(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return sign | FLOAT32_INFINITY | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // The number is `fraction` times 2^-24. A 32-bit float stores the normalized fraction without its leading bit.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

function bfloat16Bits(bits: number): number {
  const upper = bits >>> 16;
  if ((bits & 0x7fff_ffff) > FLOAT32_INFINITY) return (upper & 0x7f) === 0 ? upper | 0x40 : upper;
  return roundedShift(bits >>> 0, 16);
}
