/**
 * A call's effect on the service, which determines whether the call may be retried.
 * - `predict`: a prediction, which has no side effects.
 * - `put`: stores an item in a queue.
 * - `take`: may delete the items that it reads, for example a get with `autoDelete`.
 * - `stream`: a prediction whose response is read in chunks. Retried only if the service cannot have started it.
 * - `other`: any other operation that may be retried.
 */
export type CallKind = "predict" | "put" | "take" | "other" | "stream";

/** Outcome of a failed attempt. Each value is a row in the retry table. */
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
 * Decision after a failed attempt. `once` allows one retry per call. `unsure` means that the call is not retried
 * because a queue may already have stored the item, or delivered and deleted it.
 */
export type RetryDecision = "retry" | "once" | "no" | "unsure";

/** Decisions by outcome and call kind. The `queue` column applies to `put` and `take`. */
const RETRY_TABLE: Readonly<
  Record<Outcome, readonly [predict: RetryDecision, queue: RetryDecision, other: RetryDecision, stream: RetryDecision]>
> = {
  // The request was not sent, so it cannot run twice.
  "not sent": ["retry", "retry", "retry", "retry"],
  // Broken connections are common because instances drain and gateways close idle connections.
  "broken after sending": ["retry", "unsure", "retry", "no"],
  // The request may still be running. A single retry is acceptable, but five retries would multiply the load.
  "timeout or 504": ["once", "unsure", "retry", "no"],
  // The service rejected the request without processing it. Another instance may accept the request now, or the same
  // instance may accept it later.
  "429 or 450": ["retry", "retry", "retry", "retry"],
  // The gateway reported that it had no instance, or could not connect to one.
  "not begun": ["retry", "retry", "retry", "retry"],
  "503": ["retry", "unsure", "retry", "no"],
  "500 or 502": ["retry", "unsure", "retry", "no"],
  // The service canceled this request and closes the connection after its response.
  "408": ["no", "no", "retry", "no"],
  // This row covers all other 4xx statuses, 501, 505, redirects, and responses that cannot be decoded.
  final: ["no", "no", "no", "no"],
};

const COLUMNS: Readonly<Record<CallKind, 0 | 1 | 2 | 3>> = { predict: 0, put: 1, take: 1, other: 2, stream: 3 };

/** Returns the decision for a call kind and an outcome. */
export function retryDecisionOn(kind: CallKind, outcome: Outcome): RetryDecision {
  return RETRY_TABLE[outcome][COLUMNS[kind]];
}

/**
 * Whether the service may safely receive a request twice. Checked because some runtimes resend a request when a reused
 * connection breaks.
 */
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

/** Returns the outcome for a status whose body is not a known response. */
export function outcomeOfStatus(status: number): Outcome {
  return OUTCOME_OF_STATUS[status] ?? "final";
}

/** Maximum backoff before the first retry, in milliseconds. Doubles with each further retry. */
const BACKOFF_MS = 50;
/** Upper limit for the backoff before any retry, in milliseconds. */
const BACKOFF_CAP_MS = 2_000;
/**
 * Maximum `Retry-After` delay that the client accepts, in milliseconds. For larger values, the call fails immediately.
 */
export const MAX_RETRY_AFTER_MS = 60_000;

/**
 * Returns the delay before retry number `retry` (counted from 0), in milliseconds. Uses full jitter to spread out the
 * retries of many clients.
 */
export function backoff(retry: number): number {
  return Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_MS * 2 ** retry);
}

/** Maximum jitter as a fraction of `Retry-After`. The jitter spreads out the retries of many clients. */
const JITTER = 0.6;

/**
 * Returns the delay after a response with `Retry-After`, in milliseconds: `retryAfter` plus jitter, but at least `min`.
 * The jitter is at most half of the difference between `retryAfter` and `max`.
 */
export function requestedWait(retryAfter: number, min: number, max: number = Number.POSITIVE_INFINITY): number {
  const jitter = Math.random() * Math.max(0, Math.min(retryAfter * JITTER, (max - retryAfter) / 2));
  return Math.max(min, retryAfter + jitter);
}

/** Converts a `Retry-After` value in seconds to milliseconds. Returns undefined for an HTTP date; see `delayUntil`. */
export function parseRetryAfter(value: string): number | undefined {
  return /^\d{1,15}(\.\d{1,15})?$/.test(value) ? Number(value) * 1000 : undefined;
}

/** Initial and maximum number of tokens in the retry budget. */
const BUDGET = 100;
/** Tokens that a successful call adds to the budget. */
const BUDGET_REFILL = 0.25;

/**
 * Limits retries so that they do not multiply the load on a failing service. Each retry takes one token, and each
 * success adds a quarter of a token.
 */
export class RetryBudget {
  #tokens: number = BUDGET;

  /**
   * Takes one token, or half a token if `isCheap` is true. Returns `false` if the budget is empty. `isCheap` applies to
   * the first retry of a request that was not sent. At the full price, one dead instance among many could use up the
   * budget.
   */
  spend(isCheap: boolean): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= isCheap ? 0.5 : 1;
    return true;
  }

  /** Adds a quarter of a token after a successful call. */
  refill(): void {
    if (this.#tokens < BUDGET) this.#tokens = Math.min(BUDGET, this.#tokens + BUDGET_REFILL);
  }
}
