import type { DType } from "eas-prediction";
import { usageError } from "../exit-codes.js";

type NumberArrayConstructor =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | Int8ArrayConstructor
  | Int16ArrayConstructor
  | Int32ArrayConstructor
  | Uint8ArrayConstructor
  | Uint16ArrayConstructor
  | Uint32ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor;

/** Representation of the elements of a dtype in files: in memory order, little-endian. */
export interface Storage {
  /** The name in a .npy file, without the byte order. */
  readonly npy: string;
  readonly array: NumberArrayConstructor;
  /** Number of array entries for each element: 2 for complex numbers. */
  readonly entries: 1 | 2;
}

const stored = (npy: string, array: NumberArrayConstructor, entries: 1 | 2 = 1): Storage => ({ npy, array, entries });

/** The storage of all dtypes, except DT_STRING. */
export const STORAGE: Readonly<Record<Exclude<DType, "DT_STRING">, Storage>> = {
  DT_FLOAT: stored("f4", Float32Array),
  DT_DOUBLE: stored("f8", Float64Array),
  DT_HALF: stored("f2", Uint16Array),
  DT_INT8: stored("i1", Int8Array),
  DT_INT16: stored("i2", Int16Array),
  DT_INT32: stored("i4", Int32Array),
  DT_INT64: stored("i8", BigInt64Array),
  DT_UINT8: stored("u1", Uint8Array),
  DT_UINT16: stored("u2", Uint16Array),
  DT_UINT32: stored("u4", Uint32Array),
  DT_UINT64: stored("u8", BigUint64Array),
  DT_BOOL: stored("b1", Uint8Array),
  DT_COMPLEX64: stored("c8", Float32Array, 2),
  DT_COMPLEX128: stored("c16", Float64Array, 2),
  // NumPy has no types of its own for these dtypes.
  DT_BFLOAT16: stored("f4", Float32Array),
  DT_QINT8: stored("i1", Int8Array),
  DT_QINT16: stored("i2", Int16Array),
  DT_QINT32: stored("i4", Int32Array),
  DT_QUINT8: stored("u1", Uint8Array),
  DT_QUINT16: stored("u2", Uint16Array),
};

/** Names of NumPy, PyTorch and TensorFlow for dtypes. */
const ALIASES: Readonly<Record<string, DType>> = {
  bfloat16: "DT_BFLOAT16",
  bool: "DT_BOOL",
  complex128: "DT_COMPLEX128",
  complex64: "DT_COMPLEX64",
  double: "DT_DOUBLE",
  float: "DT_FLOAT",
  float16: "DT_HALF",
  float32: "DT_FLOAT",
  float64: "DT_DOUBLE",
  half: "DT_HALF",
  int16: "DT_INT16",
  int32: "DT_INT32",
  int64: "DT_INT64",
  int8: "DT_INT8",
  string: "DT_STRING",
  uint16: "DT_UINT16",
  uint32: "DT_UINT32",
  uint64: "DT_UINT64",
  uint8: "DT_UINT8",
};

/**
 * Returns the dtype that a name such as `DT_FLOAT` or `float32` refers to, or undefined for other words. Throws a usage
 * error for an unknown name that starts with `DT_`.
 */
export function readDType(name: string): DType | undefined {
  const lower = name.toLowerCase();
  if (Object.hasOwn(ALIASES, lower)) return ALIASES[lower];
  if (!lower.startsWith("dt_")) return undefined;
  const upper = name.toUpperCase();
  if (upper === "DT_STRING" || Object.hasOwn(STORAGE, upper)) return upper as DType;
  const all = [...Object.keys(STORAGE), "DT_STRING"].join(", ");
  throw usageError(`dtype ${JSON.stringify(name)} is unknown: it must be one of ${all}`);
}
