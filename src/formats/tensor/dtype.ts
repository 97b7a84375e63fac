import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { Bytes } from "../request.js";

/**
 * The type of a tensor's elements. All formats share these names, although the numbers on the wire differ: INT32 is 3
 * in TF and 2 in Blade.
 */
export type DType =
  | "DT_FLOAT"
  | "DT_DOUBLE"
  | "DT_INT32"
  | "DT_UINT8"
  | "DT_INT16"
  | "DT_INT8"
  | "DT_STRING"
  | "DT_COMPLEX64"
  | "DT_INT64"
  | "DT_BOOL"
  | "DT_QINT8"
  | "DT_QUINT8"
  | "DT_QINT32"
  | "DT_BFLOAT16"
  | "DT_QINT16"
  | "DT_QUINT16"
  | "DT_UINT16"
  | "DT_COMPLEX128"
  | "DT_HALF"
  | "DT_UINT32"
  | "DT_UINT64";

/** The dtypes of the TF format. */
export type TFDType = Exclude<DType, "DT_UINT32" | "DT_UINT64">;
/** The dtypes of the Torch format, which has no field for booleans. */
export type TorchDType = Exclude<TFDType, "DT_BOOL">;
/** The dtypes of the Blade format. */
export type BladeDType = "DT_FLOAT" | "DT_INT32" | "DT_INT64" | "DT_STRING";
/** The dtypes of the ONNX format, which sends tensors as raw memory. */
export type OnnxDType =
  | "DT_FLOAT"
  | "DT_DOUBLE"
  | "DT_HALF"
  | "DT_INT8"
  | "DT_INT16"
  | "DT_INT32"
  | "DT_INT64"
  | "DT_UINT8"
  | "DT_UINT16"
  | "DT_UINT32"
  | "DT_UINT64";

/**
 * A `Float32Array` over memory that is not shared between threads. The types below are the equivalents for other typed
 * arrays.
 */
export type Float32Values = ReturnType<Float32Array["slice"]>;
export type Float64Values = ReturnType<Float64Array["slice"]>;
export type Int8Values = ReturnType<Int8Array["slice"]>;
export type Int16Values = ReturnType<Int16Array["slice"]>;
export type Int32Values = ReturnType<Int32Array["slice"]>;
export type Uint16Values = ReturnType<Uint16Array["slice"]>;
export type Uint32Values = ReturnType<Uint32Array["slice"]>;
export type BigInt64Values = ReturnType<BigInt64Array["slice"]>;
export type BigUint64Values = ReturnType<BigUint64Array["slice"]>;

/** A `Float16Array`, which exists in Node 24, Deno, Bun and current browsers. */
export interface Float16Values extends ArrayLike<number>, ArrayBufferView {
  readonly [Symbol.toStringTag]: "Float16Array";
}

interface ValuesByDType {
  DT_FLOAT: Float32Values;
  DT_DOUBLE: Float64Values;
  DT_INT32: Int32Values;
  DT_UINT8: Bytes;
  DT_INT16: Int16Values;
  DT_INT8: Int8Values;
  DT_STRING: Bytes[];
  DT_COMPLEX64: Float32Values;
  DT_INT64: BigInt64Values;
  DT_BOOL: boolean[];
  DT_QINT8: Int8Values;
  DT_QUINT8: Bytes;
  DT_QINT32: Int32Values;
  DT_BFLOAT16: Float32Values;
  DT_QINT16: Int16Values;
  DT_QUINT16: Uint16Values;
  DT_UINT16: Uint16Values;
  DT_COMPLEX128: Float64Values;
  DT_HALF: Float32Values;
  DT_UINT32: Uint32Values;
  DT_UINT64: BigUint64Values;
}

/**
 * The array type in which values of a dtype are returned: the dtype's typed array, `boolean[]` for BOOL, or
 * `Uint8Array[]` for STRING. HALF and BFLOAT16 are returned as 32-bit floats. For COMPLEX dtypes, the array contains
 * two entries per element: the real part and the imaginary part.
 */
export type ValuesOf<D extends DType> = ValuesByDType[D];

/** Any array of numbers. */
export type NumberArray =
  | readonly number[]
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | Float16Values;

/**
 * Arrays accepted as tensor content, one-dimensional and in C order. Every element must fit the dtype. Elements are
 * never rounded or wrapped, except that float dtypes accept any number and send the nearest float.
 */
export type ContentOf<D extends DType> = D extends "DT_STRING"
  ? readonly (string | Uint8Array)[]
  : D extends "DT_BOOL"
    ? readonly (boolean | 0 | 1)[] | Uint8Array
    : D extends "DT_INT64"
      ? NumberArray | readonly (number | bigint)[] | BigInt64Array
      : D extends "DT_UINT64"
        ? NumberArray | readonly (number | bigint)[] | BigUint64Array
        : NumberArray;

