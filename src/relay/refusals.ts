import { RELAY_HEADER } from "../call/failures/status-hint.js";
import { EasHttpError, EasTimeoutError } from "../errors.js";
import { BodyError } from "./bodies.js";

/** The status and message that the caller receives instead of the service's response. */
export interface Refusal {
  readonly status: number;
  readonly error: string;
}

/**
 * Creates a response from the relay itself. A header lets clients from this package distinguish it from the service's
 * responses.
 */
export function refuse(status: number, error: string): Response {
  const headers = { "content-type": "application/json", [RELAY_HEADER]: "refused" };
  return new Response(JSON.stringify({ error }), { status, headers });
}

/** Codes of errors that a client throws if the caller's request is invalid. */
const CALLER_ERRORS = ["ERR_EAS_ARG_HEADER", "ERR_EAS_ARG_PATH"];

/**
 * Returns the status and message that the caller receives for a failed call. They do not contain the service's token,
 * address or messages.
 */
export function refusalOf(error: unknown): Refusal {
  const { code, name } = (typeof error === "object" && error !== null ? error : {}) as {
    code?: unknown;
    name?: unknown;
  };
  if (error instanceof BodyError) return { status: error.status, error: error.message };
  if (code === "ERR_EAS_ARG_BODY_SIZE") return { status: 413, error: "the body is too large for the service" };
  if (CALLER_ERRORS.includes(String(code))) return { status: 400, error: "the path or a header cannot be forwarded" };
  if (error instanceof EasTimeoutError || name === "TimeoutError") {
    return { status: 504, error: "the service sent no response within the relay's timeout" };
  }
  if (code === "ERR_EAS_HTTP") return { status: 502, error: "the relay cannot forward the service's response" };
  return { status: 502, error: "the relay got no response from the service" };
}

const WRONG_TOKEN =
  "the token of the relay's client is missing, wrong, for another service, or sent in the wrong form (auth)";

/** Explains to the relay's operator why a status cannot be forwarded. */
function hintFor(status: number): string {
  if (status === 401) return WRONG_TOKEN;
  if (status === 403)
    return "the gateway or the service refuses the relay's server or its token: check the access lists and the token";
  if (status >= 300 && status < 400) {
    return "redirects are not followed, to keep the token from other hosts: set the client's endpoint to the redirect's target";
  }
  return "a relay cannot forward this status";
}

/**
 * Returns an error if the service's response must not be forwarded. Refused tokens and redirect targets concern only
 * the relay, and a `Response` cannot have certain statuses.
 */
export function statusError({ status }: Response): EasHttpError | undefined {
  const isUsual = (status >= 200 && status < 300) || (status >= 400 && status < 600);
  if (isUsual && status !== 401 && status !== 403) return undefined;
  const hint = hintFor(status);
  return new EasHttpError(`the service responded to the relay with status ${status}: ${hint}`, {
    status,
    hint,
    attempts: 1,
    // Omit the headers and body of the service's response, because the service may echo the token.
    headers: new Headers(),
    body: new Uint8Array(0),
  });
}
