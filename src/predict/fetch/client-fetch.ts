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
import { openStream, type StreamResult } from "../../call/stream-call.js";
import { limitStreamLifetime } from "../../call/stream-life.js";
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
import { reasonPhrase } from "../readiness/reason-phrases.js";
import { PLACEHOLDER_KEY, serviceUrl } from "./service-url.js";

/** Bytes of an answer that are read before somebody asks for them, so that small ones free their connection by themselves. */
const AHEAD_BYTES = 65_536;
/** Statuses whose answers have no body. */
const BODILESS: readonly number[] = [101, 204, 205, 304];
/** What the connection says itself; browsers drop them in the same way. */
const OF_CONNECTION: ReadonlySet<string> = new Set(["host", "accept-encoding"]);

/**
 * Headers by which the packages "openai" and "@anthropic-ai/sdk" identify themselves: a service with a narrow CORS list would
 * refuse the preflight.
 */
const OF_LIBRARIES = /^(x-stainless-|anthropic-dangerous-direct-browser-access$)/;

/** Options of `PredictClient.openai` and `PredictClient.anthropic`. */
export interface LibraryOptions {
  /**
   * `"token"`: the raw token. `"bearer"`: `Bearer <token>`. Default: the client's `auth`, where `"auto"` and `"signature"` send the
   * raw token, and Bearer to `/v1/files` and `/v1/batches`, which take nothing else.
   */
  readonly auth?: Exclude<Auth, "signature"> | undefined;
}

/** Options of `client.fetch` in addition to those of `fetch`. */
export type ClientFetchOptions = Pick<CallOptions, "timeout" | "totalTimeout" | "retryCount" | "retryOn"> &
  LibraryOptions;

/** Looks at a body while it is passed on. */
export interface BodyCheck {
  add(piece: Bytes): void;
  /** Called at the end of the body. Returns the error with which it ends instead, if there is one. */
  end(): Error | undefined;
}

/** Returns the check for a successful answer. Undefined if its body passes unchecked. */
export type CheckBody = (headers: Headers, call: FailedCall) => BodyCheck | undefined;

/** The batch API of the LLM gateway: it is documented with Bearer only. */
const BEARER_ONLY = /^\/v1\/(files|batches)(?=[/?]|$)/;

/** `fetch`, with a client's service, authorization and connections. Loaded on first use. */
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
  const headers = sendable(new Headers(init.headers ?? request?.headers), template.plan);
  if (type !== null && !headers.some(([name]) => name === "content-type")) headers.push(["content-type", type]);
  const plan = {
    ...withCallOptions(withHeaders(template.plan, headers), {
      path: suffix.signed,
      ...(signal && { signal }),
      ...options,
      // What is sent as it comes can be sent once only.
      retryCount: source ? 0 : (options.retryCount ?? 0),
    }),
    method,
  };
  return openStream(pool, plan, bytes ?? null, { source, anyStatus: true }, (answer) =>
    toResponse(answer, plan, checkBody),
  );
}

/** By settings: a client replaces its settings and never changes them, so one template for each `auth` is enough. */
const templates = /* @__PURE__ */ new WeakMap<Settings, Map<Auth, CallTemplate>>();

function templateOf(settings: Settings, auth: Auth, platform: Platform): CallTemplate {
  const known = templates.get(settings) ?? new Map<Auth, CallTemplate>();
  templates.set(settings, known);
  const template = known.get(auth) ?? forStreams(buildTemplate({ ...settings, auth }, platform), "auto");
  known.set(auth, template);
  return template;
}

