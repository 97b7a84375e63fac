import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { isMap } from "../../util/realms.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { JsonResponse } from "./response.js";

/** Data type of a feature in a `JsonRequest`. */
export type JsonDataType = "NULL" | "BOOL" | "INT32" | "INT64" | "FLOAT" | "DOUBLE" | "STRING";

interface ValueByType {
  NULL: null;
  BOOL: boolean;
  INT32: number;
  INT64: number | bigint;
  FLOAT: number;
  DOUBLE: number;
  STRING: string;
}

/** A feature with an explicit data type. */
export type JsonFeature = {
  [T in JsonDataType]: { readonly dataType: T; readonly dataValue: ValueByType[T] };
}[JsonDataType];

/**
 * A feature in a row. The data type is inferred from the value: 32-bit integers are INT32, larger safe integers and
 * bigints are INT64, all other numbers are DOUBLE. To send a FLOAT, or a whole number as a DOUBLE, pass an explicit
 * type, such as `{ dataType: "FLOAT", dataValue: 1 }`.
 */
export type JsonValue = null | boolean | number | bigint | string | JsonFeature;

interface TypeTraits {
  /** Number of the type in the JSON text, as in the official Java SDK's `JsonFeatureValue`. */
  readonly number: number;
  readonly fits: (value: unknown) => boolean;
  /** Description of the allowed values for error messages. */
  readonly allowed: string;
}

const TYPES: Readonly<Record<JsonDataType, TypeTraits>> = {
  NULL: { number: 0, fits: (value) => value === null, allowed: "null" },
  BOOL: { number: 1, fits: (value) => typeof value === "boolean", allowed: "true or false" },
  INT32: { number: 10, fits: (value) => Object.is((value as number) | 0, value), allowed: "a 32-bit integer" },
  INT64: {
    number: 20,
    fits: (value) =>
      typeof value === "bigint"
        ? BigInt.asIntN(64, value) === value
        : Number.isSafeInteger(value) && !Object.is(value, -0),
    allowed: "a safe integer, or a 64-bit bigint",
  },
  FLOAT: {
    number: 30,
    // Also accept 3.4028235E38, as which Java prints `Float.MAX_VALUE`. As a double, this number exceeds the largest
    // float.
    fits: (value) => typeof value === "number" && Number.isFinite(Math.fround(value)),
    allowed: "a number within ±3.4028235e+38; JSON has no NaN and no infinity",
  },
  DOUBLE: {
    number: 40,
    fits: (value) => Number.isFinite(value),
    allowed: "a finite number; JSON has no NaN and no infinity",
  },
  STRING: { number: 50, fits: (value) => typeof value === "string", allowed: "a string" },
};

/**
 * A JSON request with rows of named features, for PMML models on the JSON processor. The response is a `JsonResponse`.
 *
 * @example
 * const request = new JsonRequest().addRow({ age: 42, income: { dataType: "DOUBLE", dataValue: 1200 }, city: "Hangzhou" });
 */
export class JsonRequest implements PredictRequest<JsonResponse> {
  readonly compression: Compression | undefined;
  readonly #rows: string[] = [];

  /** Creates a request without rows. */
  constructor(options: RequestOptions = {}) {
    checkRequestOptions("JsonRequest", options);
    this.compression = options.compression;
    showAsText(this);
  }

  /**
   * Adds a row, which is serialized immediately. Throws a `TypeError` or `RangeError` that names the row and the feature
   * if a value is not supported or does not fit its data type.
   */
  addRow(features: Readonly<Record<string, JsonValue>> | ReadonlyMap<string, JsonValue>): this {
    const row = this.#rows.length;
    if (typeof features !== "object" || features === null || Array.isArray(features)) {
      throw argumentTypeError("ERR_EAS_ARG_FEED", `row ${row} is ${show(features)}: it must be an object or a Map`);
    }
    const entries = isMap(features) ? [...features] : Object.entries(features);
    const texts = entries.map(([name, value]: [string, JsonValue]) => {
      if (typeof name !== "string" || name === "") {
        throw argumentTypeError(
          "ERR_EAS_ARG_FEED",
          `row ${row}: a feature name is ${show(name)}: it must be a non-empty string`,
        );
      }
      return `${JSON.stringify(name)}:${featureText(value, `row ${row}, feature ${show(name)}`)}`;
    });
    this.#rows.push(`{${texts.join(",")}}`);
    return this;
  }

  /** Returns the JSON text as UTF-8. */
  toBinary(): Bytes {
    return new TextEncoder().encode(this.toString());
  }

  /** Parses a response body. Throws `EasDecodeError` if the body is invalid. */
  parseResponse(body: Bytes): JsonResponse {
    return new JsonResponse(body);
  }

  /** Returns the JSON text. */
  toString(): string {
    return `{"inputs":[${this.#rows.join(",")}]}`;
  }
}

function featureText(value: JsonValue, subject: string): string {
  const { dataType, dataValue } = withType(value, subject);
  if (!Object.hasOwn(TYPES, dataType)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_DTYPE",
      `${subject}: dataType is ${show(dataType)}: it must be one of ${Object.keys(TYPES).join(", ")}`,
    );
  }
  const { number, fits, allowed } = TYPES[dataType];
  if (!fits(dataValue)) {
    const isNumeric = typeof dataValue === "number" || typeof dataValue === "bigint";
    throw (isNumeric ? argumentRangeError : argumentTypeError)(
      "ERR_EAS_ARG_CONTENT",
      `${subject} is ${show(dataValue)}, which does not fit ${dataType}: it must be ${allowed}`,
    );
  }
  // Like the official Java SDK, omit the value of a NULL feature.
  return dataType === "NULL"
    ? `{"dataType":${number}}`
    : `{"dataType":${number},"dataValue":${valueText(dataType, dataValue)}}`;
}

function withType(value: JsonValue, subject: string): JsonFeature {
  if (value === null) return { dataType: "NULL", dataValue: null };
  switch (typeof value) {
    case "object":
      return value;
    case "boolean":
      return { dataType: "BOOL", dataValue: value };
    case "string":
      return { dataType: "STRING", dataValue: value };
    case "bigint":
      return { dataType: "INT64", dataValue: value };
    case "number":
      if (TYPES.INT32.fits(value)) return { dataType: "INT32", dataValue: value };
      return { dataType: TYPES.INT64.fits(value) ? "INT64" : "DOUBLE", dataValue: value };
    default:
      throw argumentTypeError(
        "ERR_EAS_ARG_CONTENT",
        `${subject} is ${show(value)}: it must be null, a boolean, number, bigint or string, or { dataType, dataValue }`,
      );
  }
}

function valueText(dataType: JsonDataType, value: JsonFeature["dataValue"]): string {
  if (dataType === "STRING") return JSON.stringify(value);
  if (dataType !== "FLOAT" && dataType !== "DOUBLE") return String(value);
  if (Object.is(value, -0)) return "-0.0";
  const text = String(value);
  // Add a decimal point, as Java does, because a server may use it to distinguish floats from integers.
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
