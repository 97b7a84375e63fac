import { platform } from "#platform";
import {
  bodyTooLarge,
  type CallTemplate,
  isOpenAIPath,
  withCallOptions,
  withHeaders,
  withMethod,
  withoutContentType,
} from "../../call/build-plan.js";
import type { CallBody, CallPlan } from "../../call/call-plan.js";
import { decodingOf } from "../../call/decoding/decoding.js";
import { sendable } from "../../call/sendable.js";
import { checkHeaders } from "../../config/headers.js";
import type { CallOptions, Method } from "../../config/options.js";
import type { Settings } from "../../config/settings.js";
import { checkCompression, checkMethod } from "../../config/validate.js";
import type { Bytes, Compression, PredictRequest } from "../../formats/request.js";
import { isChunkList, totalLength } from "../../platform/chunks.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { type InputRequest, JSON_TYPE, type PredictInput, toRequest } from "./inputs.js";

/** A call's serialized input and its plan. */
export interface SerializedCall {
  readonly request: PredictRequest<unknown>;
  readonly plan: CallPlan;
  readonly body: CallBody;
}

/**
 * Serializes an input immediately and creates the plan for its call. `sendsChunks` is whether the transport accepts
 * chunks.
 */
export function serialize(
  input: PredictInput,
  call: CallOptions | undefined,
  template: CallTemplate,
  {
    auth,
    compression: ofClient,
    announceCompression,
    decompression,
  }: Pick<Settings, "auth" | "compression" | "announceCompression" | "decompression">,
  sendsChunks = false,
): SerializedCall {
  const request = toRequest(input);
  let { plan } = template;
  if (call !== undefined) plan = withCallOptions(plan, call);
  plan = withMethod(plan, methodOf(input, call), auth);
  if (input === null) return { request, plan: plan.hasContentType ? plan : withoutContentType(plan), body: null };
  plan = withContentType(plan, request);
  const compression = request.compression ?? ofClient;
  if (compression !== undefined && announceCompression) plan = withContentEncoding(plan, compression);
  // The service may compress its response with the request's codec.
  if (request.compression) plan = { ...plan, decoding: decodingOf(decompression, compression) };
  const checked = <B extends Bytes | readonly Bytes[]>(body: B): B => {
    const length = isChunkList(body) ? totalLength(body) : body.length;
    if (length > template.maxRequestBytes) throw bodyTooLarge(length, template);
    return body;
  };
  const { read, size = 0 } = request;
  // Check the size before the whole input is read into memory.
  if (compression === undefined && size > template.maxRequestBytes) throw bodyTooLarge(size, template);
  if (read === undefined && compression === undefined) {
    const body = checked((plan.zeroCopy && sendsChunks && request.toChunks?.()) || request.toBinary());
    return { request, plan, body };
  }
  const known = read === undefined ? sendable(request.toBinary()) : undefined;
  const body = async () => {
    const bytes = known ?? (await (read as () => Promise<Bytes>)());
    const compressed = compression === undefined ? bytes : await compress(checkCompression(compression), bytes);
    return { body: checked(compressed) };
  };
  return { request, plan, body };
}

function methodOf(input: PredictInput, { method }: CallOptions = {}): Method {
  if (method === undefined) return input === null ? "GET" : "POST";
  if (checkMethod(method) === "GET" && input !== null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      'a GET has no body: pass null as the input and the values in the query option, or set method to "POST"',
    );
  }
  return method;
}

function withContentType(plan: CallPlan, request: InputRequest): CallPlan {
  let type = request.contentType;
  if (request.needsContentType) {
    if (plan.hasContentType && /^multipart\//i.test(plan.contentType)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_HEADER",
        "content-type is set to a multipart type, which does not have the boundary of this FormData: leave it out",
      );
    }
  } else if (plan.hasContentType) {
    return plan;
  } else if (request.isText) {
    // Label text as JSON, because OpenAI-compatible servers accept only JSON.
    type = isOpenAIPath(plan) ? JSON_TYPE : undefined;
  }
  return type === undefined ? plan : withHeaders(plan, checkHeaders({ "content-type": type }));
}

const CODINGS = { gzip: "gzip", zlib: "deflate" } as const;

function withContentEncoding(plan: CallPlan, compression: Compression): CallPlan {
  if (plan.headers.some(([name]) => name === "content-encoding")) return plan;
  const checked = checkCompression(compression);
  const { name, contentCodings: [coding] = [] } =
    typeof checked === "string" ? { name: checked, contentCodings: [CODINGS[checked]] } : checked;
  if (coding === undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_OPTION",
      `announceCompression needs the codec's name for Content-Encoding, and ${show(name)} has no contentCodings: add them, or set the header content-encoding`,
    );
  }
  return withHeaders(plan, checkHeaders({ "content-encoding": coding }));
}

async function compress(compression: Compression, body: Bytes): Promise<Bytes> {
  return typeof compression === "string" ? platform.deflate(compression, body) : compression.compress(body);
}
