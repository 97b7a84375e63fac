import { backoff, MAX_RETRY_AFTER_MS, requestedWait, retryDecisionOn } from "../config/retry.js";
import type { Lease } from "../endpoint/router.js";
import { EasDecodeError, type EasError, EasUnsupportedError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { isChunkList, totalLength } from "../platform/chunks.js";
import {
  type HeaderPair,
  isSuccess,
  type Signer,
  type StreamRequest,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from "../platform/contract.js";
import { type Abortable, linkSignal, sleep, unlinkSignal, type Wait } from "../util/timing/abort.js";
import { clockNow } from "../util/timing/clock.js";
import { Attempt } from "./attempt.js";
import { authorize, currentToken, secretsOf, warnIfPlain } from "./auth.js";
import { withHeaders } from "./build-plan.js";
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
import { sendable } from "./sendable.js";
import type { StreamingResponse } from "./streaming-response.js";

/**
 * One call in flight. The members are not `#private`, because an instance is created for each call and private members
 * are slower to initialize.
 */
export class Call implements Abortable, Running {
  /** Number of attempts so far. */
  attempts = 0;
  lastError: EasError | undefined = undefined;
  /** Tokens to redact in errors: the current attempt's token, and recent tokens from the same token function. */
  token: Secrets = "";
  plan: CallPlan;
  before: Running | undefined = undefined;
  after: Running | undefined = undefined;
  protected readonly pool: ConnectionPool;
  /** The response of a streamed call, available once the headers have arrived. */
  opened: StreamingResponse | undefined = undefined;
  protected readonly observer: CallObserver | undefined;
  private readonly startedAt = clockNow();
  private body: Bytes | readonly Bytes[] | null = null;
  private signer: Signer | undefined = undefined;
  private retriedOnce = false;
  private waited = false;
  /** Origins of the instances used by earlier attempts. */
  private tried: string[] | undefined;
  /** The abort reason. Undefined unless the call was aborted. */
  private ended: { readonly reason: unknown } | undefined = undefined;
  /** The current attempt or wait. Aborting the call cancels it. */
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
      let bytes = body;
      if (typeof bytes === "function") {
        const late = await this.race(bytes(this.plan));
        if (late.headers) this.plan = withHeaders(this.plan, late.headers);
        bytes = late.body;
      }
      this.body = bytes && sendable(bytes);
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
          // Create the headers only after a slot is free, so that the token and the date are fresh.
          let headers = this.headers();
          if (headers instanceof Promise) headers = await this.race(headers);
          if (this.observer && !this.ended) headers = this.observer.sending(this, headers, this.requestBytes);
          // If the caller aborted in the same event-loop turn in which a wait ended, `current` was undefined and
          // nothing was canceled.
          if (this.ended) throw this.ended.reason;
          const remaining = this.attempts === 0 && !this.waited ? plan.totalTimeout : this.remaining();
          const attempt = new Attempt(
            plan,
            headers,
            this.attemptBody,
            pool.timeouts,
            Math.min(plan.timeout, remaining),
          );
          this.attempts++;
          this.current = attempt;
          if (this.observer) attempt.onHead = this.observer.onHead;
          try {
            attempt.start();
            response = await attempt.until(this.send(attempt));
            body = isEncoded(response, plan.decoding)
              ? await decodeResponse(pool, plan, response, attempt)
              : response.body;
          } catch (error) {
            if (this.observer) this.observer.status = response?.status;
            // The status of an unsuccessful response is more informative than the failure to read its body.
            const received = this.ended ? undefined : (response ?? attempt.partial?.());
            if (received !== undefined && !this.isAccepted(received.status)) {
              response = received;
              body = received.body;
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
        const { opened } = this;
        // If the instance has responded, only some errors and statuses indicate that it is faulty.
        if (opened) opened.atEnd((error) => lease?.end(isInstanceFault(error) ?? isFailureStatus(opened.status), true));
        else if (failure) lease?.end(isInstanceFault(failure.error));
        // Without a response, the call ended before the attempt. This says nothing about the instance.
        else lease?.end(response ? false : undefined);
      }
      // This code is outside the try block because errors thrown here do not mean that the attempt failed.
      if (failure === undefined) return this.succeed(response as TransportResponse, body as Bytes, read);
      const delay = this.delayAfter(failure);
      this.lastError = failure.error;
      if (delay > 0) await this.backOff(delay, failure.error);
    }
  }

  /** Body size in bytes; undefined if unknown. */
  protected get requestBytes(): number | undefined {
    return totalLength(this.pieces);
  }

  private get pieces(): readonly Bytes[] {
    const { body } = this;
    if (body === null) return [];
    return isChunkList(body) ? body : [body];
  }

  /** The body for the next attempt. */
  protected get attemptBody(): StreamRequest["body"] | readonly Bytes[] {
    return this.body;
  }

  /** Sends one attempt. */
  protected send(attempt: Attempt): Promise<TransportResponse> {
    // Only streamed calls use a stream as the body, and their class overrides this method.
    return this.pool.transport.send(attempt as Attempt & TransportRequest);
  }

  /** Whether a response with this status is the result of the call. */
  protected isAccepted(status: number): boolean {
    return isSuccess(status);
  }

  /** Selects the instance for the next attempt. */
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
      // The caller never receives the stream, so cancel it. An open stream would occupy a connection.
      this.opened?.cancel(error);
      throw error instanceof EasDecodeError ? decodeFailure(this, error) : error;
    }
  }

  /**
   * Returns the headers for the next attempt. Returns a promise only if computing the token or the signature is
   * asynchronous.
   */
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

  /** Resolves when `wait` is over. Rejects when the caller aborts, or when the whole call times out. */
  private async wait(wait: Wait): Promise<void> {
    this.current = wait;
    this.waited = true;
    // If the caller aborted between two waits, `current` was undefined, so the abort did not cancel anything.
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

  /** Waits before a retry. Rejects when the client is closed. */
  private async backOff(delay: number, error: EasError): Promise<void> {
    const wait = sleep(delay);
    const { maybeAccepted, maybeTaken } = error;
    const closable = { cancel: () => wait.cancel(closedFailure(this, maybeAccepted || maybeTaken, error)) };
    this.pool.hold(closable);
    await this.wait(wait).finally(() => this.pool.streams.delete(closable));
  }

  /**
   * Settles as `promise` does, but rejects as soon as the call is aborted. Used for promises that cannot be canceled.
   */
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

  /** Waits for the list of instances. Rejects when the client is closed. */
  private raceClose<T>(promise: Promise<T>): Promise<T> {
    const raced = this.race(promise);
    const { current } = this;
    const why = "the client was closed before an instance was found";
    const closable = { cancel: () => current?.cancel(closedFailure(this, false, this.lastError, why)) };
    this.pool.hold(closable);
    return raced.finally(() => this.pool.streams.delete(closable));
  }

  /** Converts an error from an attempt to a failure. Throws the errors that must not be retried. */
  protected failureOf(error: unknown, attempt: Attempt, remaining: number): Failure {
    const { plan } = this;
    // Check this call's own state first, because runtimes report aborts with different errors.
    if (attempt.expired) {
      if (remaining < plan.timeout) throw totalTimeoutError(this);
      return timeoutFailure(this, attempt.phase);
    }
    if (this.ended) throw this.ended.reason;
    if (error instanceof EasDecodeError) throw decodeFailure(this, error);
    if (error instanceof EasUnsupportedError) throw error;
    return networkFailure(this, error, attempt.phase, this.pool.respondedOrigins.has(plan.target.origin));
  }

  /**
   * Returns the delay before the next attempt, in milliseconds. Throws the failure's error if the call must not be
   * retried.
   */
  private delayAfter({ outcome, error, retryAfter, beforeResponse }: Failure): number {
    const { kind, runsOnce, retryCount, retryOn } = this.plan;
    const retries = this.attempts - 1;
    const decision = retryDecisionOn(runsOnce ? "stream" : kind, outcome);
    const wanted =
      retryOn?.(error, this.attempts) ?? (decision === "retry" || (decision === "once" && !this.retriedOnce));
    if (!wanted || retries >= retryCount) throw error;
    if (retryAfter !== undefined && retryAfter > MAX_RETRY_AFTER_MS) throw error;
    const immediate = beforeResponse && retries === 0;
    const minDelay = immediate ? 0 : backoff(retries);
    const remaining = this.remaining();
    const delay = retryAfter === undefined ? minDelay : requestedWait(retryAfter, minDelay, remaining);
    // There is no time left for another attempt, so waiting would only delay the error.
    if (delay >= remaining) throw error;
    if (!this.pool.budget.spend(outcome === "not sent" && retries === 0)) throw error;
    if (decision === "once") this.retriedOnce = true;
    this.observer?.retrying(error, delay);
    return delay;
  }
}

/**
 * Throws `EasUnsupportedError` if the call asks for upload progress and the transport cannot report it. Called before
 * anything is sent.
 */
function checkUploadProgress({ kind }: CallPlan, { reportsUploads }: Transport): void {
  if (reportsUploads && kind !== "stream") return;
  throw new EasUnsupportedError(
    "onUploadProgress works only in web pages and workers, with predict() and without a custom transport or fetch",
  );
}
