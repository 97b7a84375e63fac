import {
  bodyTooLarge,
  buildTemplate,
  type CallTemplate,
  forStreams,
  withCallOptions,
  withHeaders,
} from "../../call/build-plan.js";
import type { CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { canDecode, decodedReader } from "../../call/decoding/decode-stream.js";
import type { FailedCall } from "../../call/failures/failure.js";
import type { Secrets } from "../../call/failures/redact.js";
import { limitStreamLifetime, openStream, type StreamResult } from "../../call/stream-call.js";
import { checkHeaders, isSettableHeader } from "../../config/headers.js";
import type { Auth, CallOptions } from "../../config/options.js";
import type { Settings } from "../../config/settings.js";
import { suffixOf } from "../../config/url.js";
import { checkAuth, UNSIGNED_AUTHS } from "../../config/validate.js";
import { EasDecodeError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { type ByteStream, type HeaderPair, isSuccess, type Platform } from "../../platform/contract.js";
import { chunkStream } from "../../platform/piece-stream.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isBlob, isBytes, tagOf } from "../../util/realms.js";
import { blobBytes, formBytes } from "../input/form-bytes.js";
import { FORM_TYPE, multipartType, newBoundary } from "../input/form-type.js";
import { reasonPhrase } from "./reason-phrases.js";
import { PLACEHOLDER_KEY, serviceUrl } from "./service-url.js";

/** Number of response bytes to read ahead, so that a small unread response does not occupy a connection. */
const READ_AHEAD_BYTES = 65_536;
/** Statuses whose responses have no body. */
const BODILESS: readonly number[] = [101, 204, 205, 304];
/** Headers that only the connection may set. The caller's values are dropped, as in browsers. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set(["host", "accept-encoding"]);

/**
 * Headers with which the packages "openai" and "@anthropic-ai/sdk" identify themselves. These headers are dropped
 * because services with a restrictive CORS list would refuse the preflight request.
 */
const LIBRARY_HEADERS = /^(x-stainless-|anthropic-dangerous-direct-browser-access$)/;

/** Options for `PredictClient.openai` and `PredictClient.anthropic`. */
export interface LibraryOptions {
  /**
   * The form of the `Authorization` header. `"token"` sends the raw token, and `"bearer"` sends `Bearer <token>`.
   * Default: the client's `auth`. If that is `"auto"` or `"signature"`, requests to `/v1/files` and `/v1/batches` use
   * `Bearer <token>`, which these paths require, and other requests use the raw token.
   */
  readonly auth?: Exclude<Auth, "signature"> | undefined;
}

/** Options for `PredictClient.fetch`, in addition to those of `fetch`. */
export type ClientFetchOptions = Pick<CallOptions, "timeout" | "totalTimeout" | "retryCount" | "retryOn"> &
  LibraryOptions;

/** Inspects the chunks of a response body while the caller reads it. */
export interface BodyCheck {
  /** Inspects a chunk. */
  add(chunk: Bytes): void;
  /**
   * Called at the end of the body. If this function returns an error, the read fails with that error instead of ending
   * normally.
   */
  end(): Error | undefined;
}

/** Returns the check for a successful response's body; undefined if no check is needed. */
export type CheckBody = (headers: Headers, call: FailedCall) => BodyCheck | undefined;

/** Paths of the LLM gateway's batch API, which is documented only with Bearer tokens. */
const BEARER_ONLY = /^\/v1\/(files|batches)(?=[/?]|$)/;

/** Implements `PredictClient.fetch`. Loaded on first use. */
export async function clientFetch(
  pool: ConnectionPool,
  settings: Settings,
  input: string | URL | Request,
  init: RequestInit,
  { auth, ...options }: ClientFetchOptions,
  checkBody?: CheckBody,
): Promise<Response> {
  const { platform } = pool;
  const chosen = auth === undefined ? settings.auth : checkAuth(auth, UNSIGNED_AUTHS);
  let template = templateOf(settings, chosen, platform);
  const request = typeof input === "object" && "url" in input ? input : undefined;
  const { signal = request?.signal } = init;
  const body = init.body ?? request?.body;
  const method = checkMethod(init.method ?? request?.method ?? "GET", body);
  const suffix = suffixOf(pathWithin(request?.url ?? String(input), template.plan), undefined);
  const { isPredict, path: own } = template.target;
  const version = !isPredict && /\/v1\/?$/.test(own) ? "/v1" : "";
  if (chosen !== "token" && BEARER_ONLY.test(version + suffix.signed)) {
    template = templateOf(settings, "bearer", platform);
  }
  const { bytes, source, type } = await readBody(body);
  if (bytes && bytes.length > template.maxRequestBytes) throw bodyTooLarge(bytes.length, template);
  const headers = requestHeaders(new Headers(init.headers ?? request?.headers), template.plan);
  if (type !== null && !headers.some(([name]) => name === "content-type")) headers.push(["content-type", type]);
  const plan = {
    ...withCallOptions(withHeaders(template.plan, headers), {
      path: suffix.signed,
      ...(signal && { signal }),
      ...options,
      // A stream can be sent only once, so the request is not retried.
      retryCount: source ? 0 : (options.retryCount ?? 0),
    }),
    method,
  };
  return openStream(pool, plan, bytes ?? null, { source, anyStatus: true }, (answer) =>
    toResponse(answer, plan, checkBody),
  );
}

/**
 * Request templates by settings and `auth`. Settings objects can serve as keys because a client replaces them and never
 * mutates them.
 */
const templates = /* @__PURE__ */ new WeakMap<Settings, Map<Auth, CallTemplate>>();

/** Returns the template for the given settings and `auth`. Each template is built only once. */
function templateOf(settings: Settings, auth: Auth, platform: Platform): CallTemplate {
  const known = templates.get(settings) ?? new Map<Auth, CallTemplate>();
  templates.set(settings, known);
  const template = known.get(auth) ?? forStreams(buildTemplate({ ...settings, auth }, platform), "auto");
  known.set(auth, template);
  return template;
}

/**
 * Returns the path of a URL, relative to the client's service. Throws a `TypeError` for URLs outside the service,
 * because other servers must not receive the token.
 */
function pathWithin(input: string, plan: CallPlan): string {
  if (!/^[a-z][a-z\d+.-]*:/i.test(input)) return input;
  const base = new URL(serviceUrl(plan));
  const prefix = base.pathname.replace(/\/$/, "");
  const url = new URL(input);
  const isWithin = url.pathname === prefix || url.pathname.startsWith(`${prefix}/`);
  if (url.origin !== base.origin || url.username !== "" || url.password !== "" || !isWithin) {
    throw argumentTypeError(
      "ERR_EAS_ARG_PATH",
      `${show(`${url.protocol}//${url.host}${url.pathname}`)} is not below ${base.origin}${prefix}: this fetch sends the service's token, which must not reach other URLs. Pass a path, such as "/v1/models"`,
    );
  }
  return url.pathname.slice(prefix.length) + url.search;
}

function checkMethod(method: string, body: RequestInit["body"]): string {
  const upper = method.toUpperCase();
  if ((upper === "GET" || upper === "HEAD") && body !== null && body !== undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `a ${upper} has no body: leave out the body, or set method to "POST"`,
    );
  }
  if (["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].includes(upper)) return upper;
  throw argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `method is ${JSON.stringify(method)}: it must be one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS`,
  );
}

interface ReadBody {
  readonly bytes?: Bytes;
  readonly source?: ByteStream;
  readonly type: string | null;
}

async function readBody(body: RequestInit["body"]): Promise<ReadBody> {
  if (body === null || body === undefined) return { type: null };
  if (typeof body === "object" && "getReader" in body) {
    if (!body.locked) return { source: body as ByteStream, type: null };
    throw argumentTypeError("ERR_EAS_ARG_REQUEST", "body is a stream that is already being read");
  }
  // Copy the bytes, because the caller may change them after the call.
  if (isBytes(body)) return { bytes: new Uint8Array(body), type: null };
  // `Response` would convert a Blob from another realm, such as jsdom's, to text like "[object Blob]".
  if (isBlob(body)) return { bytes: await blobBytes("body", body), type: body.type || null };
  const tag = tagOf(body);
  if (tag === "URLSearchParams") return { bytes: new TextEncoder().encode(String(body)), type: FORM_TYPE };
  if (tag === "FormData") {
    const boundary = newBoundary();
    return { bytes: await formBytes([...(body as FormData)], boundary), type: multipartType(boundary) };
  }
  const whole = new Response(body);
  const type = whole.headers.get("content-type");
  // `Response` converts an object to text if its class is not supported or comes from another realm.
  if (typeof body === "object" && type?.startsWith("text/plain")) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `body is ${show(body)}: fetch accepts a string, bytes, a Blob, FormData, URLSearchParams or a stream`,
    );
  }
  return { bytes: new Uint8Array(await whole.arrayBuffer()), type };
}

