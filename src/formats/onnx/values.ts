import { argumentTypeError, show } from "../../util/argument-errors.js";
import { typedArrayName } from "../../util/realms.js";
import { type EncodedField, memory } from "../protobuf/encoded-field.js";
import { checkValues, type TensorFormat } from "../tensor/check-values.js";
import type { BigUint64Values, ContentOf, DType, Float16Values, OnnxDType, ValuesOf } from "../tensor/dtype.js";
import { checkDTypeOf } from "../tensor/dtype.js";
import { fromFloat16 } from "../tensor/float16.js";

/**
 * Arrays accepted as ONNX tensor content. For DT_HALF, a `Float16Array`, or a `Uint16Array` with the values' bits, as
 * returned by `toFloat16`.
 */
export type OnnxContentOf<D extends OnnxDType> = D extends "DT_HALF" ? Float16Values | Uint16Array : ContentOf<D>;

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
  /** Number of the dtype in ONNX's `TensorProto.DataType` enum. */
  readonly number: number;
  /** Size of an element in bytes. */
  readonly width: number;
  readonly array: {
    new (values: ArrayLike<never>): MemoryArray;
    new (memory: ArrayBuffer): MemoryArray;
  };
}

/** Memory layout of each dtype in `raw_data`, which is little-endian and in C order. */
export const MEMORY: Readonly<Record<OnnxDType, MemoryTraits>> = {
  DT_FLOAT: { number: 1, width: 4, array: Float32Array },
  DT_DOUBLE: { number: 11, width: 8, array: Float64Array },
  DT_HALF: { number: 10, width: 2, array: Uint16Array },
  DT_INT8: { number: 3, width: 1, array: Int8Array },
  DT_INT16: { number: 5, width: 2, array: Int16Array },
  DT_INT32: { number: 6, width: 4, array: Int32Array },
  DT_INT64: { number: 7, width: 8, array: BigInt64Array },
  DT_UINT8: { number: 2, width: 1, array: Uint8Array },
  DT_UINT16: { number: 4, width: 2, array: Uint16Array },
  DT_UINT32: { number: 12, width: 4, array: Uint32Array },
  DT_UINT64: { number: 13, width: 8, array: BigUint64Array },
};

/** Typed arrays whose name differs from the array in `MEMORY` but whose memory layout is the same. */
const ALSO_OWN: Readonly<Partial<Record<OnnxDType, string>>> = {
  DT_HALF: "Float16Array",
  DT_UINT8: "Uint8ClampedArray",
};

/** The ONNX format. */
export const ONNX: TensorFormat<OnnxDType> = {
  checkDType: (dtype, of) => checkDTypeOf(MEMORY, dtype, of),
  checkValues(content, dtype, of) {
    if (isOwn(content, dtype)) return;
    if (dtype === "DT_HALF") {
      throw argumentTypeError(
        "ERR_EAS_ARG_CONTENT",
        `${of}: content is ${show(content)}: for DT_HALF it must be a Float16Array or the Uint16Array of its bits, such as toFloat16(content)`,
      );
    }
    checkValues(content, dtype, of);
  },
};

/** Whether the memory of `content` can be sent unchanged. */
function isOwn(content: unknown, dtype: OnnxDType): boolean {
  const name = typedArrayName(content);
  return name !== undefined && (name === MEMORY[dtype].array.name || name === ALSO_OWN[dtype]);
}

/** Encodes checked elements as a field of raw memory. A typed array whose type matches the dtype is not copied. */
export function encodeMemory(field: number, content: ContentOf<DType>, dtype: OnnxDType): EncodedField {
  const { array, width } = MEMORY[dtype];
  if (isOwn(content, dtype)) return memory(field, content as ArrayBufferView & ArrayLike<unknown>, width);
  const isBigInt = dtype === "DT_INT64" || dtype === "DT_UINT64";
  const values = isBigInt ? Array.from(content as ArrayLike<number>, BigInt) : content;
  return memory(field, new array(values as ArrayLike<unknown> as ArrayLike<never>), width);
}

/**
 * Returns the values in `memory`, which must be in the host's byte order. The result may share this memory. DT_HALF
 * values are converted to floats.
 */
export function readMemory(dtype: OnnxDType, memory: ArrayBuffer): ValuesOf<DType> {
  const values = new MEMORY[dtype].array(memory);
  return dtype === "DT_HALF" ? fromFloat16(values as Uint16Array) : (values as BigUint64Values);
}
