import { unwrapEventData } from "../../call/failures/known-responses.js";
import { redactBytes, redactHeaders } from "../../call/failures/redact.js";
import { statusHint } from "../../call/failures/status-hint.js";
import { readAll } from "../../platform/chunks.js";
import type { ByteStream } from "../../platform/contract.js";
import { isError, isRecord } from "../../util/realms.js";
import { reasonPhrase } from "../readiness/reason-phrases.js";
import { type CheckBody, type ClientFetchOptions, type LibraryOptions, sentWith } from "./client-fetch.js";
import { checkOfStreams } from "./library-stream.js";

/** Sends a request as `PredictClient.fetch` does, with a check of the body of a successful answer. */
export type LibrarySend = (
  path: string,
  init: RequestInit,
  options: ClientFetchOptions,
  checkBody: CheckBody | undefined,
) => Promise<Response>;

/**
 * Sends a request of a library for a model's API. `service` is the address that the library was given. It is replaced by
 * the address that the client has now. Errors of the service have the form that the library shows. Loaded on first use.
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
    const answer = await send(path, { ...fieldsOf(request), ...init }, options, check);
    return answer.ok ? answer : await withJsonError(answer);
  } catch (error) {
    // The libraries would retry it, and show "Connection error." in the end.
    if (isRefusal(error)) return refusalOf(error);
    throw error;
  }
}

/** Returns the path of a URL below the address that the library was given. Other addresses stay as they are. */
function pathBelow(service: string, url: string): string {
  if (!URL.canParse(url)) return url;
  // Libraries normalize URLs: ":80" of http goes, for example.
  const [base, { href }] = [new URL(`${service}/`).href, new URL(url)];
  return href.startsWith(base) ? href.slice(base.length - 1) : url;
}

function fieldsOf(request: Request | undefined): RequestInit {
  if (request === undefined) return {};
  const { method, headers, body, signal } = request;
  return { method, headers, body, signal };
}

/** Maximum size of an error in JSON that is passed on. */
const MAX_ERROR_BYTES = 1024 * 1024;

/**
 * Returns an error in the form that libraries for OpenAI's and Anthropic's API read: JSON with `error.message`, which ends with a
 * hint. All other fields of the service's own JSON are kept. Tokens that the service echoes are redacted, since these libraries
 * show the body and the headers in their errors.
 */
async function withJsonError(answer: Response): Promise<Response> {
  const { status, statusText, body, url } = answer;
  const { auth, token } = sentWith(answer) ?? { auth: "token", token: "" };
  const headers = redactHeaders(new Headers(answer.headers), token);
  let content: string | null = null;
  if (body !== null) {
    const read = await readAll(body as ByteStream, MAX_ERROR_BYTES + 1, undefined);
    const bytes = redactBytes(read, token);
    // A coding that is still there could not be decompressed.
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

/** Header by which the libraries decide on a retry, if it is there. */
const RETRY_HEADER = "x-should-retry";
/** Statuses that mean other things on EAS than the libraries expect: they retry 408 and 504, and do not know 450. */
const SHOULD_RETRY: Readonly<Record<number, "true" | "false">> = {
  // The service took too long. It would do so again, and compute everything twice.
  408: "false",
  504: "false",
  // The instance's queue is full: refused before any work was done.
  450: "true",
};

type Fields = Readonly<Record<string, unknown>>;

/** Types of errors in Anthropic's API; the libraries have them as `error.type`. */
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
  const said = messageOf(own?.message ?? fields.error ?? fields.message ?? fields.detail);
  const message =
    said === undefined
      ? `${reasonPhrase(status) || `Status ${status}`}: ${hint}${text === "" ? "" : `. Response: ${text.slice(0, 200)}`}`
      : `${said} (EAS: ${engineHint(status, said) ?? hint})`;
  if (own !== undefined) return { ...fields, error: { ...own, message } };
  const {
    type = TYPES[status] ?? (status < 500 ? "invalid_request_error" : "api_error"),
    code = status,
    param,
  } = fields;
  // Anthropic's package shows the outer message, if there is one.
  const outer = typeof fields.message === "string" && { message };
  return { ...fields, ...outer, error: { message, type, code, ...(param !== undefined && { param }) } };
}

/** Returns a hint for an engine's own refusal, which the meaning of the status on EAS does not explain. */
function engineHint(status: number, said: string): string | undefined {
  if (status === 404 && /\bmodels?\b/i.test(said)) return "GET /v1/models lists the models of this service";
  return status === 400 || status === 422
    ? "the engine does not accept this request: compare its fields with those that the engine's version supports"
    : undefined;
}

/** Reads a message: a text, or FastAPI's list of faults. Undefined when there is none. */
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

/** Whether the client refuses to send the request: for an argument or a setting, or since it is closed. */
function isRefusal(error: unknown): error is Error & { readonly code: string } {
  return isError(error) && "code" in error && /^ERR_EAS_(ARG_|CLOSED|UNSUPPORTED)/.test(String(error.code));
}

/** Returns the answer for a request that the client refuses to send. */
function refusalOf({ message, code }: Error & { readonly code: string }): Response {
  const error = { message, type: "invalid_request_error", code };
  return Response.json({ error }, { status: 400, statusText: reasonPhrase(400), headers: { [RETRY_HEADER]: "false" } });
}
