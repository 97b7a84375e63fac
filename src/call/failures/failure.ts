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

/** How an attempt failed: what the retry table asks, and the error that surfaces when there is no retry. */
export interface Failure {
  readonly outcome: Outcome;
  readonly error: EasError;
  /** Milliseconds that the service asked to wait. */
  readonly retryAfter?: number | undefined;
  /** Whether a connection died with the request on it, before a byte of the response came. */
  readonly beforeResponse?: boolean;
}

/** What a failure needs to know of its call. */
export interface FailedCall {
  readonly plan: CallPlan;
  readonly attempts: number;
  readonly token: Secrets;
  /** How the last attempt before failed. */
  readonly lastError?: EasError | undefined;
}

/** Bytes of an error's body that are kept. */
const ERROR_BODY_BYTES = 65_536;
/** Characters of it that stand in the message. */
const ERROR_EXCERPT = 200;

/** The call as errors name it: without its query, which may hold what belongs in no log. */
export function describeCall({ method, target, path }: CallPlan): string {
  return `${method} ${target.origin}${path.split("?", 1)[0]}`;
}

/** What all errors say of a call; `happened` when a queue may have done what it asked. */
function factsOf({ plan: { kind }, attempts }: FailedCall, happened: boolean) {
  return { attempts, maybeAccepted: happened && kind === "put", maybeTaken: happened && kind === "take" };
}

/** What all errors after an attempt say of it; `sent` when the request may have arrived although another attempt is useless. */
function attemptFacts(call: FailedCall, outcome: Outcome, sent = false) {
  const { kind } = call.plan;
  // A stream is a prediction, too: who makes it again need fear nothing.
  const decision = retryDecisionOn(kind === "stream" ? "predict" : kind, outcome);
  return { ...factsOf(call, sent || decision === "unsure"), retryable: decision === "retry" || decision === "once" };
}

/** A decoder's error, which knows nothing of calls, as the call's own: with its attempts, and clean of the token. */
export function decodeFailure(call: FailedCall, error: EasDecodeError): EasDecodeError {
  const { message, format, offset } = error;
  const facts = factsOf(call, true);
  const clean = redactText(message, call.token);
  if (clean !== message) return new EasDecodeError(clean, { format, offset, ...facts });
  return Object.assign(error, facts);
}

/**
 * Returns the failure for a response whose status is not a success; `decoded` is its decompressed body. What is known of
 * statuses is loaded on first use.
 */
