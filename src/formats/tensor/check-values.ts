import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { isBytes, typedArrayName } from "../../util/realms.js";
import { type ContentOf, checkDTypeOf, type DType, type NumberArray, traitsOf } from "./dtype.js";
import { checkShape, type Tensor } from "./tensor.js";

/** A request format's dtypes and the function that checks its values. */
export interface TensorFormat<D extends DType> {
  /**
   * Returns `dtype`, or throws a `TypeError` if the format does not support it. `of` is the name of the input in error
   * messages.
   */
  checkDType(dtype: unknown, of: string): D;
  /** Throws if an element of `content` does not fit `dtype`. Default: `checkValues`. */
  checkValues?(content: ContentOf<DType>, dtype: D, of: string): void;
}

/** Returns the format whose dtypes are the keys of `dtypes`. */
export function formatOf<D extends DType>(dtypes: Readonly<Record<D, unknown>>): TensorFormat<D> {
  return { checkDType: (dtype, of) => checkDTypeOf(dtypes, dtype, of) };
}

/**
 * Checks a tensor's dtype, shape and values and returns the dtype. `of` is the name of the input in error messages.
 * Requests check their tensors when they are added and when they are serialized, because the caller can change the
 * arrays in between.
 */
export function checkTensor<D extends DType>(format: TensorFormat<D>, tensor: Tensor, of: string): D {
  const { shape, data } = tensor;
  const dtype = format.checkDType(tensor.dtype, of);
  checkShape(shape, data, dtype, of);
  (format.checkValues ?? checkValues)(data, dtype, of);
  return dtype;
}

type Check = (value: unknown) => boolean;

/** Throws a `TypeError` or `RangeError` for the first element of `content` that does not fit `dtype`. */
export function checkValues(content: ContentOf<DType>, dtype: DType, of: string): void {
  switch (dtype) {
    case "DT_STRING":
      return check(content, dtype, of, isText, "it must be a string, sent as UTF-8, or a Uint8Array");
    case "DT_BOOL":
      return check(content, dtype, of, isBoolean, "it must be true, false, 1 or 0");
    case "DT_INT64":
    case "DT_UINT64":
      return checkInt64s(content, dtype, of);
    case "DT_HALF":
    case "DT_BFLOAT16":
      if (typedArrayName(content) === "Uint16Array") {
        const name = dtype === "DT_HALF" ? "fromFloat16" : "fromBFloat16";
        throw argumentTypeError(
          "ERR_EAS_ARG_CONTENT",
          `${of}: content is a Uint16Array, which may contain the bits of ${dtype} values. This format sends floats: pass ${name}(content)`,
        );
      }
  }
  const { field } = traitsOf(dtype);
  if (field !== "float" && field !== "double") checkIntegers(content as NumberArray, dtype, of);
  else if (typedArrayName(content) === undefined || isBigIntArray(content)) {
    check(content, dtype, of, isNumber, "it must be a number");
  }
}

function check(content: ArrayLike<unknown>, dtype: DType, of: string, fits: Check, right: string): void {
  for (let i = 0; i < content.length; i++) if (!fits(content[i])) throw unfit(of, dtype, i, content[i], right);
}

function checkIntegers(content: NumberArray, dtype: DType, of: string): void {
  if (isBigIntArray(content) && content.length > 0) {
    throw unfit(of, dtype, 0, content[0], "it must be a number; bigints fit DT_INT64");
  }
  const { integers = Int32Array, range } = traitsOf(dtype);
  if (typedArrayName(content) === integers.name) return;
  const [min, max] = range ?? [-2_147_483_648, 2_147_483_647];
  // Inline the comparisons, because a function call for each element would take longer.
  for (let i = 0; i < content.length; i++) {
    const value = content[i];
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw unfit(of, dtype, i, value, `it must be an integer from ${min} to ${max}`);
    }
  }
}

const isText: Check = (value) => typeof value === "string" || isBytes(value);
const isBoolean: Check = (value) => value === true || value === false || value === 0 || value === 1;
const isNumber: Check = (value) => typeof value === "number";

function checkInt64s(content: ArrayLike<unknown>, dtype: DType, of: string): void {
  const isSigned = dtype === "DT_INT64";
  if (typedArrayName(content) === (isSigned ? "BigInt64Array" : "BigUint64Array")) return;
  const wrapped = isSigned ? BigInt.asIntN : BigInt.asUintN;
  const fits: Check = (value) =>
    typeof value === "bigint"
      ? wrapped(64, value) === value
      : Number.isSafeInteger(value) && (isSigned || (value as number) >= 0);
  const range = isSigned ? "within" : "of at least 0 and within";
  check(content, dtype, of, fits, `it must be an integer: a number ${range} ±(2^53 - 1), or a bigint ${range} 64 bits`);
}

function isBigIntArray(content: unknown): boolean {
  return typedArrayName(content)?.startsWith("Big") ?? false;
}

/** Returns the error for an element that does not fit its dtype: a `RangeError` for a number, otherwise a `TypeError`. */
function unfit(of: string, dtype: DType, index: number, value: unknown, right: string): Error {
  const create = typeof value === "number" || typeof value === "bigint" ? argumentRangeError : argumentTypeError;
  return create(
    "ERR_EAS_ARG_CONTENT",
    `${of}: content[${index}] is ${show(value)}, which does not fit ${dtype}: ${right}`,
  );
}
