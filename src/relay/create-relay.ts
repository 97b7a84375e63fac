import { SHARED_GATEWAY_MAX_REQUEST_BYTES } from "../config/options.js";
import { EasTimeoutError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { type PieceResponse, responseHandler } from "../platform/piece-response.js";
import { optionError } from "../util/argument-errors.js";
import { AnswerEnd } from "./answer-end.js";
import { BodyError, bodyTooLarge, countedBody, countedBytes, lengthMismatch, passedPieces } from "./bodies.js";
import { refusalOf, refuse, refusedAnswer } from "./failure-answer.js";
import type { Verdict } from "./queue-rules.js";
import { checkRelayOptions, type RelayOptions, type RelaySettings } from "./relay-options.js";
import type { RelayRequestInit, RelayTarget } from "./services.js";

/**
 * Creates a function that passes requests on to an EAS service with a token that the caller never sees. A Worker, a route of
 * Next.js, `Deno.serve`, `Bun.serve` and `nodeListener` (`eas-prediction/node`) can answer with it. It passes on the requests
 * that `allow` names, from pages of `origins`, streams both bodies, and aborts the call when the caller disconnects.
 *
 * Its own answers are JSON, `{"error": "…"}`, and have the header `X-EAS-Relay`: 403 for a request that is not allowed, 404
 * for a path that is not below `base`, 400 for a body that is incomplete, 408 for one that comes too slowly, 413 for one of
 * more than `maxBytes`, 502 and 504 when there is no usable answer of the service. Throws a `TypeError` or `RangeError` for
 * an invalid option. The returned function never rejects.
 *
 * @example
 * const client = new PredictClient({ endpoint, serviceName: "chat", token });
 * const relay = createRelay({ client, allow: [{ paths: ["/v1/chat/completions"] }], origins: ["https://my.site"] });
 */
export function createRelay(options: RelayOptions): (request: Request) => Promise<Response> {
  const settings = checkRelayOptions(options);
  const handle = async (request: Request) => {
    const answer = await answerTo(settings, request);
    settings.origins.share(request, answer.headers);
    for (const [name, value] of HARDENING) answer.headers.set(name, value);
    return answer;
  };
  return responseHandler({ handle, mayClone: settings.authorize !== undefined });
}

/** Keeps browsers from storing an answer, or showing it as a page of this site: a model may answer with any text. */
const HARDENING: ReadonlyMap<string, string> = new Map([
  ["cache-control", "no-store"],
  ["content-security-policy", "default-src 'none'; sandbox"],
  ["x-content-type-options", "nosniff"],
]);

type Allowed = Extract<Verdict, { refused: undefined }>;

async function answerTo(settings: RelaySettings, request: Request): Promise<Response | PieceResponse> {
  const { services, allow, origins, maxBytes } = settings;
  const { method, headers } = request;
  const { pathname, search } = new URL(request.url);
  if (!origins.admits(request)) return refuse(403, "this relay does not serve pages of this origin");
  const preflight = origins.preflight(request);
  if (preflight !== undefined) return preflight;
  const target = services.find(pathname);
  if (target === undefined) return refuse(404, "there is no such service at this relay");
  const verdict = allow.judge(method, target.listed, search, headers);
  if (verdict.refused !== undefined) return refuse(403, verdict.refused);
  if (headers.has("upgrade")) return refuse(403, "this relay has no WebSocket: watch a queue over HTTP");
  const length = statedLength(headers);
  if (Number.isNaN(length)) return refuse(400, "the Content-Length is not a number");
  if ((method === "GET" || method === "HEAD") && (request.body || length || headers.has("transfer-encoding"))) {
    return refuse(400, `a ${method} has no body`);
  }
  if (length !== undefined && length > maxBytes) return refuse(413, bodyTooLarge(maxBytes).message);
  if (length && !request.body) return refuse(400, lengthMismatch("0", length).message);
  const shown = settings.authorize ? boundedRequest(request, settings) : request;
  return (await authorize(settings, shown)) ?? passOn(settings, request, shown, target, verdict);
}

/** Bytes that the request's body has according to its headers; undefined when they do not say, `NaN` when they are wrong. */
function statedLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  if (text === null) return undefined;
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

/** Bounds a body of unknown length before `authorize` can read it: copies of the request would buffer all of it. */
function boundedRequest(request: Request, { maxBytes, idleTimeout }: RelaySettings): Request {
  const { body, bodyUsed, headers } = request;
  // The server enforces a stated length.
  if (body === null || bodyUsed || body.locked || headers.has("content-length")) return request;
  const limits = { maxBytes, idleTimeout, statedBytes: undefined };
  const call = new AbortController();
  const counted = countedBody(body as ReadableStream<Bytes>, limits, call);
  return new Request(request, { body: counted, duplex: "half" } as RequestInit);
}

/** Returns undefined when the request may pass. */
async function authorize(settings: RelaySettings, request: Request): Promise<Response | undefined> {
  try {
    const verdict = settings.authorize === undefined || (await settings.authorize(request));
    if (isResponse(verdict)) return new Response(verdict.body, verdict);
    if (verdict !== true && verdict !== false)
      throw optionError("the result of authorize", verdict, "be true, false or a Response");
    if (verdict && request.bodyUsed)
      throw optionError("request.bodyUsed", true, "be false after authorize: read the body of request.clone() instead");
    return verdict ? undefined : refuse(403, "this relay does not serve this caller");
  } catch (error) {
    if (error instanceof BodyError) return refuse(error.status, error.message);
    tell(settings, error, request);
    return refuse(500, "the relay could not check this caller");
  }
}

/** Not `instanceof`: frameworks have classes of their own. */
function isResponse(value: boolean | Response): value is Response {
  return typeof value === "object" && value !== null && typeof value.status === "number" && value.headers !== undefined;
}

async function passOn(
  settings: RelaySettings,
  request: Request,
  /** The same request, with the body that is to be read. */
  shown: Request,
  { client, path }: RelayTarget,
  allowed: Allowed,
): Promise<Response | PieceResponse> {
  const call = new AbortController();
  // The closures below hold the whole request: on Node the signal of a collected request never fires.
  const isGone = () => request.signal?.aborted === true;
  const onGone = () => call.abort(request.signal.reason);
  request.signal?.addEventListener("abort", onGone);
  const release = () => request.signal?.removeEventListener("abort", onGone);
  if (isGone()) onGone();
  let isSent = false;
  const expire = () => call.abort(isSent ? timeoutError(settings.timeout) : bodyTooLate(settings.timeout));
  const timer = setTimeout(expire, settings.timeout);

  /** The call is over. If the caller or a limit has ended it before, the error is only a consequence. */
  function end(error: unknown): void {
    release();
    if (error !== undefined && !call.signal.aborted) tell(settings, error, request);
  }

  let answer: Response;
  try {
    const body = await bodyOf(shown, settings, call);
    call.signal.throwIfAborted();
    isSent = true;
    answer = await client.fetch(path + allowed.search, {
      method: request.method,
      headers: [...settings.headers.toService(request.headers), ...allowed.headers],
      body,
      signal: call.signal,
    });
    const refused = call.signal.aborted ? call.signal.reason : refusedAnswer(answer);
    if (refused !== undefined) {
      void answer.body?.cancel().catch(() => {});
      throw refused;
    }
  } catch (error) {
    release();
    const reason = call.signal.aborted ? call.signal.reason : error;
    if (isGone()) return refuse(499, "the caller disconnected");
    const { status, error: words } = refusalOf(reason);
    if (status >= 500) tell(settings, reason, request);
    return refuse(status, words);
  } finally {
    clearTimeout(timer);
  }
  const { status } = answer;
  const headers = new Headers(settings.headers.toCaller(answer.headers));
  if (answer.body !== null && request.method !== "HEAD" && status !== 204 && status !== 205) {
    const onIdle = (error: Error) => call.abort(error);
    const answerEnd = new AnswerEnd(status, headers);
    const body = answer.body as ReadableStream<Bytes>;
    const pieces = passedPieces(body, settings.idleTimeout, answerEnd, onIdle, end);
    return { status, headers, pieces };
  }
  // Some runtimes return a stream even if there is no body.
  end(undefined);
  void answer.body?.cancel().catch(() => {});
  return new Response(null, { status, headers });
}

/**
 * Returns the body to send; it aborts the call when it breaks a limit. A body of a stated length is read whole and sent with
 * its length, as the official SDKs send theirs: the service need not support chunked bodies. Bodies of unknown length, and
 * those that are larger than the shared gateway accepts, are streamed.
 */
async function bodyOf(
  { method, headers, body }: Request,
  { maxBytes, idleTimeout }: RelaySettings,
  call: AbortController,
): Promise<RelayRequestInit["body"]> {
  const statedBytes = statedLength(headers);
  if (method === "GET" || method === "HEAD" || body === null || statedBytes === 0) return null;
  const isWhole = statedBytes !== undefined && statedBytes <= SHARED_GATEWAY_MAX_REQUEST_BYTES;
  const counted = isWhole ? countedBytes : countedBody;
  return counted(body as ReadableStream<Bytes>, { maxBytes, idleTimeout, statedBytes }, call);
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

function tell({ onError }: RelaySettings, error: unknown, request: Request): void {
  try {
    Promise.resolve(onError(error, request)).catch(() => {});
  } catch {
    // A listener that throws must not break the request.
  }
}
