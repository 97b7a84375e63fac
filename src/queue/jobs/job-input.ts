import type { Bytes, PredictRequest } from "../../formats/request.js";
import { jsonText } from "../../predict/input/json-text.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isArrayBuffer, isBlob, isBytes } from "../../util/realms.js";
import type { DataFrame } from "../frame.js";
import type { QueueData } from "../options.js";

/**
 * The input of a job: text, bytes, a `Blob` or a request object, such as a `TFRequest`. A plain object or an array is
 * sent as JSON.
 */
export type JobInput = QueueData | PredictRequest<unknown> | object;

/** The type of the result of a job for an input: the response of a request object, and a `DataFrame` otherwise. */
export type JobOutput<Q> = Q extends PredictRequest<infer R> ? R : DataFrame;

/** A request object, or its class, which parses the result of a job. */
export type ResultFormat<R> = PredictRequest<R> | (new () => PredictRequest<R>);

/** The serialized input of a job. */
export interface JobBody {
  readonly data: QueueData;
  /** `Content-Type` of the body, if the input specifies it. */
  readonly contentType: string | undefined;
  /** Parses the body of the result. Undefined if the input is not a request object. */
  readonly parse: ((body: Bytes) => unknown) | undefined;
}

/** Serializes an input immediately. Returns undefined for an unsupported input; see `jobRefusal`. */
export function jobBody(input: JobInput): JobBody | undefined {
  const plain = { contentType: undefined, parse: undefined };
  if (typeof input === "string" || isBytes(input) || isArrayBuffer(input))
    return { ...plain, data: input as QueueData };
  if (typeof input !== "object" || input === null) return undefined;
  const { toBinary, parseResponse } = input as Partial<PredictRequest<unknown>>;
  if (typeof toBinary === "function" && typeof parseResponse === "function") {
    const request = input as PredictRequest<unknown>;
    if (request.compression !== undefined) return undefined;
    return {
      data: request.toBinary(),
      contentType: request.contentType,
      parse: (body) => request.parseResponse(body),
    };
  }
  if (isBlob(input)) return { ...plain, data: input, contentType: input.type || undefined };
  const data = jsonText(input);
  return data === undefined ? undefined : { ...plain, data, contentType: "application/json" };
}

/** Returns a function that parses results in the format of a request. Throws a `TypeError` for other values. */
export function parserOf<R>(format: ResultFormat<R>): (body: Bytes) => R {
  const request = typeof format === "function" ? new format() : format;
  if (typeof request?.parseResponse === "function") return (body) => request.parseResponse(body);
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `as is ${show(format)}: it must be a request class, such as TFRequest, or a request object`,
  );
}
