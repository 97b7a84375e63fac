import { backoff, MAX_RETRY_AFTER_MS, requestedWait, retryDecisionOn } from "../config/retry.js";
import type { Lease } from "../endpoint/router.js";
import { EasDecodeError, type EasError, EasUnsupportedError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { isChunkList, totalLength } from "../platform/chunks.js";
import { type HeaderPair, isSuccess, type Signer, type TransportResponse } from "../platform/contract.js";
import { type Abortable, linkSignal, sleep, unlinkSignal, type Wait } from "../util/timing/abort.js";
import { clockNow } from "../util/timing/clock.js";
import { Attempt } from "./attempt.js";
import { authorize, currentToken, secretsOf, warnIfPlain } from "./auth.js";
import type { CallBody, CallPlan, CallResult } from "./call-plan.js";
import type { ConnectionPool, Running } from "./connections/connection-pool.js";
import { isFailureStatus, isInstanceFault, leaseInstance } from "./connections/instance-lease.js";
import { decodeResponse } from "./decoding/decode-response.js";
import { isEncoded } from "./decoding/decoding.js";
import {
  closedFailure,
  decodeFailure,
  type Failure,
  httpFailure,
  networkFailure,
  timeoutFailure,
  totalTimeoutError,
} from "./failures/failure.js";
import type { Secrets } from "./failures/redact.js";
import type { CallObserver } from "./observers/call-observer.js";
import { checkUploadProgress } from "./observers/upload-progress.js";
import { sendable } from "./sendable.js";
import type { StreamingResponse } from "./streaming-response.js";

/** One call under way. Its members are not `#private`: it is made for each call, and those cost more to set up. */
export class Call implements Abortable, Running {
  attempts = 0;
  lastError: EasError | undefined = undefined;
  /** The token that the attempt under way is sent with, as a service sees it: errors are cleaned of it. */
  token: Secrets = "";
  plan: CallPlan;
  before: Running | undefined = undefined;
  after: Running | undefined = undefined;
  protected readonly pool: ConnectionPool;
  /** The answer, where its body is still to come. */
  opened: StreamingResponse | undefined = undefined;
  protected readonly observer: CallObserver | undefined;
  private readonly startedAt = clockNow();
  private body: Bytes | readonly Bytes[] | null = null;
  private signer: Signer | undefined = undefined;
  private retriedOnce = false;
  private waited = false;
  /** Instances that it went to. */
  private tried: string[] | undefined;
  /** Set when it was aborted. */
  private ended: { readonly reason: unknown } | undefined = undefined;
  /** What an abort has to end: the attempt or the wait under way. */
  private current: { cancel(reason: unknown): void } | undefined = undefined;

  constructor(pool: ConnectionPool, plan: CallPlan, tried?: string[], observer?: CallObserver) {
    this.pool = pool;
    this.plan = plan;
    this.tried = tried;
    this.observer = observer;
  }

  abort(reason: unknown): void {
    this.ended = { reason };
    this.current?.cancel(reason);
  }

  endNow(): void {
    const { current } = this;
    this.abort(closedFailure(this, current instanceof Attempt && current.phase !== "connect"));
  }

  async run<R>(body: CallBody, read: (result: CallResult) => R): Promise<R> {
    const { pool } = this;
    const { signal } = this.plan;
    if (signal?.aborted) throw signal.reason;
    if (this.plan.onUploadProgress !== undefined) checkUploadProgress(this.plan, pool.transport);
    linkSignal(signal, this);
    pool.enter(this);
    try {
      const made = typeof body === "function" ? await this.race(body(this)) : body;
      this.body = made && sendable(made);
      return await this.loop(read);
    } catch (error) {
      this.observer?.failed(error);
      throw error;
    } finally {
      pool.leave(this);
      unlinkSignal(signal, this);
    }
  }

  private async loop<R>(read: (result: CallResult) => R): Promise<R> {
    const { pool } = this;
    for (;;) {
      const lease = this.plan.route === undefined ? undefined : await this.toInstance();
      const { plan } = this;
      const limiter = pool.limiter(plan.target.origin);
      let failure: Failure | undefined;
      let response: TransportResponse | undefined;
      let body: Bytes | undefined;
      try {
        if (!limiter.tryAcquire(plan.isLongLived)) await this.wait(limiter.acquire(plan.isLongLived));
        try {
          // With the slot in hand, so that a token is as fresh and a date as true as can be when they are sent.
          let headers = this.headers();
          if (headers instanceof Promise) headers = await this.race(headers);
          if (this.observer && !this.ended) headers = this.observer.sending(this, headers, this.requestBytes);
          // It may have come in the turn in which a wait ended, when there was nothing left to cancel.
          if (this.ended) throw this.ended.reason;
          const remaining = this.attempts === 0 && !this.waited ? plan.totalTimeout : this.remaining();
          const attempt = new Attempt(plan, headers, this.body, pool.timeouts, Math.min(plan.timeout, remaining));
          this.attempts++;
          this.current = attempt;
          this.observer?.watch(attempt);
          try {
            attempt.start();
            response = await attempt.until(this.send(attempt));
            body = isEncoded(response, plan.decoding)
              ? await decodeResponse(pool, plan, response, attempt)
              : response.body;
          } catch (error) {
            if (this.observer) this.observer.status = response?.status;
            // The status of a response that is not a success says more than the failure of its body.
            const answer = this.ended ? undefined : (response ?? attempt.partial?.());
            if (answer !== undefined && !this.isAccepted(answer.status)) {
              response = answer;
              body = answer.body;
            } else {
              failure = this.failureOf(error, attempt, remaining);
            }
          } finally {
            attempt.settle();
          }
        } finally {
          this.current = undefined;
          if (this.opened) this.opened.atEnd(() => limiter.release(plan.isLongLived));
          else limiter.release(plan.isLongLived);
        }
        if (response !== undefined && body !== undefined && !this.isAccepted(response.status)) {
          failure = await httpFailure(this, response, body);
        }
      } finally {
        // It had answered, and may have broken off for many reasons.
        const { opened } = this;
        if (opened) opened.atEnd((error) => lease?.end(isInstanceFault(error) ?? isFailureStatus(opened.status), true));
        else lease?.end(failure === undefined ? response && false : isInstanceFault(failure.error));
      }
      // Outside, since what these throw is no failure of the attempt.
      if (failure === undefined) return this.succeed(response as TransportResponse, body as Bytes, read);
      const delay = this.delayAfter(failure);
      this.lastError = failure.error;
      if (delay > 0) await this.backOff(delay, failure.error);
    }
  }

  /** Bytes of the body that is sent; undefined when they are not known. */
  protected get requestBytes(): number | undefined {
    return totalLength(this.pieces);
  }

  private get pieces(): readonly Bytes[] {
    const { body } = this;
    if (body === null) return [];
    return isChunkList(body) ? body : [body];
  }

  protected send(attempt: Attempt): Promise<TransportResponse> {
    return this.pool.transport.send(attempt);
  }

  /** Whether a status ends the call as an answer and not as a failure. */
  protected isAccepted(status: number): boolean {
    return isSuccess(status);
  }

  /** Chooses the instance of the next attempt. */
  private async toInstance(): Promise<Lease | undefined> {
    this.tried ??= [];
    const { plan, lease } = await leaseInstance(this.pool, this.plan, this.tried, (work) => this.raceClose(work));
    this.plan = plan;
    return lease;
  }

  private succeed<R>(response: TransportResponse, body: Bytes, read: (result: CallResult) => R): R {
    const { attempts, startedAt, token } = this;
    const { origin } = this.plan.target;
    this.pool.budget.refill();
    this.pool.respondedOrigins.add(origin);
    try {
      const result = read({ response, body, endpoint: origin, attempts, startedAt, token });
      if (this.opened === undefined) this.observer?.answered(response, response.body.length);
      return result;
    } catch (error) {
      if (this.observer) this.observer.status = response.status;
      // Nobody is there to read it.
      this.opened?.cancel(error);
      throw error instanceof EasDecodeError ? decodeFailure(this, error) : error;
    }
  }

  /** Headers of the next attempt; a promise only when the token or the hash takes time. */
  private headers(): readonly HeaderPair[] | Promise<readonly HeaderPair[]> {
    const { fixedHeaders, token: given } = this.plan;
    if (fixedHeaders !== undefined) {
      this.token = secretsOf(given, "");
      if (given) warnIfPlain(this.plan);
      return fixedHeaders;
    }
    const token = currentToken(given);
    return typeof token === "string" ? this.authorized(token) : token.then((token) => this.authorized(token));
  }

  private authorized(token: string): readonly HeaderPair[] | Promise<readonly HeaderPair[]> {
    const { plan } = this;
    this.token = secretsOf(plan.token, token);
    if (token === "") return plan.headers;
    const { platform } = this.pool;
    if (plan.auth === "signature") this.signer ??= platform.signer?.(this.pieces);
    const added = authorize(plan, token, this.signer);
    return added instanceof Promise ? added.then((added) => [...plan.headers, ...added]) : [...plan.headers, ...added];
  }

  private remaining(): number {
    return this.plan.totalTimeout - (clockNow() - this.startedAt);
  }

  /** Waits, unless the caller aborts or the whole call's time runs out before. */
  private async wait(wait: Wait): Promise<void> {
    this.current = wait;
    this.waited = true;
    // An abort may have come between two waits, when there was nothing to cancel.
    if (this.ended) wait.cancel(this.ended.reason);
    const remaining = this.remaining();
    const timer =
      remaining === Number.POSITIVE_INFINITY
        ? undefined
        : setTimeout(() => wait.cancel(totalTimeoutError(this)), Math.max(1, Math.ceil(remaining)));
    try {
      await wait.done;
    } finally {
      clearTimeout(timer);
      this.current = undefined;
    }
  }

  /** Waits before a retry, unless the client is closed before or meanwhile. */
  private async backOff(delay: number, error: EasError): Promise<void> {
    const wait = sleep(delay);
    const { maybeAccepted, maybeTaken } = error;
    const closable = { cancel: () => wait.cancel(closedFailure(this, maybeAccepted || maybeTaken, error)) };
    this.pool.hold(closable);
    await this.wait(wait).finally(() => this.pool.streams.delete(closable));
  }

  /** Waits for a promise that cannot be cancelled itself. */
  private async race<T>(promise: Promise<T>): Promise<T> {
    let cancel!: (reason: unknown) => void;
    let result!: T;
    const done = new Promise<void>((resolve, reject) => {
      cancel = reject;
      promise.then((value) => {
        result = value;
        resolve();
      }, reject);
    });
    await this.wait({ done, cancel });
    return result;
  }

  /** Waits for the instances of a service, unless the client is closed before or meanwhile. */
  private raceClose<T>(promise: Promise<T>): Promise<T> {
    const raced = this.race(promise);
    const { current } = this;
    const why = "the client was closed before an instance was found";
    const closable = { cancel: () => current?.cancel(closedFailure(this, false, this.lastError, why)) };
    this.pool.hold(closable);
    return raced.finally(() => this.pool.streams.delete(closable));
  }

  /** Makes of what was thrown the failure that is judged, or throws what no retry can help. */
  protected failureOf(error: unknown, attempt: Attempt, remaining: number): Failure {
    const { plan } = this;
    // Our own signals are asked first: runtimes have many words for an abort.
    if (attempt.expired) {
      if (remaining < plan.timeout) throw totalTimeoutError(this);
      return timeoutFailure(this, attempt.phase);
    }
    if (this.ended) throw this.ended.reason;
    if (error instanceof EasDecodeError) throw decodeFailure(this, error);
    if (error instanceof EasUnsupportedError) throw error;
    return networkFailure(this, error, attempt.phase, this.pool.respondedOrigins.has(plan.target.origin));
  }

  /** Milliseconds until the next attempt; throws the failure's error when there is to be none. */
  private delayAfter({ outcome, error, retryAfter, beforeResponse }: Failure): number {
    const { kind, runsOnce, retryCount, retryOn } = this.plan;
    const retries = this.attempts - 1;
    const decision = retryDecisionOn(runsOnce ? "stream" : kind, outcome);
    const wanted =
      retryOn?.(error, this.attempts) ?? (decision === "retry" || (decision === "once" && !this.retriedOnce));
    if (!wanted || retries >= retryCount) throw error;
    if (retryAfter !== undefined && retryAfter > MAX_RETRY_AFTER_MS) throw error;
    const immediate = beforeResponse && retries === 0;
    const least = immediate ? 0 : backoff(retries);
    const remaining = this.remaining();
    const delay = retryAfter === undefined ? least : requestedWait(retryAfter, least, remaining);
    // Waiting for an attempt that could not be made any more would only hide the error for a while.
    if (delay >= remaining) throw error;
    if (!this.pool.budget.spend(outcome === "not sent" && retries === 0)) throw error;
    if (decision === "once") this.retriedOnce = true;
    this.observer?.retrying(error, delay);
    return delay;
  }
}
