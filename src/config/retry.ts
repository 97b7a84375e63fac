/**
 * What a call does to the service, as far as repeating it is concerned: `predict` is pure; `put` stores an item; `take`
 * may delete what it reads (get with autoDelete, negative); `other` may be repeated; `stream` is a prediction whose answer is
 * read while it comes, which is repeated only when it was certainly not begun.
 */
export type CallKind = "predict" | "put" | "take" | "other" | "stream";

/** How an attempt failed. */
export type Outcome =
  | "not sent"
  | "broken after sending"
  | "timeout or 504"
  | "429 or 450"
  | "not begun"
  | "503"
  | "500 or 502"
  | "408"
  | "final";

/**
 * What follows: `once` is one retry in the whole call; `unsure` is no retry, since a queue may have stored the item or
 * handed it out and deleted it.
 */
export type RetryDecision = "retry" | "once" | "no" | "unsure";

/** What follows for `predict`, for `put` and `take`, for `other`, and for `stream`. */
const RETRY_TABLE: Readonly<
  Record<Outcome, readonly [predict: RetryDecision, queue: RetryDecision, other: RetryDecision, stream: RetryDecision]>
> = {
  // Nothing left this machine, so nothing can happen twice.
  "not sent": ["retry", "retry", "retry", "retry"],
  // A socket that dies is routine: instances drain and gateways close idle connections.
  "broken after sending": ["retry", "unsure", "retry", "no"],
  // The work may be running still: a second try is fair, five would multiply the load.
  "timeout or 504": ["once", "unsure", "retry", "no"],
  // Refused before any work was done; another instance, or a moment later, may take it.
  "429 or 450": ["retry", "retry", "retry", "retry"],
  // A gateway reports that it had no instance, or could not connect to one.
  "not begun": ["retry", "retry", "retry", "retry"],
  "503": ["retry", "unsure", "retry", "no"],
  "500 or 502": ["retry", "unsure", "retry", "no"],
  // The service gave up on this very request; the connection is closed with the answer.
  "408": ["no", "no", "retry", "no"],
  // Any other 4xx, 501, 505, a redirect, an answer that cannot be read.
  final: ["no", "no", "no", "no"],
};

const COLUMNS: Readonly<Record<CallKind, 0 | 1 | 2 | 3>> = { predict: 0, put: 1, take: 1, other: 2, stream: 3 };

/** What the table says. */
export function retryDecisionOn(kind: CallKind, outcome: Outcome): RetryDecision {
  return RETRY_TABLE[outcome][COLUMNS[kind]];
}

/** Whether the service may receive the same request twice, as some runtimes send it when a reused connection dies. */
export function isRepeatable(kind: CallKind): boolean {
  return kind === "predict" || kind === "other";
}

const OUTCOME_OF_STATUS: Readonly<Record<number, Outcome>> = {
  408: "408",
  429: "429 or 450",
  450: "429 or 450",
  500: "500 or 502",
  502: "500 or 502",
  503: "503",
  504: "timeout or 504",
};

/** Returns the table's row for a status whose body is not a known answer. */
export function outcomeOfStatus(status: number): Outcome {
  return OUTCOME_OF_STATUS[status] ?? "final";
}

/** First backoff, in milliseconds; it doubles with each retry. */
const BACKOFF_MS = 50;
/** Longest backoff, in milliseconds. */
const BACKOFF_CAP_MS = 2_000;
/** Longest `Retry-After` that is waited for, in milliseconds; past it the error surfaces. */
export const MAX_RETRY_AFTER_MS = 60_000;

/** Milliseconds to wait before retry number `retry` (from 0): full jitter, so that clients do not come back together. */
export function backoff(retry: number): number {
  return Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_MS * 2 ** retry);
}

/** Share of a requested wait that is added at random, so that clients do not return together. */
const JITTER = 0.6;

/**
 * Milliseconds to wait when the service asked for `retryAfter`: never less than that or than `least`, plus a random part. The
 * random part takes at most half of the time that is left of `longest`.
 */
export function requestedWait(retryAfter: number, least: number, longest: number = Number.POSITIVE_INFINITY): number {
  const jitter = Math.random() * Math.max(0, Math.min(retryAfter * JITTER, (longest - retryAfter) / 2));
  return Math.max(least, retryAfter + jitter);
}

/**
 * `Retry-After` in milliseconds: seconds or an HTTP date, which is relative to the response's own `date`, since the clocks of
 * client and service may differ. Undefined when it is absent or malformed.
 */
export function parseRetryAfter(value: string | null, date: string | null = null): number | undefined {
  const text = value?.trim() ?? "";
  if (/^\d{1,15}(\.\d{1,15})?$/.test(text)) return Number(text) * 1000;
  const at = parseHttpDate(text);
  return at === undefined ? undefined : Math.max(0, at - (parseHttpDate(date ?? "") ?? Date.now()));
}

/** The three forms of RFC 9110, section 5.6.7: "06 Nov 1994", "06-Nov-94" and "Nov  6 … 1994". */
const HTTP_DATE =
  /^[A-Z][a-z]+,? (?:(\d\d)([ -])([A-Z][a-z]{2})\2(\d{4}|\d\d) |([A-Z][a-z]{2}) ([ \d]\d) )(\d\d:\d\d:\d\d) (GMT|\d{4})$/;

/** Milliseconds since 1970 of an HTTP date. `Date.parse` alone accepts nearly any text. */
function parseHttpDate(text: string): number | undefined {
  const [, day, , month, year, asctimeMonth, asctimeDay, time, end] = HTTP_DATE.exec(text) ?? [];
  // asctime ends with the year, the others with the zone.
  if (time === undefined || (year === undefined) === (end === "GMT")) return undefined;
  let full = Number(year ?? end);
  if (year?.length === 2) {
    full += 2000;
    // More than 50 years ahead is in the past.
    if (full > new Date().getUTCFullYear() + 50) full -= 100;
  }
  const at = Date.parse(`${day ?? asctimeDay?.trim()} ${month ?? asctimeMonth} ${full} ${time} GMT`);
  return Number.isNaN(at) ? undefined : at;
}

/** Tokens that a client has for retries at first, and at the most. */
const BUDGET = 100;
/** What a successful call gives back. */
const BUDGET_REFILL = 0.25;

/**
 * Keeps retries from multiplying the load on a service that is failing: each retry takes a token, each success gives a quarter
 * back.
 */
export class RetryBudget {
  #tokens: number = BUDGET;

  /**
   * Takes a token; false when there is none left. `isCheap`: half a token, for the first retry of what was not sent, so that
   * one dead instance among many does not use up the budget.
   */
  spend(isCheap: boolean): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= isCheap ? 0.5 : 1;
    return true;
  }

  /** Gives back a part of a token after a success. */
  refill(): void {
    if (this.#tokens < BUDGET) this.#tokens = Math.min(BUDGET, this.#tokens + BUDGET_REFILL);
  }
}
