import { RELAY_HEADER } from "../call/failures/status-hint.js";
import { EasHttpError, EasTimeoutError } from "../errors.js";
import { BodyError } from "./bodies.js";

/** What a caller is told in place of the service's answer. */
export interface Refusal {
  readonly status: number;
  readonly error: string;
}

/** An answer of the relay itself. The header lets clients of this package tell it from one of the service. */
export function refuse(status: number, error: string): Response {
  const headers = { "content-type": "application/json", [RELAY_HEADER]: "refused" };
  return new Response(JSON.stringify({ error }), { status, headers });
}

/** Codes of a client that refuses what the caller sent. */
const CALLERS_FAULTS = ["ERR_EAS_ARG_HEADER", "ERR_EAS_ARG_PATH"];

/** What a caller is told of a call that failed: nothing of the token, the address or the service's own message. */
export function refusalOf(error: unknown): Refusal {
  const { code, name } = (typeof error === "object" && error !== null ? error : {}) as {
    code?: unknown;
    name?: unknown;
  };
  if (error instanceof BodyError) return { status: error.status, error: error.message };
  if (code === "ERR_EAS_ARG_BODY_SIZE") return { status: 413, error: "the body is too large for the service" };
  if (CALLERS_FAULTS.includes(String(code))) return { status: 400, error: "the path or a header cannot be forwarded" };
  if (error instanceof EasTimeoutError || name === "TimeoutError") {
    return { status: 504, error: "the service sent no response within the relay's timeout" };
  }
  if (code === "ERR_EAS_HTTP") return { status: 502, error: "the relay cannot forward the service's response" };
  return { status: 502, error: "the relay got no response from the service" };
}

const WRONG_TOKEN =
  "the token of the relay's client is missing, wrong, of another service, or sent in the wrong form (auth)";

/** What a status that cannot be passed on means for the owner of the relay. */
function meaningOf(status: number): string {
  if (status === 401) return WRONG_TOKEN;
  if (status === 403)
    return "the gateway or the service refuses the relay's server or its token: check the access lists and the token";
  if (status >= 300 && status < 400) {
    return "redirects are not followed, to keep the token from other hosts: set the client's endpoint to the redirect's target";
  }
  return "a relay cannot forward this status";
}

/**
 * Why an answer of the service must not be passed on; undefined when it may. A refused token concerns the relay only, as does
 * the target of a redirect, and some statuses are not possible in a `Response`.
 */
export function refusedAnswer({ status }: Response): EasHttpError | undefined {
  const isUsual = (status >= 200 && status < 300) || (status >= 400 && status < 600);
  if (isUsual && status !== 401 && status !== 403) return undefined;
  const hint = meaningOf(status);
  return new EasHttpError(`the relay's own call was answered with ${status}: ${hint}`, {
    status,
    hint,
    attempts: 1,
    // Those of the answer are left out, since a service may echo the token.
    headers: new Headers(),
    body: new Uint8Array(0),
  });
}
