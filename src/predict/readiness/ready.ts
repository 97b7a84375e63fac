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

/** Default for `timeout`, in milliseconds. Loading a large model can take minutes. */
const DEFAULT_TIMEOUT_MS = 600_000;
/** Timeout of a probe, in milliseconds. EAS may hold a request for 4 minutes while an instance starts (`interceptTraffic`). */
const PROBE_TIMEOUT_MS = 300_000;
/** First delay between two probes, in milliseconds. The delay doubles after each probe. */
const MIN_DELAY_MS = 500;
/** Maximum delay between two probes, in milliseconds. More frequent probes could use up a service's rate limit. */
const MAX_DELAY_MS = 10_000;

/** Options for `PredictClient.ready`. */
export interface ReadyOptions extends WaitOptions {
  /** Path to probe, relative to the service, for example `"/health"`. Default: the client's path. */
  readonly path?: string | undefined;
  /** Aborts the wait. `ready` then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** The result of `PredictClient.ready`. */
export interface Readiness {
  /** Milliseconds until the service was ready. */
  readonly elapsed: number;
  /** Number of probes that were sent. */
  readonly attempts: number;
}

/** Sends one probe. Must not retry the probe if the service is not ready. */
type Probe = (call: CallOptions) => Promise<unknown>;

/** Implements `PredictClient.ready`. Loaded on first use. */
export async function ready(pool: ConnectionPool, probe: Probe, options: ReadyOptions): Promise<Readiness> {
  const wait = new ReadinessWait(pool, options, options.signal, { path: 1, signal: 1 });
  await wait.probeUntilReady(probe, options.path, (error) => isAnsweredByModel(error) || isBusy(error));
  return { elapsed: wait.elapsed, attempts: wait.attempts };
}

/**
 * Sends a call. If the service is not ready, waits until it is and sends the call again. The wait does not count toward
 * the call's `totalTimeout`.
 */
export async function untilReady<R>(
  send: (plan: CallPlan) => Promise<R>,
  plan: CallPlan,
  pool: ConnectionPool,
  probe: Probe,
  options: WaitOptions,
): Promise<R> {
  const wait = new ReadinessWait(pool, options, plan.signal, undefined, (reason, timeout) => {
    const logger = plan.logger ?? console;
    logger.warn(
      `eas-prediction: the service at ${plan.target.origin}${plan.target.path} is not ready (${reason}), so the call waits up to ${timeout} ms. If this is unexpected, check the service name`,
    );
  });
  const { retryOn } = plan;
  // Do not retry these failures here: the call would use up its retries while the service starts.
  const unretried: CallPlan = {
    ...plan,
    retryOn: (error, attempt) => (isNotStarted(error) ? false : retryOn?.(error, attempt)),
  };
  for (;;) {
    try {
      return await send(unretried);
    } catch (error) {
      if (!isNotStarted(error)) throw error;
      await wait.delayAfter(error);
    }
    // Any response other than "not ready" ends the wait. If the response is an error, the call reports that error.
    await wait.probeUntilReady(probe, undefined, () => true);
  }
}

/** Returns whether a call failed because the service is not ready. If so, the service cannot have started the call. */
function isNotStarted(error: unknown): boolean {
  const reason = notReadyReason(error);
  // This reason may also mean that the gateway lost its engine during the request, so the call may have started.
  return reason !== undefined && reason !== "failed to forward request";
}

/** A wait for a service that is not ready, with its time limit, probes and delays. */
class ReadinessWait {
  attempts = 0;
  readonly #startedAt = clockNow();
  readonly #timeout: number;
  readonly #onWait: WaitOptions["onWait"];
  readonly #signal: AbortSignal | undefined;
  readonly #pool: ConnectionPool;
  #delays = 0;
  /** The last response that reported that the service was not ready. */
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
    // Warn by default, because a program that waits for several minutes looks as if it had stopped responding.
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

  /** Sends probes until one succeeds or fails with an error that `isReady` accepts. Rejects with any other error. */
  async probeUntilReady(probe: Probe, path: string | undefined, isReady: (error: unknown) => boolean): Promise<void> {
    for (;;) {
      this.attempts++;
      try {
        await probe({
          path,
          signal: this.#signal,
          timeout: PROBE_TIMEOUT_MS,
          totalTimeout: Math.max(1, this.#timeout - this.elapsed),
          // The probe must not retry after these responses, because this loop handles them.
          retryOn: (error) => (isBusy(error) || notReadyReason(error) !== undefined ? false : undefined),
        });
        return;
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (notReadyReason(error) === undefined && !this.#isExpired(error) && isReady(error)) return;
        await this.delayAfter(error);
      }
    }
  }

  /** Waits before the next probe. Rejects if `error` is not a "not ready" response, or if the time limit has passed. */
  async delayAfter(error: unknown): Promise<void> {
    const reason = notReadyReason(error);
    if (reason === undefined) {
      // The time limit cut the last probe short, so report the previous response, which is more informative.
      if (this.#isExpired(error) && this.#last)
        throw this.#expired(this.#last, notReadyReason(this.#last) as NotReadyReason);
      throw error;
    }
    this.#last = error as EasHttpError;
    const { retryAfter = 0 } = error as EasHttpError;
    const maxDelay = Math.min(MAX_DELAY_MS, MIN_DELAY_MS * 2 ** this.#delays++);
    const jittered = (maxDelay * (1 + Math.random())) / 2;
    const delay = requestedWait(retryAfter, jittered, this.#timeout - this.elapsed);
    if (this.elapsed + delay >= this.#timeout) throw this.#expired(error as EasHttpError, reason);
    this.#onWait?.(this.elapsed, reason);
    await this.#sleep(delay);
  }

  /** Returns whether a probe ended only because the wait reached its time limit. */
  #isExpired(error: unknown): boolean {
    return error instanceof EasTimeoutError && error.phase === "total" && this.elapsed >= this.#timeout;
  }

  /** Resolves after a delay. Rejects when the caller aborts or the client is closed. */
  async #sleep(milliseconds: number): Promise<void> {
    const signal = this.#signal;
    signal?.throwIfAborted();
    const wait = sleep(milliseconds);
    const closable = {
      cancel: () => wait.cancel(new EasNetworkError("the client was closed while waiting for the service", {})),
    };
    this.#pool.hold(closable);
    await waitFor(wait, signal).finally(() => this.#pool.streams.delete(closable));
  }

  #expired(cause: EasHttpError, reason: NotReadyReason): EasTimeoutError {
    const probes = this.attempts === 0 ? "" : ` (${this.attempts} requests)`;
    return new EasTimeoutError(
      `the service was not ready within ${this.#timeout} ms${probes}; last response: ${reason}. ${cause.message}`,
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

/** Returns whether the service is busy. A busy service counts as ready, because an instance responded. */
function isBusy(error: unknown): boolean {
  return error instanceof EasHttpError && (error.status === 429 || error.status === 450);
}
