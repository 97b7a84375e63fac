import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { isMap } from "../../util/realms.js";
import { type EncodedField, joined, message, serialized, text } from "../protobuf/encoded-field.js";
import { MAP_KEY, MAP_VALUE } from "../protobuf/wire.js";
import { isList } from "../recommend/argument-checks.js";
import { encodeScalar, type Place, type Scalar, toInt64 } from "../recommend/scalar-values.js";
import type { Bytes } from "../request.js";
import { checkValues } from "../tensor/check-values.js";
import type { ContentOf, TFDType } from "../tensor/dtype.js";
import { encodeValues } from "../tensor/encode-values.js";
import { type FeatureKind, kindOf } from "./dtype.js";

const STRING_FEATURE = 3;
/** Number of the only field in each list and map message, which contains the elements or entries. */
const ELEMENTS = 1;

/**
 * Checks a value and serializes it as a `PBFeature`. Throws a `TypeError` or `RangeError` whose message begins with
 * `of`. The dtype is checked even if the value is missing.
 */
export function encodeFeature(value: unknown, dtype: unknown, of: string): Bytes {
  const kind = kindOf(dtype, of);
  // Send a missing value of any dtype as the empty string, as all three official SDKs do.
  if (isMissing(value)) return serialized([text(STRING_FEATURE, "")]);
  return serialized([ENCODERS[kind.form](kind, value, { of, dtype: dtype as string })]);
}

const ENCODERS: Readonly<
  Record<FeatureKind["form"], (kind: FeatureKind, value: unknown, place: Place) => EncodedField>
> = {
  scalar: ({ field, value: scalar }, value, place) => encodeScalar(scalar, field, value, place),
  list: ({ field, value: scalar }, value, place) => message(field, [encodeList(scalar, value, place)]),
  lists: ({ field, value: scalar }, value, place) =>
    message(field, [
      joined(
        Array.from(checkList(value, place), (list, i) =>
          message(ELEMENTS, [encodeList(scalar, list, { ...place, of: `${place.of}: element ${i}` })]),
        ),
      ),
    ]),
  map: (kind, value, place) => message(kind.field, encodeEntries(kind, value, place)),
};

function isMissing(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (isList(value)) return value.length === 0;
  if (isMap(value)) return value.size === 0;
  return isPlainObject(value) && Object.keys(value).length === 0;
}

/**
 * Whether a value is a plain object from any realm, such as `{}` or a `JSON.parse` result, or an object without a
 * prototype.
 */
function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function checkList(value: unknown, { of, dtype }: Place): ArrayLike<unknown> {
  if (!isList(value)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of} is ${show(value)}, which does not fit ${dtype}: it must be an array`,
    );
  }
  return value;
}

/** The tensor dtype whose values are encoded like the elements of a list, by element type. */
const ELEMENT_DTYPES = {
  INT: "DT_INT32",
  INT64: "DT_INT64",
  FLOAT: "DT_FLOAT",
  DOUBLE: "DT_DOUBLE",
} as const satisfies Partial<Record<Scalar, TFDType>>;

function encodeList(scalar: Scalar, value: unknown, place: Place): EncodedField {
  const elements = checkList(value, place);
  const { of, dtype } = place;
  if (scalar === "STRING") {
    // Use Array.from, which, unlike `map`, visits the holes in a sparse array.
    return joined(
      Array.from(elements, (element, i) =>
        encodeScalar(scalar, ELEMENTS, element, { dtype, of: `${of}: element ${i}` }),
      ),
    );
  }
  const content = elements as ContentOf<"DT_INT64">;
  checkValues(content, ELEMENT_DTYPES[scalar], `${of} (${dtype})`);
  return encodeValues(ELEMENTS, content, ELEMENT_DTYPES[scalar]);
}

function encodeEntries(kind: FeatureKind, value: unknown, place: Place): EncodedField[] {
  const { of, dtype } = place;
  if (!isMap(value) && !isPlainObject(value)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of} is ${show(value)}, which does not fit ${dtype}: it must be a Map or a plain object`,
    );
  }
  const seen = new Set<unknown>();
  const entries = isMap(value) ? Array.from(value) : Object.entries(value);
  return entries.map(([given, held]) => {
    const key = kind.key === "STRING" ? given : toIntegerKey(given);
    const encodedKey = encodeKey(kind.key, key, given, place);
    if (seen.has(key)) {
      throw argumentRangeError(
        "ERR_EAS_ARG_CONTENT",
        `${of}: the key ${key} occurs twice: the service would keep only one of the entries`,
      );
    }
    seen.add(key);
    const valuePlace = { dtype, of: `${of}: the value of key ${show(given)}` };
    return message(ELEMENTS, [encodedKey, encodeScalar(kind.value, MAP_VALUE, held, valuePlace)]);
  });
}

/** Canonical decimal text of an integer. */
const DECIMAL = /^(0|-?[1-9][0-9]*)$/;

/**
 * Returns a key as a bigint, so that a number, a bigint and decimal text for the same integer are equal. Returns
 * undefined if the key is not an integer.
 */
function toIntegerKey(key: unknown): bigint | undefined {
  return toInt64(typeof key === "string" && DECIMAL.test(key) ? BigInt(key) : key);
}

function encodeKey(scalar: Scalar, key: unknown, given: unknown, { of, dtype }: Place): EncodedField {
  const place = { dtype, of: `${of}: key` };
  if (scalar === "STRING") return encodeScalar(scalar, MAP_KEY, key, place);
  const bits = scalar === "INT" ? 32 : 64;
  if (typeof key === "bigint" && BigInt.asIntN(bits, key) === key) {
    return encodeScalar("INT64", MAP_KEY, key, place);
  }
  const make = ["number", "bigint", "string"].includes(typeof given) ? argumentRangeError : argumentTypeError;
  throw make(
    "ERR_EAS_ARG_CONTENT",
    `${of}: key is ${show(given)}, which does not fit ${dtype}: it must be an integer within ${bits} bits, or its decimal text without white space, a plus sign or leading zeros`,
  );
}
