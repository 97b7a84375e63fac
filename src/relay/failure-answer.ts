import { EasHttpError, EasTimeoutError } from "../errors.js";
import { statusHint } from "../http/status-hint.js";
import { BodyError } from "./bodies.js";

/** What a caller is told in place of the service's answer. */
export interface Refusal {
  readonly status: number;
  readonly error: string;
}

/** Codes of a client that finds fault with what the caller sent. */
const CALLERS_FAULTS = ["ERR_EAS_ARG_HEADER", "ERR_EAS_ARG_PATH"];

/** What a caller is told of a call that failed: nothing of the service's own. */
export function refusalOf(error: unknown): Refusal {
  const { code, name } = (typeof error === "object" && error !== null ? error : {}) as {
    code?: unknown;
    name?: unknown;
  };
  if (error instanceof BodyError) return { status: error.status, error: error.message };
  if (code === "ERR_EAS_ARG_BODY_SIZE") return { status: 413, error: "the body is too large for the service" };
  if (CALLERS_FAULTS.includes(String(code))) return { status: 400, error: "the path or a header cannot be passed on" };
  if (error instanceof EasTimeoutError || name === "TimeoutError") {
    return { status: 504, error: "the service did not answer the relay in time" };
  }
  return { status: 502, error: "the relay got no answer from the service" };
}

const WRONG_TOKEN =
  "the token of the relay's client is missing, wrong, of another service, or sent in the wrong form (auth)";

/**
 * Why an answer of the service must not be passed on; undefined when it may. A refused token is the relay's own fault,
 * where a redirect leads is no matter of the caller's, and some statuses are none that an answer can have.
 */
export function refusedAnswer({ status }: Response): EasHttpError | undefined {
  const isUsual = (status >= 200 && status < 300) || (status >= 400 && status < 600);
  if (isUsual && status !== 401 && status !== 403) return undefined;
  const hint = status === 401 ? WRONG_TOKEN : statusHint(status, "", "token");
  return new EasHttpError(`the relay's own call was answered with ${status}: ${hint}`, {
    status,
    hint,
    attempts: 1,
    // Those of the answer are left out, since a service may echo the token.
    headers: new Headers(),
    body: new Uint8Array(0),
  });
}
