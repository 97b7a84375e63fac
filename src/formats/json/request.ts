import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { isMap } from "../../util/realms.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { JsonResponse } from "./response.js";

/** The type of a feature of a `JsonRequest`. */
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

/** A feature with its type. */
export type JsonFeature = {
  [T in JsonDataType]: { readonly dataType: T; readonly dataValue: ValueByType[T] };
}[JsonDataType];

/**
 * A feature, whose type follows from its value: integers of 32 bits are INT32, larger ones up to 2^53 and bigints INT64,
 * all other numbers DOUBLE. FLOAT, or a DOUBLE that happens to be whole, is named: `{ dataType: "FLOAT", dataValue: 1 }`.
 */
export type JsonValue = null | boolean | number | bigint | string | JsonFeature;

interface TypeTraits {
  /** The number on the wire, as in the official Java SDK's `JsonFeatureValue`. */
  readonly number: number;
  readonly fits: (value: unknown) => boolean;
  /** What fits, in words. */
  readonly right: string;
}

const TYPES: Readonly<Record<JsonDataType, TypeTraits>> = {
  NULL: { number: 0, fits: (value) => value === null, right: "null" },
  BOOL: { number: 1, fits: (value) => typeof value === "boolean", right: "true or false" },
  INT32: { number: 10, fits: (value) => Object.is((value as number) | 0, value), right: "an integer of 32 bits" },
  INT64: {
    number: 20,
    fits: (value) =>
      typeof value === "bigint"
        ? BigInt.asIntN(64, value) === value
        : Number.isSafeInteger(value) && !Object.is(value, -0),
    right: "a safe integer, or a bigint of 64 bits",
  },
  FLOAT: {
    number: 30,
    // Java writes its `Float.MAX_VALUE` as 3.4028235E38, which is more than the double of the same float.
    fits: (value) => typeof value === "number" && Number.isFinite(Math.fround(value)),
    right: "a number within ±3.4028235e+38; JSON has no NaN and no infinity",
  },
  DOUBLE: {
    number: 40,
    fits: (value) => Number.isFinite(value),
    right: "a finite number; JSON has no NaN and no infinity",
  },
  STRING: { number: 50, fits: (value) => typeof value === "string", right: "a string" },
};

/**
 * A request of rows of named features as JSON, for PMML models behind the JSON processor. Answers with a `JsonResponse`.
 *
 * @example
 * const request = new JsonRequest().addRow({ age: 42, income: { dataType: "DOUBLE", dataValue: 1200 }, city: "Hangzhou" });
 */
export class JsonRequest implements PredictRequest<JsonResponse> {
  readonly compression: Compression | undefined;
  readonly #rows: string[] = [];

  constructor(options: RequestOptions = {}) {
    checkRequestOptions("JsonRequest", options);
    this.compression = options.compression;
    showAsText(this);
  }

  /**
   * Adds a row. Throws a `TypeError` or `RangeError` that names row and feature when a value has no type, or does not fit
   * the type that it is given. Later changes of `features` have no effect.
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
          `row ${row}: a feature's name is ${show(name)}: it must be a string`,
        );
      }
      return `${JSON.stringify(name)}:${featureText(value, `row ${row}, feature ${show(name)}`)}`;
    });
    this.#rows.push(`{${texts.join(",")}}`);
    return this;
  }

  /** The JSON text as UTF-8. */
  toBinary(): Bytes {
    return new TextEncoder().encode(this.toString());
  }

  parseResponse(body: Bytes): JsonResponse {
    return new JsonResponse(body);
  }

  /** The JSON text. */
  toString(): string {
    return `{"inputs":[${this.#rows.join(",")}]}`;
  }
}

function featureText(value: JsonValue, of: string): string {
  const { dataType, dataValue } = typed(value, of);
  if (!Object.hasOwn(TYPES, dataType)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_DTYPE",
      `${of}: dataType is ${show(dataType)}: it must be one of ${Object.keys(TYPES).join(", ")}`,
    );
  }
  const { number, fits, right } = TYPES[dataType];
  if (!fits(dataValue)) {
    const make =
      typeof dataValue === "number" || typeof dataValue === "bigint" ? argumentRangeError : argumentTypeError;
    throw make(
      "ERR_EAS_ARG_CONTENT",
      `${of} is ${show(dataValue)}, which does not fit ${dataType}: it must be ${right}`,
    );
  }
  // The official Java SDK leaves a null value out.
  return dataType === "NULL"
    ? `{"dataType":${number}}`
    : `{"dataType":${number},"dataValue":${valueText(dataType, dataValue)}}`;
}

function typed(value: JsonValue, of: string): JsonFeature {
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
        `${of} is ${show(value)}: it must be null, a boolean, number, bigint or string, or { dataType, dataValue }`,
      );
  }
}

function valueText(dataType: JsonDataType, value: JsonFeature["dataValue"]): string {
  if (dataType === "STRING") return JSON.stringify(value);
  if (dataType !== "FLOAT" && dataType !== "DOUBLE") return String(value);
  if (Object.is(value, -0)) return "-0.0";
  const text = String(value);
  // As Java writes it: a server may tell integers from floats by the point.
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
