import { DEFAULT_TIMEOUT_MS, DEFAULT_TOTAL_TIMEOUT_MS } from "../../config/options.js";
import { type Outcome, outcomeOfStatus, parseRetryAfter, retryDecisionOn } from "../../config/retry.js";
import {
  EasDecodeError,
  type EasError,
  EasHttpError,
  EasNetworkError,
  type EasNetworkErrorReason,
  EasTimeoutError,
} from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import {
  RESPONSE_TOO_LARGE,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from "../../platform/contract.js";
import { isError, messageOf } from "../../util/realms.js";
import type { CallPlan } from "../call-plan.js";
import { cleanCause, longestSecretLength, redactBytes, redactHeaders, redactText, type Secrets } from "./redact.js";

/**
 * A failed attempt: its outcome, which selects a row in the retry table, and the error to report if the call is not
 * retried.
 */
export interface Failure {
  readonly outcome: Outcome;
  readonly error: EasError;
  /** Delay requested by the service, in milliseconds. */
  readonly retryAfter?: number | undefined;
  /** Whether the connection broke after the request was sent and before the response began. */
  readonly beforeResponse?: boolean;
}

/** The call details that its errors need. */
export interface FailedCall {
  readonly plan: CallPlan;
  readonly attempts: number;
  readonly token: Secrets;
  /** Error from the previous attempt. */
  readonly lastError?: EasError | undefined;
}

/** Number of response body bytes kept in an error. */
const ERROR_BODY_BYTES = 65_536;
/** Number of response body characters quoted in an error message. */
const ERROR_EXCERPT = 200;

/** Returns a call's method and URL for error messages. Omits the query because it may contain private data. */
export function describeCall({ method, target, path }: CallPlan): string {
  return `${method} ${target.origin}${path.split("?", 1)[0]}`;
}

/**
 * Returns the properties common to all errors from a call. `happened` is whether a queue may have performed the
 * operation.
 */
function factsOf({ plan: { kind }, attempts }: FailedCall, happened: boolean) {
  return { attempts, maybeAccepted: happened && kind === "put", maybeTaken: happened && kind === "take" };
}

/**
 * Returns the properties common to all errors from an attempt. `sent` is whether the request may have arrived even
 * though it is not retried.
 */
function attemptFacts(call: FailedCall, outcome: Outcome, sent = false) {
  const { kind } = call.plan;
  // A stream is a prediction, so callers may safely retry it.
  const decision = retryDecisionOn(kind === "stream" ? "predict" : kind, outcome);
  return { ...factsOf(call, sent || decision === "unsure"), retryable: decision === "retry" || decision === "once" };
}

/** Adds call details to a decoder's error and redacts tokens in its message. */
export function decodeFailure(call: FailedCall, error: EasDecodeError): EasDecodeError {
  const { message, format, offset } = error;
  const facts = factsOf(call, true);
  const clean = redactText(message, call.token);
  if (clean !== message) return new EasDecodeError(clean, { format, offset, ...facts });
  return Object.assign(error, facts);
}

/**
 * Returns the failure for a response with an error status. `decoded` is the decoded body of the response. The status
 * explanations are loaded on first use.
 */
export async function httpFailure(
  call: FailedCall,
  response: TransportResponse,
  decoded: Bytes,
  isUpgrade = false,
): Promise<Failure> {
  const { plan, token } = call;
  const { status } = response;
  // Redact before truncating, so that no part of a token remains.
  const body = redactBytes(decoded.slice(0, ERROR_BODY_BYTES + longestSecretLength(token) * 4), token).slice(
    0,
    ERROR_BODY_BYTES,
  );
  const headers = redactHeaders(response.headers, token);
  const text = new TextDecoder().decode(body).trim();
  const isAuthorized = Boolean(plan.token) || plan.headers.some(([name]) => name === "authorization");
  // The import may fail, for example in a page that is offline. The error must still report the status.
  const known = await import("../lazy.js").catch(() => undefined);
  const hint =
    known?.statusHint(status, text, plan.auth, headers, isAuthorized, isUpgrade) ??
    "its explanation could not be loaded";
  const outcome = known?.knownResponse(status, text)?.outcome ?? outcomeOfStatus(status);
  const plain = known?.unwrapEventData(text) ?? text;
  const excerpt = plain.length > ERROR_EXCERPT ? `${plain.slice(0, ERROR_EXCERPT)}…` : plain;
  const quote = plain === "" ? "" : ` Response: ${excerpt}`;
  const cut = response.isTruncated ? " The rest of the response body was not received." : "";
  const wait = headers.get("retry-after")?.trim() ?? "";
  const retryAfter = parseRetryAfter(wait) ?? known?.delayUntil(wait, headers.get("date"));
  const error = new EasHttpError(`${describeCall(plan)} returned ${status}: ${hint}.${cut}${quote}`, {
    ...attemptFacts(call, outcome),
    requestId: headers.get("x-request-id") ?? undefined,
    status,
    headers,
    body,
    retryAfter,
    hint,
  });
  return { outcome, retryAfter, error };
}

/** Default timeout in Node's `fetch` for the response headers and between two body chunks, in milliseconds. */
const FETCH_TIMEOUT_MS = 300_000;

/**
 * Returns the failure for an attempt that timed out. `fetchCode` is the error code if one of the timeouts in Node's
 * `fetch` expired.
 */
export function timeoutFailure(call: FailedCall, phase: TransportRequest["phase"], fetchCode?: string): Failure {
  const { plan } = call;
  const timeout = fetchCode ? FETCH_TIMEOUT_MS : plan.timeout;
  const limit = fetchCode ? `${fetchCode} of Node's fetch: use nodeTransport() of eas-prediction/node` : "timeout";
  // Without a connection, nothing was sent, so the request cannot run twice.
  const outcome: Outcome = phase === "connect" ? "not sent" : "timeout or 504";
  const awaited = { connect: "connection", headers: "response", body: "complete response body" }[phase];
  const advice = phase === "connect" || fetchCode ? "" : slowAdvice(plan, timeout === DEFAULT_TIMEOUT_MS);
  const message = `${describeCall(plan)} timed out: no ${awaited} within ${timeout} ms (${limit})${advice}`;
  const error = new EasTimeoutError(message, {
    ...attemptFacts(call, outcome),
    cause: call.lastError,
    phase,
    timeout,
  });
  return { outcome, error };
}

/**
 * Returns advice for callers of slow services. The advice is empty unless a predict call timed out with the default
 * timeout.
 */
function slowAdvice({ kind }: CallPlan, isDefault: boolean): string {
  return kind !== "predict" || !isDefault
    ? ""
    : '. For a slow service set preset: "long-running", or timeout and totalTimeout; for long jobs use AsyncInferenceClient, which goes through a queue';
}

/** Returns the error for a call that exceeds `totalTimeout`. */
export function totalTimeoutError(call: FailedCall): EasTimeoutError {
  const { lastError: cause } = call;
  const { kind, totalTimeout } = call.plan;
  const sent = call.attempts > 0;
  const why = cause
    ? `. Last failed attempt: ${cause.message}`
    : sent
      ? ""
      : ". Nothing was sent: the call waited for a token, an instance or a connection";
  const advice = sent ? slowAdvice(call.plan, totalTimeout === DEFAULT_TOTAL_TIMEOUT_MS) : "";
  const message = `${describeCall(call.plan)} timed out: not complete within ${totalTimeout} ms (totalTimeout)${advice}${why}`;
  return new EasTimeoutError(message, {
    ...factsOf(call, sent),
    cause,
    retryable: kind !== "put" && kind !== "take",
    phase: "total",
    timeout: totalTimeout,
  });
}

/** The reason in the errors of calls canceled by `close({ force: true })`. */
export const FORCED = "the client was closed with { force: true }";

/**
 * Returns the error for a call that ended because the client was closed. `cause` is the last attempt's error if the
 * call was waiting for a retry. `sent` is whether the request may have arrived. `reason` is used if there is no
 * `cause`.
 */
export function closedFailure(
  call: FailedCall,
  sent: boolean,
  cause?: EasError,
  reason: string = FORCED,
): EasNetworkError {
  const why = cause ? `the client was closed before the next attempt. ${cause.message}` : reason;
  const facts = factsOf(call, sent);
  return new EasNetworkError(`${describeCall(call.plan)} failed: ${why}`, {
    ...facts,
    retryable: !facts.maybeAccepted && !facts.maybeTaken,
    cause: cause ?? call.lastError,
  });
}

/**
 * Returns the failure for a transport error. Throws `EasDecodeError` if the response is too large. `responded` is
 * whether the origin has responded before.
 */
export function networkFailure(
  call: FailedCall,
  thrown: unknown,
  phase: TransportRequest["phase"],
  responded: boolean,
): Failure {
  const { plan, token } = call;
  const error = isTransportError(thrown)
    ? thrown
    : new TransportError(messageOf(thrown), { sent: "maybe", cause: thrown });
  if (error.systemCode === RESPONSE_TOO_LARGE) {
    throw new EasDecodeError(`${describeCall(plan)}: ${error.message}`, {
      format: "body",
      offset: plan.maxResponseBytes,
      ...factsOf(call, true),
    });
  }
  const { systemCode } = error;
  if (systemCode && /^UND_ERR_(HEADERS|BODY)_TIMEOUT$/.test(systemCode)) return timeoutFailure(call, phase, systemCode);
  const hidden = error.opaque && !responded;
  const outcome: Outcome = error.final || hidden ? "final" : error.sent === "no" ? "not sent" : "broken after sending";
  const { reason, why } = hidden
    ? hiddenReason(plan.target.origin)
    : { reason: undefined, why: reasonOf(error, phase) };
  return {
    outcome,
    beforeResponse: error.sent === "maybe" && phase !== "body",
    error: new EasNetworkError(`${describeCall(plan)} failed: ${redactText(why, token)}`, {
      ...attemptFacts(call, outcome, error.final && error.sent === "maybe"),
      cause: cleanCause(error.cause ?? error, token),
      systemCode: error.systemCode,
      reason,
    }),
  };
}

/**
 * Whether an error is a `TransportError`. Checks the error's properties instead of its class, because a transport may
 * use another copy of this package.
 */
export function isTransportError(error: unknown): error is TransportError {
  return isError(error) && error.name === "TransportError" && "sent" in error;
}

function reasonOf({ sent, systemCode, message, final }: TransportError, phase: TransportRequest["phase"]): string {
  const what = systemCode ? `${systemCode}: ${message}` : message;
  // The server violated the protocol or the response exceeded a client limit. In both cases, the error's message is
  // sufficient.
  if (final && sent === "maybe") return what;
  const where =
    sent === "no"
      ? `${final ? "" : "no connection, "}nothing was sent`
      : phase === "body"
        ? "the connection broke while the response body was being received"
        : "the connection broke before the response arrived";
  return `${where} (${what})`;
}

/** Explains an error for which the browser reports only "failed to fetch". */
function hiddenReason(origin: string): { readonly reason: EasNetworkErrorReason; readonly why: string } {
  const { location } = globalThis as { location?: { protocol?: string } };
  // Chromium and Firefox do not block loopback addresses as mixed content (w3c.github.io/webappsec-mixed-content).
  if (location?.protocol === "https:" && /^http:\/\/(?!localhost|127\.|\[::1])/.test(origin)) {
    return {
      reason: "mixed-content",
      why: "this page was loaded over https, so the browser blocks calls over http (mixed content): use an https endpoint",
    };
  }
  return {
    reason: "cors",
    why: "the browser reports no reason. Probably CORS: the service does not allow this page's origin or the Authorization header (curl and servers are not affected); or the host cannot be reached. A relay on your own server avoids CORS and keeps the token off the page",
  };
}