/** The part of a path that is behind the client's service; refuses every other place, since the token goes with it. */
function pathWithin(input: string, plan: CallPlan): string {
  if (!/^[a-z][a-z\d+.-]*:/i.test(input)) return input;
  const base = new URL(serviceUrl(plan));
  const prefix = base.pathname.replace(/\/$/, "");
  const url = new URL(input);
  const isWithin = url.pathname === prefix || url.pathname.startsWith(`${prefix}/`);
  if (url.origin !== base.origin || url.username !== "" || url.password !== "" || !isWithin) {
    throw argumentTypeError(
      "ERR_EAS_ARG_PATH",
      `${show(`${url.protocol}//${url.host}${url.pathname}`)} is not below ${base.origin}${prefix}: this fetch sends the service's token, and only to that service. Give a path, such as "/v1/models"`,
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
  // A copy, since the caller may change its bytes after the call.
  if (isBytes(body)) return { bytes: new Uint8Array(body), type: null };
  // `Response` converts those of another realm, such as jsdom's, to text like "[object Blob]".
  if (isBlob(body)) return { bytes: await blobBytes("body", body), type: body.type || null };
  const tag = tagOf(body);
  if (tag === "URLSearchParams") return { bytes: new TextEncoder().encode(String(body)), type: FORM_TYPE };
  if (tag === "FormData") {
    const boundary = newBoundary();
    return { bytes: await formBytes([...(body as FormData)], boundary), type: multipartType(boundary) };
  }
  const whole = new Response(body);
  const type = whole.headers.get("content-type");
  // `Response` has converted an object to text: its class is of another realm, or fetch does not take it.
  if (typeof body === "object" && type?.startsWith("text/plain")) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `body is ${show(body)}: fetch takes a string, bytes, a Blob, FormData, URLSearchParams or a stream`,
    );
  }
  return { bytes: new Uint8Array(await whole.arrayBuffer()), type };
}

/** Headers of a library: without the placeholder, and without those that a `fetch` sets itself, as it would drop them. */
function sendable(headers: Headers, { droppedHeaders }: CallPlan): HeaderPair[] {
  const pairs = [...headers].filter(
    ([name, value]) =>
      isSettableHeader(name) &&
      !OF_CONNECTION.has(name) &&
      !droppedHeaders?.test(name) &&
      !OF_LIBRARIES.test(name) &&
      !(name === "authorization" && value === `Bearer ${PLACEHOLDER_KEY}`) &&
      !(name === "x-api-key" && value === PLACEHOLDER_KEY),
  );
  return checkHeaders(pairs);
}

/** How the request of a response was authorized. */
export interface Sent {
  readonly auth: CallPlan["auth"];
  /** The token, or several: a service may echo them. */
  readonly token: Secrets;
}

/** By response, for what explains them afterwards. */
const sent = new WeakMap<Response, Sent>();

/** Returns how the request of a response was authorized. Undefined for a response that is not one of `clientFetch`. */
export function sentWith(response: Response): Sent | undefined {
  return sent.get(response);
}

/** A `Response` whose body is read from the answer as it is asked for. */
function toResponse(answer: StreamResult, plan: CallPlan, checkBody: CheckBody | undefined): Response {
  const { response, endpoint } = answer;
  const call = limitStreamLifetime(answer, plan);
  const headers = new Headers(response.headers);
  const isUndone = canDecode(response);
  if (isUndone && headers.has("content-encoding")) {
    // What is handed on has neither any more.
    headers.delete("content-encoding");
    headers.delete("content-length");
  }
  const { status } = response;
  if (status > 599) throw new EasDecodeError(`a Response cannot have the status ${status}`, { format: "status" });
  const check = isUndone && isSuccess(status) ? checkBody?.(headers, call) : undefined;
  const body = plan.method === "HEAD" || BODILESS.includes(status) ? emptied(answer) : bodyOf(answer, isUndone, check);
  const made = new Response(body, { status, statusText: reasonPhrase(status), headers });
  sent.set(made, { auth: plan.auth, token: answer.token });
  Object.defineProperty(made, "url", { value: endpoint + plan.path.split("?", 1)[0] });
  return made;
}

function emptied({ response }: StreamResult): null {
  response.read().then(
    (piece) => piece && response.cancel(undefined),
    () => {},
  );
  return null;
}

function bodyOf(
  { response, platform }: StreamResult,
  isUndone: boolean,
  check: BodyCheck | undefined,
): ReadableStream<Uint8Array> {
  const reader = isUndone ? decodedReader(response, platform) : response;
  const cancel = () => response.cancel(undefined);
  if (check === undefined) return chunkStream({ read: () => reader.read(), cancel }, AHEAD_BYTES);
  const read = async () => {
    const piece = await reader.read();
    if (piece !== undefined) check.add(piece);
    return piece;
  };
  return chunkStream({ read, cancel, failure: () => check.end() }, AHEAD_BYTES);
}
