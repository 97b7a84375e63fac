import type { Bytes } from "../../formats/request.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isBytes } from "../../util/realms.js";
import { type PredictInput, toRequest } from "../input/inputs.js";
import type { BatchInput, Measured, Source } from "./request.js";

/** Opens the requests of a batch. Throws a `TypeError` for a value that is not an iterable of requests. */
export function openInput(requests: unknown): BatchInput {
  return { source: iteratorOf(requests), total: Array.isArray(requests) ? requests.length : undefined, measure };
}

function iteratorOf(requests: unknown): Source {
  const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = Object(requests);
  // Text and bytes are iterable, but represent a single request.
  if (typeof requests !== "string" && !ArrayBuffer.isView(requests) && (async ?? sync))
    return (async ?? sync).call(requests);
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `batch takes an array, an iterable or an async iterable of requests, not ${show(requests)}`,
  );
}

/**
 * Serializes a request to determine its size. The returned request contains the bytes, so `predict` does not
 * serialize the request again. If the request is invalid, `predict` rejects with its error.
 */
function measure(input: unknown): Measured {
  if (isBytes(input)) return { request: input, size: input.length, body: input };
  try {
    const request = toRequest(input as PredictInput);
    if (input === null || request.read !== undefined) {
      return { request: input, size: request.size ?? 0, body: undefined };
    }
    const { contentType, compression, isText } = request;
    const body = request.toBinary();
    const parseResponse = (body: Bytes) => request.parseResponse(body);
    return {
      request: { contentType, compression, isText, toBinary: () => body, parseResponse },
      size: body.length,
      body,
    };
  } catch (error) {
    const toBinary = () => {
      throw error;
    };
    return { request: { toBinary, parseResponse: toBinary }, size: 0, body: undefined };
  }
}
