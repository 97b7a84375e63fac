import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { serialized } from "../protobuf/encoded-field.js";
import { checkFeatureName, checkString, isList } from "../recommend/argument-checks.js";
import { type NamedTexts, splitFeatures, splitItems } from "../recommend/java-strings.js";
import { RecommendRequest } from "../recommend/recommend-request.js";
import { encodeScalar, type Scalar } from "../recommend/scalar-values.js";
import type { Bytes, PredictRequest, RequestOptions } from "../request.js";
import type { ContentOf } from "../tensor/dtype.js";
import { EasyRecResponse } from "./response.js";

/** Dtypes of EasyRec features. LONG, INT64 and BIGINT are synonyms for 64-bit integers. */
export type EasyRecDType = "INT" | "LONG" | "INT64" | "BIGINT" | "FLOAT" | "STRING";

/** The name of a dtype, in upper or lower case. */
export type EasyRecDTypeName = EasyRecDType | Lowercase<EasyRecDType>;

/** The JavaScript type of a feature's value. A 64-bit integer is a number within ±(2^53 - 1) or a bigint. */
export type EasyRecValue<D extends EasyRecDTypeName> =
  Uppercase<D> extends "STRING" ? string : Uppercase<D> extends "LONG" | "INT64" | "BIGINT" ? number | bigint : number;

/** The JavaScript types of a context feature's values: arrays and typed arrays. */
export type EasyRecValues<D extends EasyRecDTypeName> =
  Uppercase<D> extends "STRING"
    ? readonly string[]
    : Uppercase<D> extends "LONG" | "INT64" | "BIGINT"
      ? ContentOf<"DT_INT64">
      : ContentOf<"DT_INT32">;

/** Options for `EasyRecRequest`. */
export interface EasyRecRequestOptions extends RequestOptions {
  /** Separator of features in the text methods, as set by `setSeparator`. Default: U+0002. */
  readonly separator?: string | undefined;
}

interface Kind {
  /** Field number in `PBFeature`. */
  readonly field: number;
  readonly scalar: Scalar;
}

const LONG: Kind = { field: 2, scalar: "INT64" };
const STRING: Kind = { field: 3, scalar: "STRING" };
const KINDS: Readonly<Record<EasyRecDType, Kind>> = {
  INT: { field: 1, scalar: "INT" },
  LONG,
  INT64: LONG,
  BIGINT: LONG,
  FLOAT: { field: 4, scalar: "FLOAT" },
  STRING,
};

/**
 * A request with features and items for a recommendation model on the EasyRec processor. `predict` resolves with an
 * `EasyRecResponse`. Every method checks and copies its arguments, so later changes have no effect.
 *
 * @example
 * const request = new EasyRecRequest()
 *   .addUserFeature("age", 30, "INT")
 *   .addItemId("item-1")
 *   .addItemId("item-2");
 * const response = await client.predict(request);
 * response.getScores("item-1"); // Float64Array
 */
export class EasyRecRequest extends RecommendRequest implements PredictRequest<EasyRecResponse> {
  #separator = "\u0002";

  constructor(options: EasyRecRequestOptions = {}) {
    super("EasyRec", checkOptions(options), { compression: 1, separator: 1 });
    if (options.separator !== undefined) this.setSeparator(options.separator);
  }

  /**
   * Sets a user feature from a string (sent as STRING) or a bigint (sent as LONG). Replaces any feature of the same
   * name. Throws a `TypeError` or `RangeError` if the value is not valid.
   */
  addUserFeature(name: string, value: string | bigint): this;
  /**
   * Sets a user feature with an explicit dtype. Numbers require a dtype, because a feature can be INT, LONG or FLOAT.
   */
  addUserFeature<D extends EasyRecDTypeName>(name: string, value: EasyRecValue<D>, dtype: D): this;
  addUserFeature(name: string, value: unknown, dtype?: EasyRecDTypeName): this {
    const of = `user feature ${show(checkFeatureName("name", name))}`;
    const kind = kindOf(dtype, value, of);
    this.content.userFeatures.set(name, encodeFeature(kind, value, of, dtype));
    return this;
  }

