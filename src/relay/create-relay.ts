import { SHARED_GATEWAY_MAX_REQUEST_BYTES } from "../config/options.js";
import { EasTimeoutError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { type PieceResponse, responseHandler } from "../platform/piece-response.js";
import { optionError } from "../util/argument-errors.js";
import { BodyError, bodyTooLarge, forwardedSource, lengthMismatch, limitedBytes, limitedStream } from "./bodies.js";
import type { Decision } from "./queue-rules.js";
import { refusalOf, refuse, statusError } from "./refusals.js";
import { checkRelayOptions, type RelayOptions, type RelaySettings } from "./relay-options.js";
import { ResponseEnd } from "./response-end.js";
import type { RelayRequestInit, RelayTarget } from "./services.js";

/**
 * Creates a function that forwards requests to an EAS service with a token that the caller never sees. Workers, Next.js
 * routes, `Deno.serve`, `Bun.serve` and `nodeListener` (`eas-prediction/node`) accept the function. It forwards the
 * requests that `allow` permits from pages in `origins`, streams both bodies, and aborts the call when the caller
 * disconnects. The function never rejects.
 *
 * Responses from the relay itself are JSON, `{"error": "…"}`, with the header `X-EAS-Relay`. The status is:
 * - 400 for an incomplete body, 408 for a body that arrives too slowly, and 413 for a body larger than `maxBytes`
 * - 403 for a request that is not allowed, and 404 for a path that is not below `base`
 * - 502 or 504 if the service does not send a usable response
 *
 * Throws a `TypeError` or `RangeError` for an invalid option.
 *
 * @example
 * const client = new PredictClient({ endpoint, serviceName: "chat", token });
 * const relay = createRelay({ client, allow: [{ paths: ["/v1/chat/completions"] }], origins: ["https://my.site"] });
 */
export function createRelay(options: RelayOptions): (request: Request) => Promise<Response> {
  const settings = checkRelayOptions(options);
  const handle = async (request: Request) => {
    const response = await respond(settings, request);
    settings.origins.addHeaders(request, response.headers);
    for (const [name, value] of HARDENING) response.headers.set(name, value);
    return response;
  };
  return responseHandler({ handle, mayClone: settings.authorize !== undefined });
}

/**
 * Headers that prevent browsers from storing a response or showing it as a page of this site. Needed because a model
 * can return any text.
 */
const HARDENING: ReadonlyMap<string, string> = new Map([
  ["cache-control", "no-store"],
  ["content-security-policy", "default-src 'none'; sandbox"],
  ["x-content-type-options", "nosniff"],
]);

type Allowed = Extract<Decision, { refused: undefined }>;

async function respond(settings: RelaySettings, request: Request): Promise<Response | PieceResponse> {
  const { services, allow, origins, maxBytes } = settings;
  const { method, headers } = request;
  const { pathname, search } = new URL(request.url);
  if (!origins.allows(request)) return refuse(403, "this relay does not serve pages from this origin");
  const preflightResponse = origins.preflightResponse(request);
  if (preflightResponse !== undefined) return preflightResponse;
  const target = services.find(pathname);
  if (target === undefined) return refuse(404, "this relay does not have this service");
  const decision = allow.decide(method, target.rulePath, search, headers);
  if (decision.refused !== undefined) return refuse(403, decision.refused);
  if (headers.has("upgrade")) return refuse(403, "this relay does not support WebSockets: watch a queue over HTTP");
  const length = statedLength(headers);
  if (Number.isNaN(length)) return refuse(400, "the Content-Length is not a number");
  if ((method === "GET" || method === "HEAD") && (request.body || length || headers.has("transfer-encoding"))) {
    return refuse(400, `a ${method} has no body`);
  }
  if (length !== undefined && length > maxBytes) return refuse(413, bodyTooLarge(maxBytes).message);
  if (length && !request.body) return refuse(400, lengthMismatch("0", length).message);
  const limited = settings.authorize ? limitedRequest(request, settings) : request;
  return (await authorize(settings, limited)) ?? forward(settings, request, limited, target, decision);
}

/** Parses `Content-Length`, in bytes. Returns undefined if the header is missing, and `NaN` if its value is invalid. */
function statedLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  if (text === null) return undefined;
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

/**
 * Limits a body of unknown length before `authorize` can read it. Without the limit, a clone of the request would
 * buffer the whole body.
 */
function limitedRequest(request: Request, { maxBytes, idleTimeout }: RelaySettings): Request {
  const { body, bodyUsed, headers } = request;
  // If the length is stated, the server already enforces it.
  if (body === null || bodyUsed || body.locked || headers.has("content-length")) return request;
  const limits = { maxBytes, idleTimeout, statedBytes: undefined };
  const call = new AbortController();
  const limited = limitedStream(body as ReadableStream<Bytes>, limits, call);
  return new Request(request, { body: limited, duplex: "half" } as RequestInit);
}

/** Calls `authorize`. Returns a response if the request is refused, otherwise undefined. */
async function authorize(settings: RelaySettings, request: Request): Promise<Response | undefined> {
  try {
    const result = settings.authorize === undefined || (await settings.authorize(request));
    if (isResponse(result)) return new Response(result.body, result);
    if (result !== true && result !== false)
      throw optionError("the result of authorize", result, "be true, false or a Response");
    if (result && request.bodyUsed)
      throw optionError("request.bodyUsed", true, "be false after authorize: read the body of request.clone() instead");
    return result ? undefined : refuse(403, "this relay does not serve this caller");
  } catch (error) {
    if (error instanceof BodyError) return refuse(error.status, error.message);
    reportError(settings, error, request);
    return refuse(500, "the relay could not check this caller");
  }
}

/**
 * Whether a value is a `Response`. Does not use `instanceof`, which would not recognize the `Response` classes of
 * frameworks.
 */
function isResponse(value: boolean | Response): value is Response {
  return typeof value === "object" && value !== null && typeof value.status === "number" && value.headers !== undefined;
}

/** Sends a request to the service. `limited` is the same request with a limited body, which is the body to send. */
async function forward(
  settings: RelaySettings,
  request: Request,
  limited: Request,
  { client, path }: RelayTarget,
  allowed: Allowed,
): Promise<Response | PieceResponse> {
  const call = new AbortController();
  // The closures below reference the request instead of its signal, because on Node, the signal never fires after its
  // request has been garbage-collected.
  const isDisconnected = () => request.signal?.aborted === true;
  const onDisconnect = () => call.abort(request.signal.reason);
  request.signal?.addEventListener("abort", onDisconnect);
  const release = () => request.signal?.removeEventListener("abort", onDisconnect);
  if (isDisconnected()) onDisconnect();
  let isSent = false;
  const expire = () => call.abort(isSent ? timeoutError(settings.timeout) : bodyTooLate(settings.timeout));
  const timer = setTimeout(expire, settings.timeout);

  /**
   * Ends the call. If the caller or a limit aborted the call, a later error is not reported because it is only a
   * consequence.
   */
  function end(error: unknown): void {
    release();
    if (error !== undefined && !call.signal.aborted) reportError(settings, error, request);
  }

  let response: Response;
  try {
    const body = await bodyToSend(limited, settings, call);
    call.signal.throwIfAborted();
    isSent = true;
    response = await client.fetch(path + allowed.search, {
      method: request.method,
      headers: [...settings.headers.toService(request.headers), ...allowed.headers],
      body,
      signal: call.signal,
    });
    const error = call.signal.aborted ? call.signal.reason : statusError(response);
    if (error !== undefined) {
      void response.body?.cancel().catch(() => {});
      throw error;
    }
  } catch (error) {
    release();
    const reason = call.signal.aborted ? call.signal.reason : error;
    if (isDisconnected()) return refuse(499, "the caller disconnected");
    const { status, error: message } = refusalOf(reason);
    if (status >= 500) reportError(settings, reason, request);
    return refuse(status, message);
  } finally {
    clearTimeout(timer);
  }
  const { status } = response;
  const headers = new Headers(settings.headers.toCaller(response.headers));
  if (response.body !== null && request.method !== "HEAD" && status !== 204 && status !== 205) {
    const onIdle = (error: Error) => call.abort(error);
    const body = response.body as ReadableStream<Bytes>;
    const pieces = forwardedSource(body, settings.idleTimeout, new ResponseEnd(status, headers), onIdle, end);
    return { status, headers, pieces };
  }
  // Some runtimes return a stream even if there is no body.
  end(undefined);
  void response.body?.cancel().catch(() => {});
  return new Response(null, { status, headers });
}

/**
 * Returns the body to send. The call is aborted if the body exceeds a limit. A body with a stated length is read
 * completely and sent with its length, as in the official SDKs, because the service may not support chunked bodies.
 * Bodies of unknown length and bodies that exceed the shared gateway's limit are streamed.
 */
async function bodyToSend(
  { method, headers, body }: Request,
  { maxBytes, idleTimeout }: RelaySettings,
  call: AbortController,
): Promise<RelayRequestInit["body"]> {
  const statedBytes = statedLength(headers);
  if (method === "GET" || method === "HEAD" || body === null || statedBytes === 0) return null;
  const isWhole = statedBytes !== undefined && statedBytes <= SHARED_GATEWAY_MAX_REQUEST_BYTES;
  const read = isWhole ? limitedBytes : limitedStream;
  return read(body as ReadableStream<Bytes>, { maxBytes, idleTimeout, statedBytes }, call);
}

function bodyTooLate(timeout: number): BodyError {
  return new BodyError(408, `the body did not arrive within ${timeout} ms`);
}

function timeoutError(timeout: number): EasTimeoutError {
  return new EasTimeoutError(`the service sent no response within ${timeout} ms`, {
    phase: "headers",
    timeout,
    attempts: 1,
  });
}

function reportError({ onError }: RelaySettings, error: unknown, request: Request): void {
  try {
    Promise.resolve(onError(error, request)).catch(() => {});
  } catch {
    // A listener that throws must not break the request.
  }
}
