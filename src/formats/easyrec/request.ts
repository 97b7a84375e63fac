import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { serialized } from "../protobuf/encoded-field.js";
import { checkFeatureName, checkString, isList } from "../recommend/argument-checks.js";
import { type NamedTexts, splitFeatures, splitItems } from "../recommend/java-strings.js";
import { RecommendRequest } from "../recommend/recommend-request.js";
import { encodeScalar, type Scalar } from "../recommend/scalar-values.js";
import type { Bytes, PredictRequest, RequestOptions } from "../request.js";
import type { ContentOf } from "../tensor/dtype.js";
import { EasyRecResponse } from "./response.js";

/** The dtypes of EasyRec's features. LONG, INT64 and BIGINT are one: 64-bit integers. */
export type EasyRecDType = "INT" | "LONG" | "INT64" | "BIGINT" | "FLOAT" | "STRING";

/** A dtype as it may be given: in capital letters or in small ones. */
export type EasyRecDTypeName = EasyRecDType | Lowercase<EasyRecDType>;

/** What a value of a dtype is given as: 64-bit integers as a number within ±(2^53 - 1) or as a bigint. */
export type EasyRecValue<D extends EasyRecDTypeName> =
  Uppercase<D> extends "STRING" ? string : Uppercase<D> extends "LONG" | "INT64" | "BIGINT" ? number | bigint : number;

/** What the values of a context feature are given as: an array, or a typed array. */
export type EasyRecValues<D extends EasyRecDTypeName> =
  Uppercase<D> extends "STRING"
    ? readonly string[]
    : Uppercase<D> extends "LONG" | "INT64" | "BIGINT"
      ? ContentOf<"DT_INT64">
      : ContentOf<"DT_INT32">;

/** How an `EasyRecRequest` is sent and how its text helpers read. */
export interface EasyRecRequestOptions extends RequestOptions {
  /** What stands between the features in the text helpers; as `setSeparator`. Default: U+0002. */
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
 * A request of features and items, for recommendation models of the EasyRec processor. Answers with an
 * `EasyRecResponse`. Every method checks and copies what it is given, so that later changes have no effect.
 */
export class EasyRecRequest extends RecommendRequest implements PredictRequest<EasyRecResponse> {
  #separator = "\u0002";

  constructor(options: EasyRecRequestOptions = {}) {
    super("EasyRec", checkOptions(options), { compression: 1, separator: 1 });
    if (options.separator !== undefined) this.setSeparator(options.separator);
  }

  /**
   * Sets a feature of the user; one of the same name is replaced. Without a dtype a string goes as STRING and a bigint
   * as LONG; a number needs it said, since a model takes INT, LONG or FLOAT.
   */
  addUserFeature(name: string, value: string | bigint): this;
  addUserFeature<D extends EasyRecDTypeName>(name: string, value: EasyRecValue<D>, dtype: D): this;
  addUserFeature(name: string, value: unknown, dtype?: EasyRecDTypeName): this {
    const of = `user feature ${show(checkFeatureName("name", name))}`;
    const kind = kindOf(dtype, value, of);
    this.content.userFeatures.set(name, encodeFeature(kind, value, of, dtype));
    return this;
  }

  /**
   * Sets a feature that depends on user and item, one value for each item in the order of the item ids; one of the same
   * name is replaced. Without a dtype strings go as STRING and bigints as LONG.
   */
  addContextFeature(name: string, values: readonly string[] | readonly bigint[] | BigInt64Array): this;
  addContextFeature<D extends EasyRecDTypeName>(name: string, values: EasyRecValues<D>, dtype: D): this;
  addContextFeature(name: string, values: unknown, dtype?: EasyRecDTypeName): this {
    const of = `context feature ${show(checkFeatureName("name", name))}`;
    if (!isList(values)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_CONTENT",
        `${of}: values is ${show(values)}: it must be an array with one value for each item`,
      );
    }
    // Without values any dtype will do, but one that is named must be one.
    const kind = values.length === 0 && dtype === undefined ? STRING : kindOf(dtype, values[0], of);
    this.#setContextFeature(
      name,
      Array.from(values, (value, i) => encodeFeature(kind, value, `${of}: values[${i}]`, dtype)),
    );
    return this;
  }

  /**
   * Sets features of the user from one text, as Java's `appendUserFeatureString`: features apart by the separator, in
   * each of them the name before the first colon, and after it the value, which is sent as STRING. What that does with
   * odd texts, this does too: a part without a colon is passed over; colons at the end of a part are not sent; when
   * neither the first `|` nor the first U+001D of a value is its first character, each U+001D becomes a comma. A part
   * without a name is an error.
   */
  appendUserFeatureString(text: string): this {
    for (const [name, value] of encodeTexts(splitFeatures(checkString("text", text), this.#separator).user, "user")) {
      this.content.userFeatures.set(name, value[0] as Bytes);
    }
    return this;
  }

  /**
   * Sets context features from one text, as Java's `appendContextFeatureString`: features apart by the separator, in
   * each of them the name and then the values, one for each item, all apart by colons and sent as STRING. A part without
   * a colon is passed over, and empty values at the end of a part are not sent, as in Java. A part without a name is an
   * error.
   */
  appendContextFeatureString(text: string): this {
    const { context } = splitFeatures(checkString("text", text), this.#separator);
    for (const [name, values] of encodeTexts(context, "context")) this.#setContextFeature(name, values);
    return this;
  }

  /**
   * Adds items from one text, as Java's `appendItemStr`: ids apart by commas, whatever the separator is. Empty ids at
   * the end are not sent, but the empty text is one empty id, as in Java.
   */
  appendItemStr(text: string): this {
    this.content.addItemIds(splitItems(checkString("text", text)));
    return this;
  }

  /**
   * Sets what stands between the features in the text helpers, for the texts to come. Default: U+0002. It is taken as it
   * is; Java takes it for a regular expression.
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

  /** Takes away all item ids but the first; features stay as they are. */
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

/** As for all requests, but the text is one that the official Python SDK takes. */
function checkOptions(options: EasyRecRequestOptions): EasyRecRequestOptions {
  if (typeof options === "string") {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `EasyRecRequest takes options such as { compression }, not ${show(options)}: the official Python SDK takes a signature name here, but never sends it`,
    );
  }
  return options;
}

function kindOf(dtype: unknown, value: unknown, of: string): Kind {
  if (dtype === undefined && typeof value === "string") return STRING;
  if (dtype === undefined && typeof value === "bigint") return LONG;
  const name = typeof dtype === "string" ? dtype.toUpperCase() : "";
  // The dotless i, for one, has a capital letter in ASCII.
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

/** Names with texts as names with serialized features: all of them before any is set, so that an error changes nothing. */
function encodeTexts(named: NamedTexts, kind: string): [name: string, values: Bytes[]][] {
  return named.map(([name, texts]) => [
    name,
    texts.map((text) => encodeFeature(STRING, text, `${kind} feature ${show(name)}`, "STRING")),
  ]);
}
