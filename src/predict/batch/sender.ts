import type { CallOptions, RetryOn } from "../../config/options.js";
import { backoff, MAX_RETRY_AFTER_MS, requestedWait } from "../../config/retry.js";
import { EasHttpError, EasTimeoutError } from "../../errors.js";
import { pause } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";
import { AdaptiveConcurrency } from "./adaptive-concurrency.js";
import type { Predictor } from "./request.js";

/** Sends the requests of a batch, and limits how many are in flight. */
export interface Sender {
  /** Maximum number of requests in flight now. */
  readonly limit: number;
  /** Time until which no further request may be sent, by `clockNow()`. */
  readonly pausedUntil: number;
  /** Sends a request. `inFlight` is the number of requests in flight, including this one. */
  send(request: unknown, inFlight: number, signal: AbortSignal): Promise<unknown>;
}

/** Maximum time for which requests are sent again while the service refuses all of them, in milliseconds. */
const MAX_REFUSED_MS = 60_000;

/** Returns a sender with a limit that never changes. */
export function fixedSender(client: Predictor, call: CallOptions, limit: number): Sender {
  return {
    limit,
    pausedUntil: 0,
    send: (request, _inFlight, signal) => client.predict(request as Uint8Array, { ...call, signal }),
  };
}

/**
 * A sender that adapts its limit to the service. It retries refused requests itself. The retries of the client are
 * limited by `retryCount` and by a budget, and the refusals while the limit grows would use up both.
 */
export class AdaptiveSender implements Sender {
  pausedUntil = 0;
  readonly #concurrency = new AdaptiveConcurrency();
  readonly #client: Predictor;
  readonly #call: CallOptions;
  /** Time of the last response other than a refusal. Initially the time of the first request. */
  #acceptedAt: number | undefined;

  constructor(client: Predictor, call: CallOptions) {
    this.#client = client;
    this.#call = call;
  }

  get limit(): number {
    return this.#concurrency.limit;
  }

  async send(request: unknown, inFlight: number, signal: AbortSignal): Promise<unknown> {
    for (let refusals = 0; ; refusals++) {
      const sentAt = clockNow();
      this.#acceptedAt ??= sentAt;
      this.#concurrency.started(inFlight);
      let isFirstAttempt = true;
      let mayResend = true;
      const retryOn: RetryOn = (error, attempt) => {
        isFirstAttempt = false;
        if (error instanceof EasTimeoutError) this.#concurrency.refused(sentAt);
        const wanted = this.#call.retryOn?.(error, attempt);
        if (!isRefusal(error)) return wanted;
        mayResend = wanted ?? true;
        return false;
      };
      try {
        const answer = await this.#client.predict(request as Uint8Array, { ...this.#call, retryOn, signal });
        this.#acceptedAt = clockNow();
        // The latency of a call with retries includes the waits between its attempts.
        if (isFirstAttempt) this.#concurrency.succeeded(sentAt);
        return answer;
      } catch (error) {
        if (signal.aborted) throw error;
        if (!isRefusal(error)) {
          if (!(error instanceof EasTimeoutError)) this.#acceptedAt = clockNow();
          throw error;
        }
        this.#concurrency.refused(sentAt);
        const { retryAfter } = error;
        const isLong = retryAfter !== undefined && retryAfter > MAX_RETRY_AFTER_MS;
        if (!mayResend || isLong || clockNow() - this.#acceptedAt > MAX_REFUSED_MS) throw error;
        const delay = retryAfter === undefined ? backoff(refusals) : requestedWait(retryAfter, backoff(refusals));
        if (retryAfter !== undefined) this.pausedUntil = Math.max(this.pausedUntil, clockNow() + delay);
        await pause(delay, signal);
      }
    }
  }
}

function isRefusal(error: unknown): error is EasHttpError {
  return error instanceof EasHttpError && (error.status === 429 || error.status === 450);
}
