import { platform } from "#platform";
import { argumentTypeError, show } from "../argument-errors.js";
import { EasDecodeError } from "../errors.js";
import type { CallPlan } from "../http/call-plan.js";
import type { Channel } from "../http/channel.js";
import type { Settings } from "../http/client-settings.js";
import { checkHeaders, isSettableHeader } from "../http/headers.js";
import type { CallOptions } from "../http/options.js";
import { bodyTooLarge, forStreams, prepare, withCallOptions, withHeaders } from "../http/prepare.js";
import { statusHint } from "../http/status-hint.js";
import { openStream, type StreamAnswer } from "../http/stream-call.js";
import { limitLife } from "../http/stream-life.js";
import { canUndo, undoneReader } from "../http/undo-stream.js";
import { suffixOf } from "../http/url.js";
import { readAll } from "../platform/chunks.js";
import type { ByteStream, HeaderPair } from "../platform/platform.js";
import type { Bytes } from "../request.js";
import { PLACEHOLDER_KEY, serviceUrl } from "./service-url.js";

/** Bytes of an answer that are read before somebody asks for them, so that small ones free their connection by themselves. */
const AHEAD_BYTES = 65_536;
/** Statuses whose answers have no body. */
const BODILESS: readonly number[] = [101, 204, 205, 304];
/** What the connection says itself; browsers drop them in the same way. */
const OF_CONNECTION: ReadonlySet<string> = new Set(["host", "accept-encoding"]);

/** What `client.fetch` takes beside what `fetch` takes. */
export type ClientFetchOptions = Pick<CallOptions, "timeout" | "totalTimeout" | "retryCount" | "retryOn">;

/** `fetch`, with a client's service, authorization and connections. Loaded on first use. */
export async function clientFetch(
  channel: Channel,
  settings: Settings,
  input: string | URL | Request,
  init: RequestInit,
  options: ClientFetchOptions,
): Promise<Response> {
  const prepared = forStreams(prepare(settings, platform), "auto");
  const request = typeof input === "object" && "url" in input ? input : undefined;
  const { signal = request?.signal } = init;
  const body = init.body ?? request?.body;
  const method = checkMethod(init.method ?? request?.method ?? "GET", body);
  const suffix = suffixOf(pathWithin(request?.url ?? String(input), prepared.plan), undefined);
  const { bytes, source, type } = await readBody(body);
  if (bytes && bytes.length > prepared.maxRequestBytes) throw bodyTooLarge(bytes.length, prepared);
  const headers = sendable(new Headers(init.headers ?? request?.headers), prepared.plan);
  if (type !== null && !headers.some(([name]) => name === "content-type")) headers.push(["content-type", type]);
  const plan = {
    ...withCallOptions(withHeaders(prepared.plan, headers), {
      path: suffix.signed,
      ...(signal && { signal }),
      ...options,
      // What is sent as it comes can be sent once only.
      retryCount: source ? 0 : (options.retryCount ?? 0),
    }),
    method,
  };
  return openStream(channel, plan, bytes ?? null, { source, anyStatus: true }, (answer) => toResponse(answer, plan));
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
    throw argumentTypeError("ERR_EAS_ARG_REQUEST", "body is a stream that somebody else reads already");
  }
  // It knows what each kind of body is called.
  const whole = new Response(body);
  const type = whole.headers.get("content-type");
  return { bytes: new Uint8Array(await whole.arrayBuffer()), type };
}

/** Headers of a library: without the placeholder, and without those that a `fetch` sets itself, as it would drop them. */
function sendable(headers: Headers, { droppedHeaders }: CallPlan): HeaderPair[] {
  const pairs = [...headers].filter(
    ([name, value]) =>
      isSettableHeader(name) &&
      !OF_CONNECTION.has(name) &&
      !droppedHeaders?.test(name) &&
      // What the package "openai" says of itself: a service with a narrow CORS list would refuse the preflight.
      !name.startsWith("x-stainless-") &&
      !(name === "authorization" && value === `Bearer ${PLACEHOLDER_KEY}`),
  );
  return checkHeaders(pairs);
}

/** Reason phrases of RFC 9110 for the statuses of EAS: HTTP/2 has none, and libraries show them. */
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  204: "No Content",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  450: "Queue Full",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** A `Response` whose body is read from the answer as it is asked for. */
function toResponse(answer: StreamAnswer, plan: CallPlan): Response {
  const { response, endpoint } = answer;
  limitLife(answer, plan);
  const headers = new Headers(response.headers);
  const isUndone = canUndo(response);
  if (isUndone && headers.has("content-encoding")) {
    // What is handed on has neither any more.
    headers.delete("content-encoding");
    headers.delete("content-length");
  }
  const { status } = response;
  if (status > 599) throw new EasDecodeError(`status ${status} is none that a Response can have`, { format: "status" });
  const body = plan.method === "HEAD" || BODILESS.includes(status) ? emptied(answer) : bodyOf(answer, isUndone);
  const made = new Response(body, { status, statusText: REASONS[status] ?? "", headers });
  Object.defineProperty(made, "url", { value: endpoint + plan.path.split("?", 1)[0] });
  return made;
}

/** Bytes of an error that are kept. */
const ERROR_BYTES = 65_536;

/** An error whose body is not JSON, in the form that libraries for OpenAI's API read. Any other is returned unchanged. */
export async function withJsonError(answer: Response, auth: CallPlan["auth"]): Promise<Response> {
  const { status, statusText, body, url } = answer;
  const headers = new Headers(answer.headers);
  if (body === null || /\bjson\b/i.test(headers.get("content-type") ?? "")) return answer;
  const bytes = await readAll(body as ByteStream, ERROR_BYTES, undefined);
  const text = new TextDecoder().decode(bytes).trim();
  const isJson = /^[{[]/.test(text);
  const hint = statusHint(status, text, auth, headers);
  const message = `${statusText || "error"}: ${hint}${text === "" ? "" : `. The service said: ${text.slice(0, 200)}`}`;
  for (const name of ["content-length", "content-encoding"]) headers.delete(name);
  headers.set("content-type", "application/json");
  const content = isJson ? bytes : JSON.stringify({ error: { message, code: status } });
  return Object.defineProperty(new Response(content, { status, statusText, headers }), "url", { value: url });
}

function emptied({ response }: StreamAnswer): null {
  response.read().then(
    (piece) => piece && response.cancel(undefined),
    () => {},
  );
  return null;
}

function bodyOf({ response }: StreamAnswer, isUndone: boolean): ReadableStream<Uint8Array> {
  const reader = isUndone ? undoneReader(response) : response;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await reader.read();
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
      cancel: () => response.cancel(undefined),
    },
    // Not a ByteLengthQueuingStrategy, which some edge runtimes do not have.
    { highWaterMark: AHEAD_BYTES, size: ({ length }) => length },
  );
}