export async function httpFailure(
  call: FailedCall,
  response: TransportResponse,
  decoded: Bytes,
  isUpgrade = false,
): Promise<Failure> {
  const { plan, token } = call;
  const { status } = response;
  // Cleaned before it is cut, so that no half of a token stays.
  const body = redactBytes(decoded.slice(0, ERROR_BODY_BYTES + longestSecretLength(token) * 4), token).slice(
    0,
    ERROR_BODY_BYTES,
  );
  const headers = redactHeaders(response.headers, token);
  const text = new TextDecoder().decode(body).trim();
  const isAuthorized = Boolean(plan.token) || plan.headers.some(([name]) => name === "authorization");
  // The status must not be lost where the file cannot be loaded, as in a page that has gone offline.
  const known = await import("../lazy.js").catch(() => undefined);
  const hint =
    known?.statusHint(status, text, plan.auth, headers, isAuthorized, isUpgrade) ?? "its meaning could not be loaded";
  const outcome = known?.knownResponse(status, text)?.outcome ?? outcomeOfStatus(status);
  const plain = known?.unwrapEventData(text) ?? text;
  const excerpt = plain.length > ERROR_EXCERPT ? `${plain.slice(0, ERROR_EXCERPT)}…` : plain;
  const said = plain === "" ? "" : ` Response: ${excerpt}`;
  const cut = response.isTruncated ? " The rest of the response body was not received." : "";
  const retryAfter = parseRetryAfter(headers.get("retry-after"), headers.get("date"));
  const error = new EasHttpError(`${describeCall(plan)} was answered with ${status}: ${hint}.${cut}${said}`, {
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

/** Default limit of Node's own `fetch` for the head of a response, and for the time between two chunks, in milliseconds. */
const FETCH_TIMEOUT_MS = 300_000;

/** No answer within the attempt's time, or within that of Node's `fetch`, whose code is then `fetchCode`. */
export function timeoutFailure(call: FailedCall, phase: TransportRequest["phase"], fetchCode?: string): Failure {
  const { plan } = call;
  const timeout = fetchCode ? FETCH_TIMEOUT_MS : plan.timeout;
  const limit = fetchCode ? `${fetchCode} of Node's fetch: use nodeTransport() of eas-prediction/node` : "timeout";
  // Without a connection nothing was sent, so nothing can happen twice.
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

/** What to do where a slow service exceeds a default. */
function slowAdvice({ kind }: CallPlan, isDefault: boolean): string {
  return kind !== "predict" || !isDefault
    ? ""
    : '. For a slow service set preset: "long-running", or timeout and totalTimeout; for long jobs use AsyncInferenceClient, which goes through a queue';
}

/** The whole call's time ran out. */
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

/** Why a call ended that `close({ force: true })` has cancelled. */
export const FORCED = "the client was closed with { force: true }";

/**
 * The client was closed: while the call waited to retry after `cause`, by force in an attempt that was perhaps `sent`, or for the
 * reason `otherwise`.
 */
export function closedFailure(
  call: FailedCall,
  sent: boolean,
  cause?: EasError,
  otherwise: string = FORCED,
): EasNetworkError {
  const why = cause ? `the client was closed before the next attempt. ${cause.message}` : otherwise;
  const facts = factsOf(call, sent);
  return new EasNetworkError(`${describeCall(call.plan)} failed: ${why}`, {
    ...facts,
    retryable: !facts.maybeAccepted && !facts.maybeTaken,
    cause: cause ?? call.lastError,
  });
}

/** No complete answer: what the transport threw. Throws itself what is no matter of the network. */
export function networkFailure(
  call: FailedCall,
  thrown: unknown,
  phase: TransportRequest["phase"],
  reached: boolean,
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
  const hidden = error.opaque && !reached;
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

/** By its marks and not its class: a transport may come with another copy of this package. */
export function isTransportError(error: unknown): error is TransportError {
  return isError(error) && error.name === "TransportError" && "sent" in error;
}

function reasonOf({ sent, systemCode, message, final }: TransportError, phase: TransportRequest["phase"]): string {
  const what = systemCode ? `${systemCode}: ${message}` : message;
  // The other side of a connection that was there broke a rule, or this side ended it.
  if (final && sent === "maybe") return what;
  const where =
    sent === "no"
      ? `${final ? "" : "no connection, "}nothing was sent`
      : phase === "body"
        ? "the connection broke in the response body"
        : "the connection broke before the response";
  return `${where} (${what})`;
}

/** Explains an error for which the browser only reports "failed to fetch". */
function hiddenReason(origin: string): { readonly reason: EasNetworkErrorReason; readonly why: string } {
  const { location } = globalThis as { location?: { protocol?: string } };
  // Chromium and Firefox allow loopback addresses (w3c.github.io/webappsec-mixed-content).
  if (location?.protocol === "https:" && /^http:\/\/(?!localhost|127\.|\[::1])/.test(origin)) {
    return {
      reason: "mixed-content",
      why: "this page was loaded over https, so the browser blocks calls over http (mixed content): use an https endpoint",
    };
  }
  return {
    reason: "cors",
    why: "the browser reports no reason. Probably CORS: the service does not allow this page's origin or the Authorization header (curl and servers are not affected); or the host cannot be reached. A relay on a server of yours avoids CORS and keeps the token off the page",
  };
}
