import { unwrapEventData } from "../../call/failures/known-responses.js";
import { redactBytes, redactHeaders } from "../../call/failures/redact.js";
import { statusHint } from "../../call/failures/status-hint.js";
import { readAll } from "../../platform/chunks.js";
import type { ByteStream } from "../../platform/contract.js";
import { isError, isRecord } from "../../util/realms.js";
import { type CheckBody, type ClientFetchOptions, type LibraryOptions, sentWith } from "./client-fetch.js";
import { checkOfStreams } from "./library-stream.js";
import { reasonPhrase } from "./reason-phrases.js";

/** Sends a request as `PredictClient.fetch` does, and checks the bodies of successful responses. */
export type LibrarySend = (
  path: string,
  init: RequestInit,
  options: ClientFetchOptions,
  checkBody: CheckBody | undefined,
) => Promise<Response>;

/**
 * Sends an API library's request. `service` is the URL with which the library was configured; the request goes to the
 * client's current URL instead. Error responses are converted to the format that the library expects. Loaded on first
 * use.
 */
export async function libraryFetch(
  send: LibrarySend,
  service: string,
  input: string | URL | Request,
  init: RequestInit = {},
  options: LibraryOptions = {},
): Promise<Response> {
  const request = typeof input === "object" && "url" in input ? input : undefined;
  try {
    const path = pathBelow(service, request?.url ?? String(input));
    const check = checkOfStreams(path, init.body);
    const response = await send(path, { ...fieldsOf(request), ...init }, options, check);
    return response.ok ? response : await withJsonError(response);
  } catch (error) {
    // Return a response instead of throwing, because the libraries would retry after an exception and finally report
    // only "Connection error.".
    if (isRefusal(error)) return refusalOf(error);
    throw error;
  }
}

/** Returns the part of a URL after `service`. URLs that are not below `service` are returned unchanged. */
function pathBelow(service: string, url: string): string {
  if (!URL.canParse(url)) return url;
  // Compare normalized URLs, because libraries normalize them too. For example, they remove ":80" from http URLs.
  const [base, { href }] = [new URL(`${service}/`).href, new URL(url)];
  return href.startsWith(base) ? href.slice(base.length - 1) : url;
}

function fieldsOf(request: Request | undefined): RequestInit {
  if (request === undefined) return {};
  const { method, headers, body, signal } = request;
  return { method, headers, body, signal };
}

/** Maximum number of bytes of an error response that are kept. */
const MAX_ERROR_BYTES = 1024 * 1024;

/**
 * Converts an error response to the format that libraries for OpenAI's and Anthropic's APIs expect: JSON with an
 * `error.message`, to which a hint is appended. Other fields of the service's JSON are kept. Tokens echoed by the
 * service are redacted, because the libraries include the body and headers in their errors.
 */
async function withJsonError(response: Response): Promise<Response> {
  const { status, statusText, body, url } = response;
  const { auth, token } = sentWith(response) ?? { auth: "token", token: "" };
  const headers = redactHeaders(new Headers(response.headers), token);
  let content: string | null = null;
  if (body !== null) {
    const read = await readAll(body as ByteStream, MAX_ERROR_BYTES + 1, undefined);
    const bytes = redactBytes(read, token);
    // A remaining content coding means that the body could not be decompressed.
    const text = headers.has("content-encoding") ? "" : unwrapEventData(new TextDecoder().decode(bytes).trim());
    const hint = statusHint(status, text, auth, headers);
    content = JSON.stringify(errorBody(status, text, hint));
    for (const name of ["content-length", "content-encoding"]) headers.delete(name);
    headers.set("content-type", "application/json");
  }
  const retry = SHOULD_RETRY[status];
  if (retry !== undefined && !headers.has(RETRY_HEADER)) headers.set(RETRY_HEADER, retry);
  return Object.defineProperty(new Response(content, { status, statusText, headers }), "url", { value: url });
}

/** Header that tells the libraries whether to retry. */
const RETRY_HEADER = "x-should-retry";
/**
 * Overrides for statuses that the libraries would handle differently: they retry 408 and 504, and do not recognize
 * 450.
 */
const SHOULD_RETRY: Readonly<Record<number, "true" | "false">> = {
  // The service timed out. A retry would repeat the whole computation.
  408: "false",
  504: "false",
  // The instance's queue is full, so the request was refused before any work was done.
  450: "true",
};

type Fields = Readonly<Record<string, unknown>>;

/** Error types of Anthropic's API, which the libraries expose as `error.type`. */
const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  450: "overloaded_error",
  503: "overloaded_error",
};

function errorBody(status: number, text: string, hint: string): Fields {
  const body = parsed(text);
  const fields = isRecord(body) ? body : {};
  const own = isRecord(fields.error) ? fields.error : undefined;
  const original = messageOf(own?.message ?? fields.error ?? fields.message ?? fields.detail);
  const message =
    original === undefined
      ? `${reasonPhrase(status) || `Status ${status}`}: ${hint}${text === "" ? "" : `. Response: ${text.slice(0, 200)}`}`
      : `${original} (EAS: ${engineHint(status, original) ?? hint})`;
  if (own !== undefined) return { ...fields, error: { ...own, message } };
  const {
    type = TYPES[status] ?? (status < 500 ? "invalid_request_error" : "api_error"),
    code = status,
    param,
  } = fields;
  // Anthropic's package shows the outer message instead if there is one.
  const outer = typeof fields.message === "string" && { message };
  return { ...fields, ...outer, error: { message, type, code, ...(param !== undefined && { param }) } };
}

/** Returns a hint for a refusal by the engine itself, which the general hint for the status does not explain. */
function engineHint(status: number, message: string): string | undefined {
  if (status === 404 && /\bmodels?\b/i.test(message)) return "GET /v1/models lists the models of this service";
  return status === 400 || status === 422
    ? "the engine does not accept this request: compare its fields with those that the engine's version supports"
    : undefined;
}

/**
 * Returns the message in an error value; undefined if there is none. The message is a string or FastAPI's list of
 * validation errors.
 */
function messageOf(value: unknown): string | undefined {
  if (typeof value === "string") return value.trim() || undefined;
  if (!Array.isArray(value)) return undefined;
  const faults = value.filter(isRecord).map(({ loc, msg }) => [loc, msg].flat().filter(Boolean).join(" "));
  return faults.filter(Boolean).join("; ") || undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns whether the client refused to send the request, because an argument was invalid or the client is closed. */
function isRefusal(error: unknown): error is Error & { readonly code: string } {
  return isError(error) && "code" in error && /^ERR_EAS_(ARG_|CLOSED|UNSUPPORTED)/.test(String(error.code));
}

/** Returns a response for a request that the client refused to send. */
function refusalOf({ message, code }: Error & { readonly code: string }): Response {
  const error = { message, type: "invalid_request_error", code };
  return Response.json({ error }, { status: 400, statusText: reasonPhrase(400), headers: { [RETRY_HEADER]: "false" } });
}