/** Removes the placeholder key and the headers that only the connection may set. Checks the remaining headers. */
function requestHeaders(headers: Headers, { droppedHeaders }: CallPlan): HeaderPair[] {
  const pairs = [...headers].filter(
    ([name, value]) =>
      isSettableHeader(name) &&
      !CONNECTION_HEADERS.has(name) &&
      !droppedHeaders?.test(name) &&
      !LIBRARY_HEADERS.test(name) &&
      !(name === "authorization" && value === `Bearer ${PLACEHOLDER_KEY}`) &&
      !(name === "x-api-key" && value === PLACEHOLDER_KEY),
  );
  return checkHeaders(pairs);
}

/** The authorization sent with a request. */
export interface Sent {
  readonly auth: CallPlan["auth"];
  /** The tokens that were sent, which the service may echo. */
  readonly token: Secrets;
}

/** Maps each response to the authorization of its request. `libraryFetch` needs it to redact and explain errors. */
const sent = new WeakMap<Response, Sent>();

/** Returns the authorization of a response's request; undefined for a response that `clientFetch` did not create. */
export function sentWith(response: Response): Sent | undefined {
  return sent.get(response);
}

/** Creates a `Response` whose body is read on demand. */
function toResponse(answer: StreamResult, plan: CallPlan, checkBody: CheckBody | undefined): Response {
  const { response, endpoint } = answer;
  const call = limitStreamLifetime(answer, plan);
  const headers = new Headers(response.headers);
  const isDecoded = canDecode(response);
  if (isDecoded && headers.has("content-encoding")) {
    // Drop these headers because they describe the encoded body.
    headers.delete("content-encoding");
    headers.delete("content-length");
  }
  const { status } = response;
  if (status > 599) throw new EasDecodeError(`a Response cannot have the status ${status}`, { format: "status" });
  const check = isDecoded && isSuccess(status) ? checkBody?.(headers, call) : undefined;
  const body = plan.method === "HEAD" || BODILESS.includes(status) ? emptied(answer) : bodyOf(answer, isDecoded, check);
  const result = new Response(body, { status, statusText: reasonPhrase(status), headers });
  sent.set(result, { auth: plan.auth, token: answer.token });
  Object.defineProperty(result, "url", { value: endpoint + plan.path.split("?", 1)[0] });
  return result;
}

function emptied({ response }: StreamResult): null {
  response.read().then(
    (chunk) => chunk && response.cancel(undefined),
    () => {},
  );
  return null;
}

function bodyOf(
  { response, platform }: StreamResult,
  isDecoded: boolean,
  check: BodyCheck | undefined,
): ReadableStream<Uint8Array> {
  const reader = isDecoded ? decodedReader(response, platform) : response;
  const cancel = () => response.cancel(undefined);
  if (check === undefined) return chunkStream({ read: () => reader.read(), cancel }, READ_AHEAD_BYTES);
  const read = async () => {
    const chunk = await reader.read();
    if (chunk !== undefined) check.add(chunk);
    return chunk;
  };
  return chunkStream({ read, cancel, failure: () => check.end() }, READ_AHEAD_BYTES);
}
