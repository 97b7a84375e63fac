import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { type EncodedField, int32, text } from "../protobuf/encoded-field.js";
import { FIXED32, FIXED64, LENGTH_DELIMITED, tagSize, VARINT } from "../protobuf/wire.js";
import { checkText } from "./argument-checks.js";

/** The types of values, list elements, and map keys and values. */
export type Scalar = "INT" | "INT64" | "STRING" | "FLOAT" | "DOUBLE";

/** The value and the dtype that an error message refers to. */
export interface Place {
  /** The value, for example `user feature "age"`. */
  readonly of: string;
  /** The dtype as passed by the caller. */
  readonly dtype: string;
}

interface ScalarTraits {
  readonly wireType: number;
  /** Description of valid values for error messages. */
  readonly right: string;
  /** Encodes a value, even if it is 0 or empty. Returns undefined if the value is not valid. */
  encode(field: number, value: unknown, place: Place): EncodedField | undefined;
}

const SCALARS: Readonly<Record<Scalar, ScalarTraits>> = {
  INT: {
    wireType: VARINT,
    right: "it must be an integer from -2147483648 to 2147483647",
    // `value | 0` equals `value` only for a 32-bit integer, not for fractions or NaN.
    encode: (field, value) => (typeof value === "number" && (value | 0) === value ? int32(field, value) : undefined),
  },
  INT64: {
    wireType: VARINT,
    right: "it must be an integer: a number within ±(2^53 - 1), or a bigint within 64 bits",
    encode: (field, value) => {
      const integer = toInt64(value);
      return integer === undefined ? undefined : int64(field, integer);
    },
  },
  STRING: {
    wireType: LENGTH_DELIMITED,
    right: "it must be a string",
    encode: (field, value, { of }) =>
      typeof value === "string" ? text(field, checkText(of, value, "ERR_EAS_ARG_CONTENT")) : undefined,
  },
  FLOAT: {
    wireType: FIXED32,
    right: "it must be a number",
    encode: (field, value) => (typeof value === "number" ? fixed32(field, value) : undefined),
  },
  DOUBLE: {
    wireType: FIXED64,
    right: "it must be a number",
    encode: (field, value) => (typeof value === "number" ? fixed64(field, value) : undefined),
  },
};

/** Checks a value and encodes it as a field, even if it is 0 or empty. Throws a `TypeError` or `RangeError`. */
export function encodeScalar(scalar: Scalar, field: number, value: unknown, place: Place): EncodedField {
  const { right, encode } = SCALARS[scalar];
  const encoded = encode(field, value, place);
  if (encoded !== undefined) return encoded;
  const isInteger = scalar === "INT" || scalar === "INT64";
  const isOfKind = isInteger && (typeof value === "number" || typeof value === "bigint");
  const make = isOfKind ? argumentRangeError : argumentTypeError;
  throw make("ERR_EAS_ARG_CONTENT", `${place.of} is ${show(value)}, which does not fit ${place.dtype}: ${right}`);
}

/** Returns the wire type of a field that contains one value of this type. */
export function wireTypeOf(scalar: Scalar): number {
  return SCALARS[scalar].wireType;
}

/**
 * Returns a 64-bit integer as a bigint. Returns undefined for any other value and for a number that may have been
 * rounded.
 */
export function toInt64(value: unknown): bigint | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === "bigint" && BigInt.asIntN(64, value) === value ? value : undefined;
}

function int64(field: number, value: bigint): EncodedField {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return plain(field, VARINT, Uint8Array.from(bytes));
}

/** Encodes a number as the nearest 32-bit float. */
function fixed32(field: number, value: number): EncodedField {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return plain(field, FIXED32, bytes);
}

function fixed64(field: number, value: number): EncodedField {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return plain(field, FIXED64, bytes);
}

/** Encodes a field that is not length-delimited. */
function plain(field: number, wireType: number, bytes: Uint8Array): EncodedField {
  return {
    size: tagSize(field) + bytes.length,
    write(writer) {
      writer.tag(field, wireType);
      writer.raw(bytes);
    },
  };
}
