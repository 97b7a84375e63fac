import type { Target } from "../endpoint/gateway.js";
import { EasDecodeError, type EasError, EasHttpError, EasNetworkError, EasTimeoutError } from "../errors.js";
import { type HeaderPair, systemCodeOf, TransportError, type TransportResponse } from "../platform/platform.js";
import type { Bytes } from "../request.js";
import { Attempt } from "./attempt.js";
import { authorize, currentToken } from "./auth.js";
import type { Channel } from "./channel.js";
import type { Auth, RetryOn, Token } from "./options.js";
import { redactBytes, redactHeaders } from "./redact.js";
import {
  backoff,
  type CallKind,
  MAX_RETRY_AFTER_MS,
  type Outcome,
  outcomeOfStatus,
  parseRetryAfter,
  verdictOn,
} from "./retry.js";
import { NO_HEALTHY_UPSTREAM, statusHint } from "./status-hint.js";
import { sleep, type Wait } from "./timeouts.js";
import type { Suffix } from "./url.js";

/** Everything that one call needs to know; nothing in it changes while the call is under way. */
export interface CallPlan {
  readonly kind: CallKind;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly target: Target;
  readonly suffix: Suffix;
  /** All headers but those of the authorization. */
  readonly headers: readonly HeaderPair[];
  readonly contentType: string;
  readonly body: Bytes | null;
  readonly auth: Exclude<Auth, "auto">;
  readonly token: Token | undefined;
  readonly timeout: number;
  readonly totalTimeout: number;
  readonly retryCount: number;
  readonly retryOn: RetryOn | undefined;
  readonly signal: AbortSignal | undefined;
  readonly maxResponseBytes: number;
}

/** A successful answer and what it took. */
export interface CallResult {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Bytes;
  /** Scheme, host and port that answered. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Milliseconds from the call to the last byte. */
  readonly elapsed: number;
}

/** Bytes of an error's body that are kept. */
const ERROR_BODY_BYTES = 65_536;
/** Characters of it that stand in the message. */
const ERROR_EXCERPT = 200;

/** Makes one logical call: attempts, waits between them, and the verdict when they have failed. */
export function makeCall(channel: Channel, plan: CallPlan): Promise<CallResult> {
  return new Call(channel, plan).run();
}

class Call {
  readonly #channel: Channel;
  readonly #plan: CallPlan;
  readonly #startedAt = performance.now();
  #attempts = 0;
  #retriedOnce = false;
  #bodyMd5: string | undefined;
  /** What an abort has to end: the attempt or the wait under way. */
  #current: { cancel(reason: unknown): void } | undefined;
  /** The token that the attempt under way was sent with: errors are cleaned of it. */
  #token = "";

  constructor(channel: Channel, plan: CallPlan) {
    this.#channel = channel;
    this.#plan = plan;
  }

