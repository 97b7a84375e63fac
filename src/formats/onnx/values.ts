import { argumentTypeError, show } from "../../util/argument-errors.js";
import { typedArrayName } from "../../util/realms.js";
import { type EncodedField, memory } from "../protobuf/encoded-field.js";
import type {
  BigUint64Values,
  ContentOf,
  DType,
  Float16Values,
  NumberArray,
  OnnxDType,
  ValuesOf,
} from "../tensor/dtype.js";
import { traitsOf } from "../tensor/dtype.js";
import { fillNumbers, unfit } from "../tensor/encode-values.js";
import { fromFloat16 } from "../tensor/float16.js";

/**
 * What may be given as an ONNX tensor's content. DT_HALF is a `Float16Array`, or its bits as a `Uint16Array`, for example
 * those of `toFloat16`.
 */
export type OnnxContentOf<D extends OnnxDType> = D extends "DT_HALF" ? Float16Values | Uint16Array : ContentOf<D>;

type Kind = "floats" | "half" | "integers" | "bigints";

type MemoryArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

interface MemoryTraits {
  /** The number of `TensorProto.DataType`, which is ONNX's own. */
  readonly number: number;
  readonly kind: Kind;
  /** Bytes of an element. */
  readonly width: number;
  readonly array: {
    new (length: number): MemoryArray;
    new (memory: ArrayBuffer): MemoryArray;
  };
}

/** How each dtype lies in `raw_data`: little-endian, in C order. */
export const MEMORY: Readonly<Record<OnnxDType, MemoryTraits>> = {
  DT_FLOAT: { number: 1, kind: "floats", width: 4, array: Float32Array },
  DT_DOUBLE: { number: 11, kind: "floats", width: 8, array: Float64Array },
  DT_HALF: { number: 10, kind: "half", width: 2, array: Uint16Array },
  DT_INT8: { number: 3, kind: "integers", width: 1, array: Int8Array },
  DT_INT16: { number: 5, kind: "integers", width: 2, array: Int16Array },
  DT_INT32: { number: 6, kind: "integers", width: 4, array: Int32Array },
  DT_INT64: { number: 7, kind: "bigints", width: 8, array: BigInt64Array },
  DT_UINT8: { number: 2, kind: "integers", width: 1, array: Uint8Array },
  DT_UINT16: { number: 4, kind: "integers", width: 2, array: Uint16Array },
  DT_UINT32: { number: 12, kind: "integers", width: 4, array: Uint32Array },
  DT_UINT64: { number: 13, kind: "bigints", width: 8, array: BigUint64Array },
};

/** Checks every element and makes the field of raw memory. A typed array of the dtype's own kind is not copied. */
export function encodeMemory(field: number, content: ContentOf<DType>, dtype: OnnxDType, of: string): EncodedField {
  const { array, kind, width } = MEMORY[dtype];
  const name = typedArrayName(content);
  const own = name !== undefined && (name === array.name || name === ALSO_OWN[dtype]);
  const values = own ? (content as ArrayBufferView & ArrayLike<unknown>) : toArray(content, dtype, kind, of);
  return memory(field, values, width);
}

/** Typed arrays with another name and the same memory layout. */
const ALSO_OWN: Readonly<Partial<Record<OnnxDType, string>>> = {
  DT_HALF: "Float16Array",
  DT_UINT8: "Uint8ClampedArray",
};

function toArray(content: ContentOf<DType>, dtype: OnnxDType, kind: Kind, of: string): MemoryArray {
  if (kind === "half") {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of}: content is ${show(content)}: for DT_HALF it must be a Float16Array or the Uint16Array of its bits, such as toFloat16(content)`,
    );
  }
  const values = new MEMORY[dtype].array(content.length);
  if (kind === "floats") fillNumbers(values as Float32Array | Float64Array, content as NumberArray, dtype, of);
  else if (kind === "integers") fillIntegers(values as Int32Array, content as NumberArray, dtype, of);
  else fillBigints(values as BigInt64Array | BigUint64Array, content, dtype, of);
  return values;
}

function fillIntegers(values: Int32Array, content: ArrayLike<unknown>, dtype: OnnxDType, of: string): void {
  const [least, greatest] = traitsOf(dtype).range ?? [-2_147_483_648, 2_147_483_647];
  for (let i = 0; i < values.length; i++) {
    const value = content[i];
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > greatest) {
      throw unfit(of, dtype, i, value, `it must be an integer from ${least} to ${greatest}`);
    }
    values[i] = value;
  }
}

function fillBigints(
  values: BigInt64Array | BigUint64Array,
  content: ArrayLike<unknown>,
  dtype: OnnxDType,
  of: string,
): void {
  const fits = dtype === "DT_INT64" ? BigInt.asIntN : BigInt.asUintN;
  const least = dtype === "DT_INT64" ? "within" : "of at least 0 and within";
  for (let i = 0; i < values.length; i++) {
    const value = content[i];
    const bigint = Number.isSafeInteger(value) ? BigInt(value as number) : value;
    if (typeof bigint !== "bigint" || fits(64, bigint) !== bigint) {
      throw unfit(
        of,
        dtype,
        i,
        value,
        `it must be an integer: a number ${least} ±(2^53 - 1), or a bigint ${least} 64 bits`,
      );
    }
    values[i] = bigint;
  }
}

/** The values that lie in `memory`, which is in the host's order and may be kept. HALF becomes floats, each exact. */
export function readMemory(dtype: OnnxDType, memory: ArrayBuffer): ValuesOf<DType> {
  const values = new MEMORY[dtype].array(memory);
  return dtype === "DT_HALF" ? fromFloat16(values as Uint16Array) : (values as BigUint64Values);
}
