import { platform } from "#platform";
import { argumentTypeError, show } from "../argument-errors.js";
import type { CallBody, CallPlan } from "../http/call-plan.js";
import type { Settings } from "../http/client-settings.js";
import { decodingOf } from "../http/decoding.js";
import { checkHeaders } from "../http/headers.js";
import { type CallOptions, checkCompression } from "../http/options.js";
import { bodyTooLarge, type Prepared, withCallOptions, withHeaders } from "../http/prepare.js";
import { sendable } from "../http/sendable.js";
import { isInPieces, totalLength } from "../platform/chunks.js";
import type { Bytes, Compression, PredictRequest } from "../request.js";
import { isBytes } from "../util/realms.js";
import { StringRequest } from "./string-request.js";

/** What can be sent: text, bytes, or a request object. */
export type PredictInput = string | Uint8Array | PredictRequest<unknown>;

/** A call that is ready to be made. */
export interface SerialisedCall {
  readonly request: PredictRequest<unknown>;
  readonly plan: CallPlan;
  readonly body: CallBody;
}

/** Serialises what is to be sent, at once, and works out the plan of its call. */
export function serialise(
  input: PredictInput,
  call: CallOptions | undefined,
  prepared: Prepared,
  { compression: ofClient, decompression }: Pick<Settings, "compression" | "decompression">,
  sendsPieces = false,
): SerialisedCall {
  const request = toRequest(input);
  let { plan } = prepared;
  if (request.contentType !== undefined && !prepared.hasContentType) {
    plan = withHeaders(plan, checkHeaders({ "content-type": request.contentType }));
  }
  if (call !== undefined) plan = withCallOptions(plan, call);
  const compression = request.compression ?? ofClient;
  // What the request is compressed with, its answer may be.
  if (request.compression) plan = { ...plan, decoding: decodingOf(decompression, compression) };
  const checked = <B extends Bytes | readonly Bytes[]>(body: B): B => {
    const length = isInPieces(body) ? totalLength(body) : body.length;
    if (length > prepared.maxRequestBytes) throw bodyTooLarge(length, prepared);
    return body;
  };
  let body: CallBody;
  if (compression === undefined) {
    body = checked((plan.zeroCopy && sendsPieces && request.toPieces?.()) || request.toBinary());
  } else {
    const bytes = sendable(request.toBinary());
    body = () => compress(checkCompression(compression), bytes).then(checked);
  }
  return { request, plan, body };
}

/** The request object of whatever `predict` takes. */
function toRequest(input: PredictInput): PredictRequest<unknown> {
  if (typeof input === "string") return new StringRequest(input);
  if (isBytes(input)) return { toBinary: () => input as Bytes, parseResponse: (body) => body };
  if (typeof input?.toBinary === "function" && typeof input.parseResponse === "function") return input;
  throw argumentTypeError(
    "ERR_EAS_ARG_REQUEST",
    `predict takes a string, a Uint8Array or a request object with toBinary() and parseResponse(), not ${show(input)}; send JSON as JSON.stringify(value), with the client option contentType: "application/json"`,
  );
}

async function compress(compression: Compression, body: Bytes): Promise<Bytes> {
  return typeof compression === "string" ? platform.deflate(compression, body) : compression.compress(body);
}