  async run(): Promise<CallResult> {
    const { signal } = this.#plan;
    if (signal === undefined) return this.#loop();
    if (signal.aborted) throw signal.reason;
    const onAbort = () => this.#current?.cancel(signal.reason);
    signal.addEventListener("abort", onAbort);
    try {
      return await this.#loop();
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #loop(): Promise<CallResult> {
    const plan = this.#plan;
    const channel = this.#channel;
    const limiter = channel.limiter(plan.target.origin);
    for (;;) {
      let headers = this.#headers();
      if (!Array.isArray(headers)) headers = await this.#race(headers as Promise<HeaderPair[]>);
      if (!limiter.tryAcquire()) await this.#wait(limiter.acquire());
      if (plan.signal?.aborted) {
        // It came in the turn in which the wait ended, when there was nothing left to cancel.
        limiter.release();
        throw plan.signal.reason;
      }
      let failure: Failure;
      const remaining = this.#remaining();
      const attempt = new Attempt(
        {
          method: plan.method,
          origin: plan.target.origin,
          path: pathOf(plan),
          headers: headers as readonly HeaderPair[],
          body: plan.body,
          maxResponseBytes: plan.maxResponseBytes,
        },
        channel.timeouts,
        Math.max(1, Math.min(plan.timeout, remaining)),
      );
      this.#attempts++;
      this.#current = attempt;
      try {
        const response = await attempt.send(channel.transport);
        if (response.status >= 200 && response.status < 300) {
          const body = response.contentEncoding === undefined ? response.body : await this.#inflate(response, attempt);
          channel.budget.refill();
          if (!channel.reached.has(plan.target.origin)) channel.reached.add(plan.target.origin);
          return {
            status: response.status,
            get headers() {
              return response.headers;
            },
            body,
            endpoint: plan.target.origin,
            attempts: this.#attempts,
            elapsed: performance.now() - this.#startedAt,
          };
        }
        failure = await this.#httpFailure(response, attempt);
      } catch (error) {
        failure = this.#failure(error, attempt, remaining);
      } finally {
        attempt.settle();
        this.#current = undefined;
        limiter.release();
      }
      await this.#wait(sleep(this.#delayAfter(failure)));
    }
  }

  /** Headers of the next attempt; a promise only when the token or the hash takes time. */
  #headers(): readonly HeaderPair[] | Promise<readonly HeaderPair[]> {
    const token = currentToken(this.#plan.token);
    return typeof token === "string" ? this.#signedHeaders(token) : token.then((token) => this.#signedHeaders(token));
  }

  #signedHeaders(token: string): readonly HeaderPair[] | Promise<readonly HeaderPair[]> {
    const { auth, body, headers } = this.#plan;
    this.#token = token;
    if (token === "") return headers;
    if (auth === "signature" && this.#bodyMd5 === undefined) {
      // Once for the call: the body is the same in all attempts, and hashing is what a large one costs most.
      const md5 = this.#channel.platform.md5(body ?? new Uint8Array(0));
      if (typeof md5 !== "string") {
        return md5.then((md5) => {
          this.#bodyMd5 = md5;
          return this.#signedHeaders(token);
        });
      }
      this.#bodyMd5 = md5;
    }
    const plan = this.#plan;
    const added = authorize(
      auth,
      token,
      this.#channel.platform,
      {
        method: plan.method,
        contentType: plan.contentType,
        resource: plan.target.resource + plan.target.query + plan.suffix.signed,
      },
      this.#bodyMd5,
    );
    return added instanceof Promise ? added.then((added) => [...headers, ...added]) : [...headers, ...added];
  }

