import { optionError } from "../argument-errors.js";
import { EasTimeoutError } from "../errors.js";
import { SHARED_GATEWAY_MAX_REQUEST_BYTES } from "../http/options.js";
import { readAll } from "../platform/chunks.js";
import type { Bytes } from "../request.js";
import { BodyError, bodyTooLarge, countedBody, passedBody } from "./bodies.js";
import { refusalOf, refusedAnswer } from "./failure-answer.js";
import { checkRelayOptions, type RelayOptions, type RelaySettings } from "./relay-options.js";
import type { RelayRequestInit, RelayTarget } from "./services.js";

/**
 * Makes a function that passes requests on to an EAS service with a token that the caller never sees: what a Worker, a route
 * of Next.js, `Deno.serve`, `Bun.serve` or `nodeListener` (`eas-prediction/node`) answers with. It passes on what `allow`
 * names, for pages of `origins`, both bodies as they come, and ends the call when the caller goes. What it refuses it
 * answers with a status and JSON, `{"error": "…"}`: 403 what is not allowed, 404 what is not below `base`, 413 a body of more
 * than `maxBytes`, 502 and 504 what the service did not answer. Throws a `TypeError` or `RangeError` for an option that
 * cannot be right; the function itself never rejects.
 *
 * @example
 * const client = new PredictClient({ endpoint, serviceName: "chat", token });
 * const relay = createRelay({ client, allow: [{ paths: ["/v1/chat/completions"] }], origins: ["https://my.site"] });
 */
export function createRelay(options: RelayOptions): (request: Request) => Promise<Response> {
  const settings = checkRelayOptions(options);
  return async (request) => {
    const answer = await answerTo(settings, request);
    settings.origins.share(request, answer.headers);
    for (const [name, value] of HARDENING) answer.headers.set(name, value);
    return answer;
  };
}

/** What an answer says lest a browser keeps it, or takes it for a page of this site: a model may answer with any text. */
const HARDENING: ReadonlyMap<string, string> = new Map([
  ["cache-control", "no-store"],
  ["content-security-policy", "default-src 'none'; sandbox"],
  ["x-content-type-options", "nosniff"],
]);

async function answerTo(settings: RelaySettings, request: Request): Promise<Response> {
  const { services, allow, origins, maxBytes } = settings;
  const { method, headers } = request;
  const { pathname, search } = new URL(request.url);
  if (!origins.admits(request)) return refuse(403, "this relay does not serve pages of this origin");
  const preflight = origins.preflight(request);
  if (preflight !== undefined) return preflight;
  const target = services.find(pathname);
  if (target === undefined) return refuse(404, "there is no such service at this relay");
  if (!allow.allows(method, target.listed)) return refuse(403, `this relay does not allow ${method} on this path`);
  if (headers.has("upgrade")) return refuse(403, "this relay has no WebSocket: watch a queue over HTTP");
  const length = Number(headers.get("content-length") ?? 0);
  if ((method === "GET" || method === "HEAD") && (request.body || length > 0 || headers.has("transfer-encoding"))) {
    return refuse(400, `a ${method} has no body`);
  }
  if (length > maxBytes) return refuse(413, bodyTooLarge(maxBytes).message);
  const shown = settings.authorize ? boundedRequest(request, maxBytes) : request;
  return (await authorize(settings, shown)) ?? passOn(settings, request, shown, target, search);
}

/** A request of whose body no more than may pass can be read, by its copies either: they would keep all that comes. */
function boundedRequest(request: Request, maxBytes: number): Request {
  const { body, bodyUsed, headers } = request;
  // A server sees to a stated length.
  if (body === null || bodyUsed || body.locked || headers.has("content-length")) return request;
  const counted = countedBody(body as ReadableStream<Bytes>, maxBytes, new AbortController());
  return new Request(request, { body: counted, duplex: "half" } as RequestInit);
}

/** Undefined when the request may pass. */
async function authorize(settings: RelaySettings, request: Request): Promise<Response | undefined> {
  try {
    const verdict = settings.authorize === undefined || (await settings.authorize(request));
    if (isResponse(verdict)) return new Response(verdict.body, verdict);
    if (verdict !== true && verdict !== false)
      throw optionError("what authorize gave", verdict, "be true, false or a Response");
    if (verdict && request.bodyUsed)
      throw optionError("the request's body", "used", "be left alone: read that of request.clone()");
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
  /** The same, with the body that is to be read. */
  shown: Request,
  { client, path }: RelayTarget,
  search: string,
): Promise<Response> {
  const call = new AbortController();
  // Held by the closures below as a whole: the signal of a request that nobody holds never fires on Node.
  const isGone = () => request.signal?.aborted === true;
  const onGone = () => call.abort(request.signal.reason);
  request.signal?.addEventListener("abort", onGone);
  const release = () => request.signal?.removeEventListener("abort", onGone);
  if (isGone()) onGone();
  const expire = () => call.abort(timeoutError(settings.timeout));
  const timer = setTimeout(expire, settings.timeout);

  /** The call is over; whatever ended it before, the caller included, is no news. */
  function end(error: unknown): void {
    release();
    if (error !== undefined && !call.signal.aborted) tell(settings, error, request);
  }

  let answer: Response;
  try {
    const body = await bodyOf(shown, settings.maxBytes, call);
    call.signal.throwIfAborted();
    answer = await client.fetch(path + search, {
      method: request.method,
      headers: settings.headers.toService(request.headers),
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
    if (isGone()) return refuse(499, "the caller has gone");
    const { status, error: words } = refusalOf(reason);
    if (status >= 500) tell(settings, reason, request);
    return refuse(status, words);
  } finally {
    clearTimeout(timer);
  }
  const { status } = answer;
  const headers = settings.headers.toCaller(answer.headers);
  if (answer.body !== null && request.method !== "HEAD" && status !== 204 && status !== 205) {
    return new Response(passedBody(answer.body as ReadableStream<Bytes>, end), { status, headers });
  }
  // There is nothing to come, though some runtimes have a stream for it.
  end(undefined);
  void answer.body?.cancel().catch(() => {});
  return new Response(null, { status, headers });
}

/**
 * The body to send; it ends the call when it grows too large. One of a stated length goes with its length, as the official
 * SDKs send all of theirs: who reads it need not know chunks. Others, and what is larger than the shared gateway takes, go as
 * they come.
 */
async function bodyOf(
  { method, headers, body }: Request,
  maxBytes: number,
  call: AbortController,
): Promise<RelayRequestInit["body"]> {
  const stated = headers.get("content-length");
  if (method === "GET" || method === "HEAD" || body === null || stated === "0") return null;
  const counted = countedBody(body as ReadableStream<Bytes>, maxBytes, call);
  const isWhole = stated !== null && Number(stated) <= SHARED_GATEWAY_MAX_REQUEST_BYTES;
  return isWhole ? readAll(counted, maxBytes, undefined) : counted;
}

function timeoutError(timeout: number): EasTimeoutError {
  return new EasTimeoutError(`the service's answer did not begin within ${timeout} ms`, {
    phase: "headers",
    timeout,
    attempts: 1,
  });
}

function refuse(status: number, error: string): Response {
  return new Response(JSON.stringify({ error }), { status, headers: { "content-type": "application/json" } });
}

function tell({ onError }: RelaySettings, error: unknown, request: Request): void {
  try {
    Promise.resolve(onError(error, request)).catch(() => {});
  } catch {
    // Whoever listens must not break what it listens to.
  }
}
