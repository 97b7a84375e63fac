import type { CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import type { CallOptions, NotReadyReason, WaitOptions } from "../../config/options.js";
import { requestedWait } from "../../config/retry.js";
import { checkFunction, checkSignal, checkTimeout } from "../../config/validate.js";
import { EasHttpError, EasNetworkError, EasTimeoutError } from "../../errors.js";
import { optionError } from "../../util/argument-errors.js";
import { checkOptionNames } from "../../util/option-names.js";
import { sleep, waitFor } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import { isAnsweredByModel, notReadyReason } from "./not-ready.js";

/** Default of `timeout`, in milliseconds: a large model takes minutes to load. */
const DEFAULT_TIMEOUT_MS = 600_000;
/** Timeout of one request in milliseconds. EAS may hold it for 2 to 4 minutes while it starts an instance (`interceptTraffic`). */
const HELD_MS = 300_000;
/** First wait between two questions, in milliseconds; it doubles with each. */
const MIN_WAIT_MS = 500;
/** Longest wait. To ask each second would eat up a service's rate limit. */
const MAX_WAIT_MS = 10_000;

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

/** Makes one call, which must not repeat itself where the service is not ready. */
type Ask = (call: CallOptions) => Promise<unknown>;

/** Asks until the service is ready. */
export async function ready(pool: ConnectionPool, ask: Ask, options: ReadyOptions): Promise<Readiness> {
  const wait = new Wait(pool, options, options.signal, { path: 1, signal: 1 });
  await wait.out(ask, options.path, (error) => isAnsweredByModel(error) || isBusy(error));
  return { elapsed: wait.elapsed, attempts: wait.attempts };
}

/**
 * Makes a call, and makes it again when the service was not ready and has become so. What the call waits for in between is no
 * part of its `totalTimeout`.
 */
export async function untilReady<R>(
  make: (plan: CallPlan) => Promise<R>,
  plan: CallPlan,
  pool: ConnectionPool,
  ask: Ask,
  options: WaitOptions,
): Promise<R> {
  const wait = new Wait(pool, options, plan.signal, undefined, (reason, timeout) => {
    const logger = plan.logger ?? console;
    logger.warn(
      `eas-prediction: the service at ${plan.target.origin}${plan.target.path} is not ready (${reason}), and the call waits for it, at most ${timeout} ms. If you do not expect that, check the service name`,
    );
  });
  const { retryOn } = plan;
  // Otherwise the call would use up its retries while the service starts.
  const patient: CallPlan = {
    ...plan,
    retryOn: (error, attempt) => (isNotBegun(error) ? false : retryOn?.(error, attempt)),
  };
  for (;;) {
    try {
      return await make(patient);
    } catch (error) {
      if (!isNotBegun(error)) throw error;
      await wait.after(error);
    }
    // Any answer but "not ready" ends the wait: what it is worth, the call itself finds out.
    await wait.out(ask, undefined, () => true);
  }
}

/** Whether a call has failed because the service is not ready, and was certainly not begun. */
function isNotBegun(error: unknown): boolean {
  const reason = notReadyReason(error);
  // The gateway may have lost its engine in the middle of the request.
  return reason !== undefined && reason !== "failed to forward request";
}

/** The time that is spent on a service that is not ready. */
class Wait {
  attempts = 0;
  readonly #startedAt = clockNow();
  readonly #timeout: number;
  readonly #onWait: WaitOptions["onWait"];
  readonly #signal: AbortSignal | undefined;
  readonly #pool: ConnectionPool;
  #waits = 0;
  /** The last answer by which the service was not ready. */
  #last: EasHttpError | undefined;

  constructor(
    pool: ConnectionPool,
    options: WaitOptions,
    signal: AbortSignal | undefined,
    names?: Readonly<Record<string, unknown>>,
    warn?: (reason: NotReadyReason, timeout: number) => void,
  ) {
    if (typeof options !== "object" || options === null) {
      const right = "true, false or an object such as { timeout: 600_000 }";
      throw optionError("waitForReady", options, `be ${right}`);
    }
    checkOptionNames(names === undefined ? "waitForReady" : "ready", options, { timeout: 1, onWait: 1, ...names });
    const { timeout = DEFAULT_TIMEOUT_MS, onWait } = options;
    this.#pool = pool;
    this.#timeout = checkTimeout("timeout", timeout);
    if (onWait !== undefined) checkFunction("onWait", onWait);
    if (signal !== undefined) checkSignal(signal);
    let hasWarned = false;
    // A wait of minutes without a sign looks like a program that hangs.
    this.#onWait =
      onWait ??
      ((_, reason) => {
        if (!hasWarned) warn?.(reason, timeout);
        hasWarned = true;
      });
    this.#signal = signal;
  }

  get elapsed(): number {
    return clockNow() - this.#startedAt;
  }

  /** Asks until the answer is a success, or an error that `isReady` takes for one; throws every other one. */
  async out(ask: Ask, path: string | undefined, isReady: (error: unknown) => boolean): Promise<void> {
    for (;;) {
      this.attempts++;
      try {
        await ask({
          path,
          signal: this.#signal,
          timeout: HELD_MS,
          totalTimeout: Math.max(1, this.#timeout - this.elapsed),
          // A service that reports that it is busy or not ready has answered.
          retryOn: (error) => (isBusy(error) || notReadyReason(error) !== undefined ? false : undefined),
        });
        return;
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (notReadyReason(error) === undefined && !this.#isExpired(error) && isReady(error)) return;
        await this.after(error);
      }
    }
  }

  /** Waits before the service is asked again; throws an error that says something else than that it is not ready. */
  async after(error: unknown): Promise<void> {
    const reason = notReadyReason(error);
    if (reason === undefined) {
      // The last attempt had little time: what the service said before says more.
      if (this.#isExpired(error) && this.#last)
        throw this.#expired(this.#last, notReadyReason(this.#last) as NotReadyReason);
      throw error;
    }
    this.#last = error as EasHttpError;
    const { retryAfter = 0 } = error as EasHttpError;
    const most = Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** this.#waits++);
    const delay = requestedWait(retryAfter, most / 2 + (Math.random() * most) / 2, this.#timeout - this.elapsed);
    if (this.elapsed + delay >= this.#timeout) throw this.#expired(error as EasHttpError, reason);
    this.#onWait?.(this.elapsed, reason);
    await this.#pause(delay);
  }

  /** Whether an attempt ended because the time for the wait is over, which says nothing about the service. */
  #isExpired(error: unknown): boolean {
    return error instanceof EasTimeoutError && error.phase === "total" && this.elapsed >= this.#timeout;
  }

  /** Waits, until the caller aborts or the client is closed. */
  async #pause(milliseconds: number): Promise<void> {
    const signal = this.#signal;
    signal?.throwIfAborted();
    const wait = sleep(milliseconds);
    const closable = {
      cancel: () => wait.cancel(new EasNetworkError("the client was closed while it waited for the service", {})),
    };
    this.#pool.hold(closable);
    await waitFor(wait, signal).finally(() => this.#pool.streams.delete(closable));
  }

  #expired(cause: EasHttpError, reason: NotReadyReason): EasTimeoutError {
    const asked = this.attempts === 0 ? "" : ` (${this.attempts} requests)`;
    return new EasTimeoutError(
      `the service was not ready within ${this.#timeout} ms${asked}; last response: ${reason}. ${cause.message}`,
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

/** Busy is ready: somebody is there who says so. */
function isBusy(error: unknown): boolean {
  return error instanceof EasHttpError && (error.status === 429 || error.status === 450);
}
