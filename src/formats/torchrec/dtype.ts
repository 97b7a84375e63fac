import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { Scalar } from "../recommend/scalar-values.js";
import type { ContentOf } from "../tensor/dtype.js";

type ScalarName = Scalar | "BIGINT";
type KeyName = "INT" | "INT64" | "BIGINT" | "STRING";

/**
 * The names of TorchRec dtypes. BIGINT is a synonym for INT64, and ARRAY is a synonym for LIST. The schema also
 * supports nested lists of elements other than FLOAT, for which the official SDKs have no names.
 */
export type TorchRecDType =
  | ScalarName
  | `LIST<${ScalarName}>`
  | `ARRAY<${ScalarName}>`
  | `LIST<LIST<${ScalarName}>>`
  | `ARRAY<ARRAY<${ScalarName}>>`
  | `MAP<${KeyName},${ScalarName}>`;

/** The name of a dtype, in upper or lower case. */
export type TorchRecDTypeName = TorchRecDType | Lowercase<TorchRecDType>;

type ScalarValue<X> = X extends "STRING" ? string : X extends "INT64" | "BIGINT" ? number | bigint : number;

type ListValue<X> = X extends "STRING"
  ? readonly string[]
  : X extends "INT64" | "BIGINT"
    ? ContentOf<"DT_INT64">
    : ContentOf<"DT_INT32">;

/** The type of a map key. An integer key can be decimal text, because object keys are strings. */
type KeyValue<K> = K extends "STRING" ? string : K extends "INT" ? number | string : number | bigint | string;

type ValueOfName<D> = D extends `MAP<${infer K},${infer V}>`
  ? ReadonlyMap<KeyValue<K>, ScalarValue<V>> | { readonly [key: string]: ScalarValue<V> }
  : D extends `LIST<LIST<${infer X}>>` | `ARRAY<ARRAY<${infer X}>>`
    ? readonly ListValue<X>[]
    : D extends `LIST<${infer X}>` | `ARRAY<${infer X}>`
      ? ListValue<X>
      : ScalarValue<D>;

/**
 * The JavaScript type of a feature's value. INT is a 32-bit integer. INT64 is a number within ±(2^53 - 1) or a bigint.
 * A list is an array or a typed array. A map is a `Map` or a plain object. `null`, `undefined`, an empty list and an
 * empty map represent a missing value.
 */
export type TorchRecValue<D extends TorchRecDTypeName> = ValueOfName<Uppercase<D>> | null | undefined;

/** A member of the `oneof` in `PBFeature`. */
export interface FeatureKind {
  /** Field number of the member. */
  readonly field: number;
  readonly form: "scalar" | "map" | "list" | "lists";
  /** Type of map keys. Not used for other forms. */
  readonly key: Scalar;
  /** Type of the value, the list elements or the map values. */
  readonly value: Scalar;
}

const SCALARS = ["INT", "INT64", "STRING", "FLOAT", "DOUBLE"] as const;
const MAP_KEYS = ["INT64", "STRING", "INT"] as const;
const MAP_VALUES = ["STRING", "INT", "INT64", "FLOAT", "DOUBLE"] as const;

/**
 * The members by field number, as in the official Java SDK's `torchrec_predict.proto`. Scalars begin at 1, maps at 6,
 * lists at 21, and lists of lists at 26.
 */
export const FEATURE_KINDS: ReadonlyMap<number, FeatureKind> = /* @__PURE__ */ (() =>
  new Map(
    [
      ...SCALARS.map((value) => ({ form: "scalar", key: "STRING", value }) as const),
      ...MAP_KEYS.flatMap((key) => MAP_VALUES.map((value) => ({ form: "map", key, value }) as const)),
      ...SCALARS.map((value) => ({ form: "list", key: "STRING", value }) as const),
      ...SCALARS.map((value) => ({ form: "lists", key: "STRING", value }) as const),
    ].map((kind, i) => [i + 1, { field: i + 1, ...kind }]),
  ))();

const KINDS_BY_NAME: ReadonlyMap<string, FeatureKind> = /* @__PURE__ */ (() =>
  new Map(
    Array.from(FEATURE_KINDS.values()).flatMap((kind) =>
      namesOf(kind).map((name): [string, FeatureKind] => [name, kind]),
    ),
  ))();

/** Returns all dtype names for a kind. */
function namesOf({ form, key, value }: FeatureKind): string[] {
  const values = aliases(value);
  switch (form) {
    case "scalar":
      return values;
    case "list":
      return values.flatMap((name) => [`LIST<${name}>`, `ARRAY<${name}>`]);
    case "lists":
      return values.flatMap((name) => [`LIST<LIST<${name}>>`, `ARRAY<ARRAY<${name}>>`]);
    case "map":
      return aliases(key).flatMap((keyName) => values.map((name) => `MAP<${keyName},${name}>`));
  }
}

function aliases(scalar: Scalar): string[] {
  return scalar === "INT64" ? ["INT64", "BIGINT"] : [scalar];
}

/**
 * Matches the characters that a name can contain. Needed because some non-ASCII letters, such as the dotless i, become
 * ASCII letters in upper case.
 */
const LETTERS = /^[A-Za-z0-9<>,]+$/;

/**
 * Returns the kind for a dtype name, in upper or lower case. Throws a `TypeError` for other values. The error message
 * begins with `of`.
 */
export function kindOf(dtype: unknown, of: string): FeatureKind {
  const kind = typeof dtype === "string" && LETTERS.test(dtype) ? KINDS_BY_NAME.get(dtype.toUpperCase()) : undefined;
  if (kind !== undefined) return kind;
  throw argumentTypeError(
    "ERR_EAS_ARG_DTYPE",
    `${of}: dtype is ${show(dtype)}: it must be one of INT, INT64, BIGINT, FLOAT, DOUBLE, STRING; LIST<X>, ARRAY<X>, LIST<LIST<X>> and ARRAY<ARRAY<X>>, where X is one of these; MAP<K,V>, where K is INT, INT64, BIGINT or STRING and V is one of these; without spaces`,
  );
}