  /**
   * Sets a feature that depends on the user and the item, with one value per item in the order of the item ids.
   * Replaces any feature of the same name. Strings are sent as STRING, and bigints as LONG.
   */
  addContextFeature(name: string, values: readonly string[] | readonly bigint[] | BigInt64Array): this;
  /** Sets a context feature with an explicit dtype. Numbers require a dtype. */
  addContextFeature<D extends EasyRecDTypeName>(name: string, values: EasyRecValues<D>, dtype: D): this;
  addContextFeature(name: string, values: unknown, dtype?: EasyRecDTypeName): this {
    const of = `context feature ${show(checkFeatureName("name", name))}`;
    if (!isList(values)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_CONTENT",
        `${of}: values is ${show(values)}: it must be an array with one value for each item`,
      );
    }
    // An empty list can be encoded with any dtype, but a dtype passed by the caller must still be valid.
    const kind = values.length === 0 && dtype === undefined ? STRING : kindOf(dtype, values[0], of);
    this.#setContextFeature(
      name,
      Array.from(values, (value, i) => encodeFeature(kind, value, `${of}: values[${i}]`, dtype)),
    );
    return this;
  }

  /**
   * Sets user features from a string, as Java's `appendUserFeatureString` does. Features are separated by the
   * configured separator. The name ends at the first colon, and the rest is the value, sent as STRING. As in Java,
   * parts without a colon are skipped, and trailing colons are not sent. If a value contains both `|` and U+001D, and
   * starts with neither, each U+001D becomes a comma. Throws a `RangeError` for a part without a name.
   */
  appendUserFeatureString(text: string): this {
    for (const [name, value] of encodeTexts(splitFeatures(checkString("text", text), this.#separator).user, "user")) {
      this.content.userFeatures.set(name, value[0] as Bytes);
    }
    return this;
  }

  /**
   * Sets context features from a string, as Java's `appendContextFeatureString` does. Features are separated by the
   * configured separator. In each feature, colons separate the name and the values, one per item, which are sent as
   * STRING. As in Java, parts without a colon are skipped, and trailing empty values are not sent. Throws a
   * `RangeError` for a part without a name.
   */
  appendContextFeatureString(text: string): this {
    const { context } = splitFeatures(checkString("text", text), this.#separator);
    for (const [name, values] of encodeTexts(context, "context")) this.#setContextFeature(name, values);
    return this;
  }

  /**
   * Adds item ids from a comma-separated string, as Java's `appendItemStr` does. Trailing empty ids are not sent, but
   * an empty string adds one empty id, as in Java.
   */
  appendItemStr(text: string): this {
    this.content.addItemIds(splitItems(checkString("text", text)));
    return this;
  }

  /**
   * Sets the feature separator for later calls to the text methods. Default: U+0002. The separator is matched
   * literally, whereas in Java it is a regular expression.
   */
  setSeparator(separator: string): this {
    checkString("separator", separator);
    if (separator === "" || separator.includes(":")) {
      throw argumentRangeError(
        "ERR_EAS_ARG_FEED",
        `separator is ${show(separator)}: it must be a string of at least one character without colons, which separate names from values`,
      );
    }
    this.#separator = separator;
    return this;
  }

  /** Removes all item ids except the first. Does not change features. */
  keepOneItemIds(): this {
    this.content.keepOneItemId();
    return this;
  }

  parseResponse(body: Bytes): EasyRecResponse {
    return new EasyRecResponse(body);
  }

  #setContextFeature(name: string, values: Bytes[]): void {
    this.content.contextFeatures.set(name, { values, unknown: [] });
  }
}

/** Checks the options. A string, which the official Python SDK accepts, is rejected with a specific error message. */
function checkOptions(options: EasyRecRequestOptions): EasyRecRequestOptions {
  if (typeof options === "string") {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `EasyRecRequest accepts options such as { compression }, not ${show(options)}: the official Python SDK takes a signature name here, but never sends it`,
    );
  }
  return options;
}

function kindOf(dtype: unknown, value: unknown, of: string): Kind {
  if (dtype === undefined && typeof value === "string") return STRING;
  if (dtype === undefined && typeof value === "bigint") return LONG;
  const name = typeof dtype === "string" ? dtype.toUpperCase() : "";
  // Check for ASCII letters, because some other letters, such as the dotless i, become ASCII letters when converted to
  // upper case.
  if (Object.hasOwn(KINDS, name) && /^[a-z0-9]+$/i.test(dtype as string)) return KINDS[name as EasyRecDType];
  const names = Object.keys(KINDS).join(", ");
  throw argumentTypeError(
    "ERR_EAS_ARG_DTYPE",
    dtype === undefined
      ? `${of}: the dtype cannot be inferred from ${show(value)}: pass one of ${names}`
      : `${of}: dtype is ${show(dtype)}: it must be one of ${names}`,
  );
}

function encodeFeature({ field, scalar }: Kind, value: unknown, of: string, dtype: string | undefined): Bytes {
  return serialized([
    encodeScalar(scalar, field, value, { of, dtype: dtype ?? (scalar === "INT64" ? "LONG" : scalar) }),
  ]);
}

/** Encodes all features before setting any of them, so that nothing changes if there is an error. */
function encodeTexts(named: NamedTexts, kind: string): [name: string, values: Bytes[]][] {
  return named.map(([name, texts]) => [
    name,
    texts.map((text) => encodeFeature(STRING, text, `${kind} feature ${show(name)}`, "STRING")),
  ]);
}
