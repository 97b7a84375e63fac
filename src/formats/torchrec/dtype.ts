import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { Scalar } from "../recommend/scalar-values.js";
import type { ContentOf } from "../tensor/dtype.js";

type ScalarName = Scalar | "BIGINT";
type KeyName = "INT" | "INT64" | "BIGINT" | "STRING";

/**
 * The names of TorchRec's dtypes. BIGINT is INT64, and ARRAY is LIST. `LIST<LIST<X>>` and `ARRAY<ARRAY<X>>` of other
 * elements than FLOAT are in the schema, but the official SDKs have no name for them.
 */
export type TorchRecDType =
  | ScalarName
  | `LIST<${ScalarName}>`
  | `ARRAY<${ScalarName}>`
  | `LIST<LIST<${ScalarName}>>`
  | `ARRAY<ARRAY<${ScalarName}>>`
  | `MAP<${KeyName},${ScalarName}>`;

/** A dtype as it may be given: in capital letters or in small ones. */
export type TorchRecDTypeName = TorchRecDType | Lowercase<TorchRecDType>;

type ScalarValue<X> = X extends "STRING" ? string : X extends "INT64" | "BIGINT" ? number | bigint : number;

type ListValue<X> = X extends "STRING"
  ? readonly string[]
  : X extends "INT64" | "BIGINT"
    ? ContentOf<"DT_INT64">
    : ContentOf<"DT_INT32">;

/** Integer keys may also be decimal text, since the keys of an object are text. */
type KeyValue<K> = K extends "STRING" ? string : K extends "INT" ? number | string : number | bigint | string;

type ValueOfName<D> = D extends `MAP<${infer K},${infer V}>`
  ? ReadonlyMap<KeyValue<K>, ScalarValue<V>> | { readonly [key: string]: ScalarValue<V> }
  : D extends `LIST<LIST<${infer X}>>` | `ARRAY<ARRAY<${infer X}>>`
    ? readonly ListValue<X>[]
    : D extends `LIST<${infer X}>` | `ARRAY<${infer X}>`
      ? ListValue<X>
      : ScalarValue<D>;

/**
 * What a feature of a dtype is given as. INT is a 32-bit integer; INT64 a number within ±(2^53 - 1) or a bigint; a list
 * an array or a typed array; a map a `Map` or a plain object. `null`, `undefined`, an empty list and an empty map stand
 * for a missing value.
 */
export type TorchRecValue<D extends TorchRecDTypeName> = ValueOfName<Uppercase<D>> | null | undefined;

/** One of the members of the `oneof` in `PBFeature`. */
export interface FeatureKind {
  /** Its field number. */
  readonly field: number;
  readonly form: "scalar" | "map" | "list" | "lists";
  /** The type of a map's keys; of no meaning elsewhere. */
  readonly key: Scalar;
  /** The type of the value, of each element, or of a map's values. */
  readonly value: Scalar;
}

const SCALARS = ["INT", "INT64", "STRING", "FLOAT", "DOUBLE"] as const;
const MAP_KEYS = ["INT64", "STRING", "INT"] as const;
const MAP_VALUES = ["STRING", "INT", "INT64", "FLOAT", "DOUBLE"] as const;

/**
 * The members by field number. The numbers follow an order: scalars from 1, maps from 6, lists from 21, lists of lists
 * from 26, as in the official Java SDK's `torchrec_predict.proto`.
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

/** All names of a kind. */
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

/** What a name is made of. Beyond ASCII some small letters have a capital one in it, such as the dotless i. */
const LETTERS = /^[A-Za-z0-9<>,]+$/;

/** The kind that a dtype names, in small or capital letters; `of` says whose dtype it is. */
export function kindOf(dtype: unknown, of: string): FeatureKind {
  const kind = typeof dtype === "string" && LETTERS.test(dtype) ? KINDS_BY_NAME.get(dtype.toUpperCase()) : undefined;
  if (kind !== undefined) return kind;
  throw argumentTypeError(
    "ERR_EAS_ARG_DTYPE",
    `${of}: dtype is ${show(dtype)}: it must be one of INT, INT64, BIGINT, FLOAT, DOUBLE, STRING; LIST<X>, ARRAY<X>, LIST<LIST<X>> and ARRAY<ARRAY<X>>, where X is one of these; MAP<K,V>, where K is INT, INT64, BIGINT or STRING and V is one of these; without spaces`,
  );
}
