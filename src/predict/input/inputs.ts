import type { Bytes, PredictRequest } from "../../formats/request.js";
import { StringRequest, StringResponse } from "../../formats/text/string-request.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isArrayBuffer, isBlob, isBytes, tagOf } from "../../util/realms.js";
import { FORM_TYPE, multipartType, newBoundary } from "./form-type.js";
import { jsonText } from "./json-text.js";

/**
 * The input of a prediction: text, bytes, a `Blob`, a `FormData`, a `URLSearchParams` or a request object. A plain object
 * or an array is sent as JSON. `null` sends a request without a body.
 */
export type PredictInput = string | PredictRequest<unknown> | object | null;

/** The result type of `predict` for an input: a request object's response class, bytes for bytes, otherwise text. */
export type PredictOutput<Q extends PredictInput> = Q extends string
  ? StringResponse
  : Q extends PredictRequest<infer R>
    ? R
    : Q extends Uint8Array | ArrayBuffer | Blob
      ? Bytes
      : StringResponse;

/** Content type of JSON bodies. */
export const JSON_TYPE = "application/json";

/** A request object for any input, with additional members for inputs such as forms and blobs. */
export interface InputRequest extends PredictRequest<unknown> {
  /** Whether the body is text without a specified content type. */
  readonly isText?: boolean | undefined;
  /** Reads the body after the call has started. Replaces `toBinary`. */
  readonly read?: (() => Promise<Bytes>) | undefined;
  /** Approximate number of bytes that `read` returns. */
  readonly size?: number;
  /** Whether the service needs this content type to parse the body. */
  readonly needsContentType?: boolean;
}

/** Returns a request object for an input. Serializes JSON immediately. Throws a `TypeError` for an unsupported input. */
export function toRequest(input: PredictInput): InputRequest {
  if (typeof input === "string") return new StringRequest(input);
  if (isBytes(input)) return bytesRequest(input as Bytes);
  if (input === null) return textRequest("", undefined);
  if (typeof input === "object") {
    const { toBinary, parseResponse } = input as Partial<PredictRequest<unknown>>;
    if (typeof toBinary === "function" && typeof parseResponse === "function") return input as InputRequest;
    if (isArrayBuffer(input)) return bytesRequest(new Uint8Array(input));
    const tag = tagOf(input);
    if (tag === "URLSearchParams") {
      return textRequest(String(input), FORM_TYPE);
    }
    // The npm package form-data also has a `FormData`, but it is a stream and not iterable.
    if (tag === "FormData" && Symbol.iterator in input) return formRequest(input as FormData);
    if (isBlob(input)) return blobRequest(input);
    if (!("getReader" in input || "pipe" in input || Symbol.asyncIterator in input)) {
      return jsonRequest(input);
    }
  }
  const isStream = typeof input === "object";
  const advice = isStream ? ". Read a stream first, or send it with client.fetch(path, { method, body })" : "";
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `predict accepts text, bytes, a Blob, FormData, URLSearchParams, a plain object or array (sent as JSON), a request object, or null for no body, not ${show(input)}${advice}`,
  );
}

function bytesRequest(bytes: Bytes): InputRequest {
  return { toBinary: () => bytes, parseResponse: (body) => body };
}

function textRequest(text: string, contentType: string | undefined): InputRequest {
  return {
    contentType,
    toBinary: () => new TextEncoder().encode(text),
    parseResponse: (body) => new StringResponse(body),
  };
}

function jsonRequest(value: object): InputRequest {
  const text = jsonText(value);
  const request = textRequest(text ?? "", JSON_TYPE);
  if (text !== undefined) return request;
  const read = async () => {
    throw (await import("../lazy.js")).jsonRefusal(value);
  };
  return { ...request, read };
}

function blobRequest(blob: Blob): InputRequest {
  return {
    ...bytesRequest(new Uint8Array(0)),
    contentType: blob.type || undefined,
    size: blob.size,
    read: async () => (await import("../lazy.js")).blobBytes("input", blob),
  };
}

function formRequest(form: FormData): InputRequest {
  const boundary = newBoundary();
  // Copy the form, because it may change while the encoder is loading.
  const fields = [...form];
  return {
    ...textRequest("", multipartType(boundary)),
    needsContentType: true,
    read: async () => (await import("../lazy.js")).formBytes(fields, boundary),
  };
}