/** The kind of protobuf field that contains the elements of a dtype. */
export type ValueField = "float" | "double" | "int" | "int64" | "string" | "bool";

/** An array of integers of at most 32 bits. */
export type IntegerValues = Int8Values | Int16Values | Int32Values | Bytes | Uint16Values;

interface DTypeTraits {
  /** Undefined for dtypes that only the ONNX format supports and sends as raw memory. */
  readonly field: ValueField | undefined;
  /** Number of entries per element in the value field. */
  readonly entries: 1 | 2;
  /** Minimum and maximum value, for dtypes that do not include all 32-bit integers. */
  readonly range?: readonly [min: number, max: number];
  /** Array constructor for integers with fewer than 32 bits. */
  readonly integers?: new (
    values: Int32Array,
  ) => IntegerValues;
}

const INT8 = { field: "int", entries: 1, range: [-128, 127], integers: Int8Array } as const;
const UINT8 = { field: "int", entries: 1, range: [0, 255], integers: Uint8Array } as const;
const INT16 = { field: "int", entries: 1, range: [-32_768, 32_767], integers: Int16Array } as const;
const UINT16 = { field: "int", entries: 1, range: [0, 65_535], integers: Uint16Array } as const;
const INT32 = { field: "int", entries: 1 } as const;
const FLOAT = { field: "float", entries: 1 } as const;

const TRAITS: Readonly<Record<DType, DTypeTraits>> = {
  DT_FLOAT: FLOAT,
  DT_DOUBLE: { field: "double", entries: 1 },
  DT_INT32: INT32,
  DT_UINT8: UINT8,
  DT_INT16: INT16,
  DT_INT8: INT8,
  DT_STRING: { field: "string", entries: 1 },
  DT_COMPLEX64: { field: "float", entries: 2 },
  DT_INT64: { field: "int64", entries: 1 },
  DT_BOOL: { field: "bool", entries: 1 },
  DT_QINT8: INT8,
  DT_QUINT8: UINT8,
  DT_QINT32: INT32,
  DT_BFLOAT16: FLOAT,
  DT_QINT16: INT16,
  DT_QUINT16: UINT16,
  DT_UINT16: UINT16,
  DT_COMPLEX128: { field: "double", entries: 2 },
  DT_HALF: FLOAT,
  DT_UINT32: { field: undefined, entries: 1, range: [0, 4_294_967_295] },
  DT_UINT64: { field: undefined, entries: 1 },
};

/** Returns `dtype`, or throws a `TypeError` if it is not a dtype name. The error message begins with `of`. */
export function checkDType(dtype: unknown, of: string): DType {
  return checkDTypeOf(TRAITS, dtype, of);
}

/** Names in NumPy, PyTorch and ONNX that differ from the part of a dtype's name after `DT_`. */
const OTHER_NAMES: Readonly<Record<string, DType>> = {
  FLOAT32: "DT_FLOAT",
  FLOAT64: "DT_DOUBLE",
  FLOAT16: "DT_HALF",
  INT: "DT_INT32",
  LONG: "DT_INT64",
  SHORT: "DT_INT16",
  BYTE: "DT_UINT8",
  STR: "DT_STRING",
  OBJECT: "DT_STRING",
  BOOLEAN: "DT_BOOL",
};

/**
 * Returns the dtype that a name such as `"float32"`, `"torch.int64"` or `"dt_bool"` refers to, if the table contains
 * it.
 */
function meantDType(table: Readonly<Record<string, unknown>>, dtype: string): string | undefined {
  const name = dtype.toUpperCase().replace(/^.*\.|^DT_/, "");
  const meant = Object.hasOwn(OTHER_NAMES, name) ? (OTHER_NAMES[name] as string) : `DT_${name}`;
  return Object.hasOwn(table, meant) ? meant : undefined;
}

/** Returns `dtype`, or throws a `TypeError` if it is not a key of `table`. The error message begins with `of`. */
export function checkDTypeOf<D extends DType>(table: Readonly<Record<D, unknown>>, dtype: unknown, of: string): D {
  if (typeof dtype !== "string" || !Object.hasOwn(table, dtype)) {
    const meant = typeof dtype === "string" ? meantDType(table, dtype) : undefined;
    throw argumentTypeError(
      "ERR_EAS_ARG_DTYPE",
      `${of}: dtype is ${show(dtype)}: it must be one of ${Object.keys(table).join(", ")}${meant ? `; did you mean ${meant}?` : ""}`,
    );
  }
  return dtype as D;
}

/** Returns the encoding of a dtype. */
export function traitsOf(dtype: DType): DTypeTraits {
  return TRAITS[dtype];
}

/** Inverts a table of enum numbers. */
export function byNumber<K extends string>(table: Readonly<Record<K, number>>): ReadonlyMap<number, K> {
  return new Map(Object.entries<number>(table).map(([key, number]) => [number, key as K]));
}
