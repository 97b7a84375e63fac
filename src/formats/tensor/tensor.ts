import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { jsonForm } from "../../util/json-form.js";
import { isBytes, typedArrayName } from "../../util/realms.js";
import { fromUtf8 } from "../protobuf/wire.js";
import { type ContentOf, checkDType, type DType, type Float16Values, traitsOf } from "./dtype.js";

/** A multi-dimensional array: dtype, shape and elements in C order. Refers to the caller's memory. */
export interface Tensor<D extends DType = DType, V = ContentOf<D>> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: V;
}

/** The dtype that `tensor` infers from an array type. */
export type DTypeOfArray<T> = T extends Float32Array
  ? "DT_FLOAT"
  : T extends Float64Array
    ? "DT_DOUBLE"
    : T extends Int8Array
      ? "DT_INT8"
      : T extends Int16Array
        ? "DT_INT16"
        : T extends Int32Array
          ? "DT_INT32"
          : T extends Uint8Array | Uint8ClampedArray
            ? "DT_UINT8"
            : T extends Uint16Array
              ? "DT_UINT16"
              : T extends BigInt64Array
                ? "DT_INT64"
                : T extends Uint32Array
                  ? "DT_UINT32"
                  : T extends BigUint64Array
                    ? "DT_UINT64"
                    : T extends Float16Values
                      ? "DT_HALF"
                      : T extends readonly boolean[]
                        ? "DT_BOOL"
                        : T extends readonly (string | Uint8Array)[]
                          ? "DT_STRING"
                          : never;

const DTYPE_BY_TAG: Readonly<Record<string, DType>> = {
  Float32Array: "DT_FLOAT",
  Float64Array: "DT_DOUBLE",
  Int8Array: "DT_INT8",
  Int16Array: "DT_INT16",
  Int32Array: "DT_INT32",
  Uint8Array: "DT_UINT8",
  Uint8ClampedArray: "DT_UINT8",
  Uint16Array: "DT_UINT16",
  BigInt64Array: "DT_INT64",
  Uint32Array: "DT_UINT32",
  BigUint64Array: "DT_UINT64",
  Float16Array: "DT_HALF",
};

/**
 * Creates a tensor from a shape, elements in C order and a dtype. `data` is not copied. Throws a `TypeError` or
 * `RangeError` if the shape does not match the number of elements.
 *
 * @example
 * const image = tensor([1, 2, 2], [0, 0.5, 0.5, 1], "DT_FLOAT");
 * request.addFeed("image", image);
 */
export function tensor<const D extends DType>(shape: readonly number[], data: ContentOf<D>, dtype: D): Tensor<D>;
/** Creates a tensor whose dtype is inferred from `data`: a typed array, `boolean[]` or `string[]`. */
export function tensor<T>(
  shape: readonly number[],
  data: T & (DTypeOfArray<T> extends never ? never : T),
): Tensor<DTypeOfArray<T>, T>;
export function tensor(shape: readonly number[], data: ContentOf<DType>, dtype?: DType): Tensor {
  const resolved = checkDType(dtype ?? dtypeOf(data, shape), "tensor");
  checkShape(shape, data, resolved, "tensor");
  return makeTensor(resolved, shape, data);
}

/** Creates a tensor from checked parts, with methods for logs and JSON. */
export function makeTensor<D extends DType, V extends ArrayLike<unknown>>(
  dtype: D,
  shape: readonly number[],
  data: V,
): Tensor<D, V> {
  return new TensorOfParts(dtype, shape, data);
}

class TensorOfParts<D extends DType, V extends ArrayLike<unknown>> implements Tensor<D, V> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: V;

  constructor(dtype: D, shape: readonly number[], data: V) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
    showAsText(this);
  }

  toString(): string {
    return `Tensor ${tensorText(this.dtype, this.shape, this.data)}`;
  }

  toJSON(): unknown {
    return { dtype: this.dtype, shape: [...this.shape], data: jsonForm(this.data) };
  }
}

/** Maximum number of values to show when a tensor is formatted for logs. */
const SHOWN_VALUES = 8;

/** Formats a tensor for logs: dtype, shape and the first values. */
export function tensorText(
  dtype: DType | undefined,
  shape: readonly (number | bigint)[],
  data: ArrayLike<unknown>,
): string {
  const first = Array.from({ length: Math.min(SHOWN_VALUES, data.length) }, (_, i) => {
    const value = data[i];
    if (typeof value === "string") return show(value);
    return isBytes(value) ? show(fromUtf8(value)) : value;
  });
  return `${dtype} [${shape.join(", ")}] ${first.join(", ")}${data.length > SHOWN_VALUES ? ", …" : ""}`;
}

function dtypeOf(data: unknown, shape: unknown): DType {
  const byName = DTYPE_BY_TAG[typedArrayName(data) ?? ""];
  if (byName !== undefined) return byName;
  if (Array.isArray(data) && data.length > 0) {
    if (data.every((value) => typeof value === "boolean")) return "DT_BOOL";
    if (data.every((value) => typeof value === "string" || isBytes(value))) return "DT_STRING";
  }
  throw argumentTypeError(
    "ERR_EAS_ARG_DTYPE",
    `tensor: the dtype cannot be inferred from ${show(data)}: pass it, for example tensor(shape, data, "DT_FLOAT")${swapped(shape, data)}`,
  );
}

/**
 * Throws a `TypeError` or `RangeError` if a shape is not valid or does not match the length of `content`. The error
 * message begins with `of`.
 */
export function checkShape(shape: readonly number[], content: ContentOf<DType>, dtype: DType, of: string): void {
  if (typeof shape !== "object" || shape === null || !(Symbol.iterator in shape)) {
    throw argumentTypeError("ERR_EAS_ARG_SHAPE", `${of}: shape is ${show(shape)}: it must be an array of integers`);
  }
  const length = (content as ArrayLike<unknown> | null | undefined)?.length as number;
  if (typeof content !== "object" || !Number.isSafeInteger(length)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of}: content is ${show(content)}: it must be a one-dimensional array`,
    );
  }
  const [first] = content as readonly unknown[];
  if (Array.isArray(first) || (dtype !== "DT_STRING" && typedArrayName(first) !== undefined)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of}: content[0] is ${show(first)}: content must be one-dimensional, in C order; flatten it, for example with flat(Infinity)`,
    );
  }
  let elements = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw argumentRangeError(
        "ERR_EAS_ARG_SHAPE",
        `${of}: shape [${[...shape].join(", ")}] has the dimension ${show(dimension)}: each must be an integer of at least 0${swapped(shape, content)}`,
      );
    }
    // Handle 0 separately, because multiplying an infinite product by 0 would result in NaN.
    elements = elements === 0 || dimension === 0 ? 0 : elements * dimension;
  }
  const { entries } = traitsOf(dtype);
  if (elements * entries !== length) {
    const twice = entries === 2 ? `, and ${dtype} needs two numbers for each: ${elements * 2}` : "";
    throw argumentRangeError(
      "ERR_EAS_ARG_SHAPE",
      `${of}: shape [${[...shape].join(", ")}] has ${elements} elements${twice}, but the content has length ${length}${swapped(shape, content)}`,
    );
  }
}

/** Returns advice for the error message if shape and content seem to be swapped. */
function swapped(shape: unknown, content: unknown): string {
  const { length } = (shape ?? {}) as { length?: unknown };
  const fits = Array.isArray(content) && content.reduce((product, size) => product * Number(size), 1) === length;
  return fits ? ". Shape and content seem to be swapped: the shape comes first" : "";
}