  #remaining(): number {
    return this.#plan.totalTimeout - (performance.now() - this.#startedAt);
  }

  /** Waits, unless the caller aborts or the whole call's time runs out before. */
  async #wait(wait: Wait): Promise<void> {
    this.#current = wait;
    const timer = setTimeout(() => wait.cancel(this.#totalTimeout()), Math.max(1, Math.ceil(this.#remaining())));
    try {
      await wait.done;
    } finally {
      clearTimeout(timer);
      this.#current = undefined;
    }
  }

  /** Waits for a promise that cannot be cancelled itself. */
  async #race<T>(promise: Promise<T>): Promise<T> {
    let cancel!: (reason: unknown) => void;
    const result = new Promise<T>((resolve, reject) => {
      cancel = reject;
      promise.then(resolve, reject);
    });
    await this.#wait({ done: result.then(() => {}), cancel });
    return result;
  }

  async #inflate(response: TransportResponse, attempt: Attempt): Promise<Bytes> {
    const coding = response.contentEncoding as string;
    const format = CODINGS[coding];
    if (format === undefined) {
      throw new EasDecodeError(
        `${this.#name()}: the response has Content-Encoding "${coding}", which this SDK does not undo; it undoes gzip and deflate`,
        { format: "content-encoding", attempts: this.#attempts },
      );
    }
    try {
      const inflated = this.#channel.platform.inflate(format, response.body, this.#plan.maxResponseBytes);
      return await attempt.outlive(inflated);
    } catch (error) {
      if (attempt.expired || this.#plan.signal?.aborted) throw error;
      throw new EasDecodeError(
        `${this.#name()}: the response says Content-Encoding "${coding}" but cannot be decoded: ${messageOf(error)}`,
        { format: "content-encoding", cause: error, attempts: this.#attempts },
      );
    }
  }

  async #httpFailure(response: TransportResponse, attempt: Attempt): Promise<Failure> {
    const plan = this.#plan;
    const { status } = response;
    let whole = response.body;
    if (response.contentEncoding !== undefined) {
      // An error must surface as the error it is, even when its body cannot be read.
      whole = await this.#inflate(response, attempt).catch(() => response.body);
    }
    const body = redactBytes(whole.slice(0, ERROR_BODY_BYTES), this.#token);
    const headers = redactHeaders(response.headers, this.#token);
    const text = new TextDecoder().decode(body).trim();
    const hint = statusHint(status, text, plan.auth);
    const outcome = outcomeOfStatus(status, text.includes(NO_HEALTHY_UPSTREAM));
    const excerpt =
      text === "" ? "" : ` It said: ${text.length > ERROR_EXCERPT ? `${text.slice(0, ERROR_EXCERPT)}…` : text}`;
    const retryAfter = parseRetryAfter(headers.get("retry-after"));
    return {
      outcome,
      retryAfter,
      beforeResponse: false,
      error: new EasHttpError(`${this.#name()} was answered with ${status}: ${hint}.${excerpt}`, {
        ...this.#facts(outcome),
        requestId: headers.get("x-request-id") ?? undefined,
        status,
        headers,
        body,
        retryAfter,
        hint,
      }),
    };
  }

  /** Makes of what was thrown the error that the caller sees, or throws what no retry can help. */
  #failure(error: unknown, attempt: Attempt, remaining: number): Failure {
    const plan = this.#plan;
    // Our own signals are asked first: runtimes have many words for an abort.
    if (attempt.expired) return this.#timeoutFailure(attempt, remaining);
    if (plan.signal?.aborted) throw plan.signal.reason;
    if (error instanceof EasDecodeError) throw error;
    const transport =
      error instanceof TransportError ? error : new TransportError(messageOf(error), { sent: "maybe", cause: error });
    if (transport.final && transport.systemCode === "ERR_RESPONSE_TOO_LARGE") {
      throw new EasDecodeError(`${this.#name()}: ${transport.message}`, {
        format: "body",
        offset: plan.maxResponseBytes,
        attempts: this.#attempts,
      });
    }
    const hidden = transport.opaque && !this.#channel.reached.has(plan.target.origin);
    const outcome: Outcome =
      transport.final || hidden ? "final" : transport.sent === "no" ? "not sent" : "broken after sending";
    const systemCode = transport.systemCode ?? systemCodeOf(transport.cause);
    const what = hidden ? hiddenReason(plan.target.origin) : reasonOf(transport, systemCode, attempt.phase);
    return {
      outcome,
      retryAfter: undefined,
      beforeResponse: transport.sent === "maybe" && attempt.phase !== "body",
      error: new EasNetworkError(`${this.#name()} failed: ${what}`, {
        ...this.#facts(outcome),
        cause: transport.cause ?? transport,
        systemCode,
      }),
    };
  }

  #timeoutFailure(attempt: Attempt, remaining: number): Failure {
    const { timeout } = this.#plan;
    if (remaining < timeout) throw this.#totalTimeout();
    const outcome: Outcome = attempt.phase === "connect" ? "not sent" : "timeout or 504";
    const awaited = { connect: "connection", headers: "response", body: "complete response body" }[attempt.phase];
    return {
      outcome,
      retryAfter: undefined,
      beforeResponse: false,
      error: new EasTimeoutError(`${this.#name()} had no ${awaited} within ${timeout} ms (timeout)`, {
        ...this.#facts(outcome),
        phase: attempt.phase,
        timeout,
      }),
    };
  }

  #totalTimeout(): EasTimeoutError {
    const { totalTimeout, kind } = this.#plan;
    const waited = this.#attempts === 0 ? ", all of it waiting for a free connection or a token" : "";
    return new EasTimeoutError(`${this.#name()} did not end within ${totalTimeout} ms (totalTimeout)${waited}`, {
      attempts: this.#attempts,
      retryable: verdictOn(kind, "timeout or 504") !== "unsure",
      maybeAccepted: this.#attempts > 0 && kind === "put",
      maybeTaken: this.#attempts > 0 && kind === "take",
      phase: "total",
      timeout: totalTimeout,
    });
  }

  /** What all errors after an attempt say of it. */
  #facts(outcome: Outcome) {
    const { kind } = this.#plan;
    const verdict = verdictOn(kind, outcome);
    return {
      attempts: this.#attempts,
      retryable: verdict === "retry" || verdict === "once",
      maybeAccepted: verdict === "unsure" && kind === "put",
      maybeTaken: verdict === "unsure" && kind === "take",
    };
  }

  /** Milliseconds until the next attempt; throws the failure's error when there is to be none. */
  #delayAfter({ outcome, error, retryAfter, beforeResponse }: Failure): number {
    const { kind, retryCount, retryOn } = this.#plan;
    const retries = this.#attempts - 1;
    const verdict = verdictOn(kind, outcome);
    const wanted =
      retryOn?.(error, this.#attempts) ?? (verdict === "retry" || (verdict === "once" && !this.#retriedOnce));
    if (!wanted || retries >= retryCount) throw error;
    if (retryAfter !== undefined && retryAfter > MAX_RETRY_AFTER_MS) throw error;
    const immediate = beforeResponse && retries === 0;
    const delay = retryAfter ?? (immediate ? 0 : backoff(retries));
    // Waiting for an attempt that could not be made any more would only hide the error for a while.
    if (delay >= this.#remaining()) throw error;
    if (outcome !== "not sent" && !this.#channel.budget.spend()) throw error;
    if (verdict === "once") this.#retriedOnce = true;
    return delay;
  }

  /** The call as errors name it: without its query, which may hold what belongs in no log. */
  #name(): string {
    const { method, target, suffix } = this.#plan;
    return `${method} ${target.origin}${target.path}${suffix.wire.split("?", 1)[0]}`;
  }
}

