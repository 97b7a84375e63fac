import { EasHttpError, EasTimeoutError } from "../errors.js";
import type { CallPlan } from "../http/call-plan.js";
import { follow, unfollow } from "../http/caller-signal.js";
import {
  type CallOptions,
  checkFunction,
  checkSignal,
  checkTimeout,
  type NotReadyReason,
  type WaitOptions,
} from "../http/options.js";
import { sleep } from "../http/timeouts.js";
import { isAnsweredByModel, notReadyReason } from "./not-ready.js";

/** Default of `timeout`, in milliseconds: a large model takes minutes to load. */
const DEFAULT_TIMEOUT_MS = 600_000;
/** First wait between two questions, in milliseconds; it doubles with each. */
const LEAST_WAIT_MS = 500;
/** Longest wait. To ask each second would eat up a service's rate limit. */
const MOST_WAIT_MS = 10_000;

/** Options of `PredictClient.ready`. */
export interface ReadyOptions extends WaitOptions {
  /** Path behind the service to ask, for example `"/health"`. Default: the service's own. */
  readonly path?: string | undefined;
  /** Ends the wait at once; it then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** What it took until a service was ready. */
export interface Readiness {
  /** Milliseconds. */
  readonly elapsed: number;
  /** How often the service was asked. */
  readonly attempts: number;
}

/** Asks until the service is ready. `ask` makes one call, which must not repeat itself where the service is not ready. */
export async function ready(ask: (call: CallOptions) => Promise<unknown>, options: ReadyOptions): Promise<Readiness> {
  const wait = new Wait(options, options.signal);
  const { path, signal } = options;
  for (;;) {
    try {
      wait.attempts++;
      await ask({ path, signal, totalTimeout: wait.remaining, retryOn: unlessNotReady(undefined) });
      break;
    } catch (error) {
      if (isAnsweredByModel(error) || isBusy(error)) break;
      await wait.after(error);
    }
  }
  return { elapsed: wait.elapsed, attempts: wait.attempts };
}

/**
 * Makes a call, and makes it again when the service was not ready and has become so. What the call waits for in between is no
 * part of its `totalTimeout`.
 */
export async function untilReady<R>(
  make: (plan: CallPlan) => Promise<R>,
  plan: CallPlan,
  ask: (call: CallOptions) => Promise<unknown>,
  options: WaitOptions,
): Promise<R> {
  const wait = new Wait(options, plan.signal);
  // Else the retries of the call would be wasted on a service that sleeps.
  const patient = { ...plan, retryOn: unlessNotReady(plan.retryOn) };
  for (;;) {
    try {
      return await make(patient);
    } catch (error) {
      await wait.after(error);
    }
    const { onWait } = options;
    await ready(ask, { timeout: wait.remaining, signal: plan.signal, onWait: onWait && wait.telling(onWait) });
  }
}

/** The time that is spent on a service that is not ready. */
class Wait {
  attempts = 0;
  readonly #startedAt = performance.now();
  readonly #timeout: number;
  readonly #onWait: WaitOptions["onWait"];
  readonly #signal: AbortSignal | undefined;
  #waits = 0;

  constructor({ timeout = DEFAULT_TIMEOUT_MS, onWait }: WaitOptions, signal: AbortSignal | undefined) {
    this.#timeout = checkTimeout("timeout", timeout);
    if (onWait !== undefined) checkFunction("onWait", onWait);
    if (signal !== undefined) checkSignal(signal);
    this.#onWait = onWait;
    this.#signal = signal;
  }

  get elapsed(): number {
    return performance.now() - this.#startedAt;
  }

  /** Milliseconds that are left, at least one. */
  get remaining(): number {
    return Math.max(1, this.#timeout - this.elapsed);
  }

  /** The callback with the time since this wait began. */
  telling(onWait: NonNullable<WaitOptions["onWait"]>): NonNullable<WaitOptions["onWait"]> {
    return (_, reason) => onWait(this.elapsed, reason);
  }

  /** Waits before the service is asked again; throws an error that says something else than that it is not ready. */
  async after(error: unknown): Promise<void> {
    const reason = notReadyReason(error);
    if (reason === undefined) throw error;
    const { retryAfter = 0 } = error as EasHttpError;
    const most = Math.min(MOST_WAIT_MS, LEAST_WAIT_MS * 2 ** this.#waits++);
    const delay = Math.max(retryAfter, most / 2 + (Math.random() * most) / 2);
    if (this.elapsed + delay >= this.#timeout) throw this.#expired(error as EasHttpError, reason);
    this.#onWait?.(this.elapsed, reason);
    await pause(delay, this.#signal);
  }

  #expired(cause: EasHttpError, reason: NotReadyReason): EasTimeoutError {
    const asked = this.attempts === 0 ? "" : `, asked ${this.attempts} times`;
    return new EasTimeoutError(
      `the service was not ready within ${this.#timeout} ms${asked}; it last said: ${reason}. ${cause.message}`,
      {
        attempts: Math.max(this.attempts, cause.attempts),
        retryable: true,
        phase: "total",
        timeout: this.#timeout,
        cause,
      },
    );
  }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const wait = sleep(milliseconds);
  const abortable = { abort: wait.cancel };
  if (signal !== undefined) follow(signal, abortable);
  try {
    await wait.done;
  } finally {
    if (signal !== undefined) unfollow(signal, abortable);
  }
}

/** Busy is ready: somebody is there who says so. */
function isBusy(error: unknown): boolean {
  return error instanceof EasHttpError && (error.status === 429 || error.status === 450);
}

function unlessNotReady(retryOn: CallOptions["retryOn"]): NonNullable<CallOptions["retryOn"]> {
  return (error, attempt) => (notReadyReason(error) === undefined ? retryOn?.(error, attempt) : false);
}