interface Failure {
  readonly outcome: Outcome;
  readonly error: EasError;
  /** Milliseconds that the service asked to wait. */
  readonly retryAfter: number | undefined;
  /** Whether a connection died with the request on it, before a byte of the response came. */
  readonly beforeResponse: boolean;
}

/** Content codings that are undone here, where the transport has not done so. */
const CODINGS: Readonly<Record<string, "gzip" | "zlib" | undefined>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "zlib",
};

function pathOf({ target, suffix }: CallPlan): string {
  if (suffix.wire === "") return target.path + target.query;
  if (target.query === "") return target.path + suffix.wire;
  const cut = suffix.wire.indexOf("?");
  return cut === -1
    ? target.path + suffix.wire + target.query
    : `${target.path}${suffix.wire.slice(0, cut)}${target.query}&${suffix.wire.slice(cut + 1)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function reasonOf(error: TransportError, systemCode: string | undefined, phase: Attempt["phase"]): string {
  const where =
    error.sent === "no"
      ? "no connection, nothing was sent"
      : phase === "body"
        ? "the connection broke in the response body"
        : "the connection broke before the response";
  return `${where} (${systemCode ? `${systemCode}: ` : ""}${error.message})`;
}

/** A browser says only "failed to fetch", so the likely reasons are named. */
function hiddenReason(origin: string): string {
  const { location } = globalThis as { location?: { protocol?: string } };
  if (location?.protocol === "https:" && origin.startsWith("http:")) {
    return "this page came over https, so the browser blocks calls over http (mixed content): use an https endpoint";
  }
  return "the browser gives no reason. Likely it is CORS: the service does not allow this page's origin or the Authorization header (curl and servers are not affected); or the host cannot be reached. A relay on your own server avoids CORS and keeps the token off the page";
}
