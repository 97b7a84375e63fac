import { EasUnsupportedError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { joinChunks, totalLength } from "../platform/chunks.js";
import {
  type ByteStream,
  isSuccess,
  MAX_ERROR_BYTES,
  type Platform,
  type StreamedResponse,
  type StreamRequest,
  TransportError,
  type TransportResponse,
} from "../platform/contract.js";
import { linkSignal, unlinkSignal } from "../util/timing/abort.js";
import { clockNow } from "../util/timing/clock.js";
import type { Attempt } from "./attempt.js";
import { Call } from "./call.js";
import type { CallBody, CallPlan, CallResult } from "./call-plan.js";
import type { ConnectionPool } from "./connections/connection-pool.js";
import {
  type FailedCall,
  type Failure,
  isTransportError,
  networkFailure,
  totalTimeoutError,
} from "./failures/failure.js";
import type { Secrets } from "./failures/redact.js";
import type { CallObserver } from "./observers/call-observer.js";
import { withHooks } from "./observers/with-hooks.js";
import { StreamingResponse } from "./streaming-response.js";

/** Timeout for an error response's body, in milliseconds. Without it, the call would hang if the body never ended. */
const ERROR_BODY_TIMEOUT_MS = 10_000;
const EMPTY = new Uint8Array(0);

/** Options for a streamed call. */
export interface StreamSettings {
  /** Stream to send instead of the call's body. A stream can be sent only once. */
  readonly source?: ByteStream | undefined;
  /**
   * Whether the call resolves with a response even if its status is an error. If false, the call rejects. Default
   * `false`.
   */
  readonly anyStatus?: boolean | undefined;
}

/** A streamed response and details about its call. */
export interface StreamResult {
  /** The response. Its errors are reported as the call's errors. */
  readonly response: StreamingResponse;
  /** Scheme, host and port of the server that responded. */
  readonly endpoint: string;
  /** Number of attempts, including the successful one. */
  readonly attempts: number;
  readonly platform: Platform;
  /** Tokens to redact in errors. */
  readonly token: Secrets;
  /** Start time of the call, from `clockNow()`. */
  readonly startedAt: number;
}

/**
 * Makes a call and calls `read` when the response headers arrive. Until then, `plan.timeout` and `plan.signal` apply.
 * To apply the signal and the total timeout to the body as well, `read` must call `limitStreamLifetime` synchronously.
 * The call occupies a slot for a long-lived request until the body ends or is canceled.
 */
export function openStream<R>(
  pool: ConnectionPool,
  plan: CallPlan,
  body: CallBody,
  settings: StreamSettings,
  read: (answer: StreamResult) => R,
): Promise<R> {
  const make = (observer?: CallObserver) => {
    const call = new StreamCall(pool, plan.isLongLived ? plan : { ...plan, isLongLived: true }, settings, observer);
    return call.run(body, ({ endpoint, attempts, startedAt }) =>
      read({
        response: call.opened as StreamingResponse,
        endpoint,
        attempts,
        platform: pool.platform,
        token: call.token,
        startedAt,
      }),
    );
  };
  return plan.hooks === undefined ? make() : withHooks(pool, plan, make);
}

class StreamCall extends Call {
  readonly #settings: StreamSettings;
  /** Reader for the stream to send. Undefined if the call does not send a stream. */
  readonly #reader: ReturnType<ByteStream["getReader"]> | undefined;

  constructor(pool: ConnectionPool, plan: CallPlan, settings: StreamSettings, observer: CallObserver | undefined) {
    super(pool, plan, undefined, observer);
    this.#settings = settings;
    this.#reader = settings.source?.getReader();
  }

  override async run<R>(body: CallBody, read: (result: CallResult) => R): Promise<R> {
    try {
      return await super.run(body, read);
    } catch (error) {
      this.endSource();
      throw error;
    }
  }

  protected override get requestBytes(): number | undefined {
    return this.#settings.source === undefined ? super.requestBytes : undefined;
  }

  protected override get attemptBody(): StreamRequest["body"] | readonly Bytes[] {
    return this.#reader === undefined ? super.attemptBody : streamOf(this.#reader);
  }

  protected override async send(attempt: Attempt): Promise<TransportResponse> {
    const { pool } = this;
    const { transport } = pool;
    if (transport.stream === undefined) {
      throw new EasUnsupportedError("this transport has no stream(): it returns whole responses only");
    }
    let response: StreamedResponse;
    try {
      response = await transport.stream(attempt);
    } catch (error) {
      throw pool.transport === transport ? error : replacedTransport(error);
    }
    if (attempt.isOver) {
      response.cancel(undefined);
      throw new Error("the attempt is over");
    }
    const { status, headers, contentEncoding } = response;
    if (!this.isAccepted(status)) {
      const chunks: Bytes[] = [];
      const received = (isTruncated: boolean) => ({
        status,
        headers,
        contentEncoding,
        body: joinChunks(chunks, totalLength(chunks)),
        isTruncated,
      });
      attempt.partial = () => received(true);
      return received(!(await readErrorBody(response, chunks)));
    }
    this.open(response);
    return { status, headers, contentEncoding: undefined, body: EMPTY };
  }

  private open(response: StreamedResponse): void {
    const { pool } = this;
    const opened = new StreamingResponse(response, (thrown) => this.explain(thrown));
    this.opened = opened;
    opened.atEnd((error) => {
      pool.streams.delete(opened);
      this.endSource();
      const { observer } = this;
      // The response arrived after its attempt ended, and `failureOf` has already handled that attempt.
      if (observer === undefined || this.opened !== opened) return;
      observer.status = opened.status;
      if (error === undefined) observer.answered(opened, opened.length);
      else observer.failed(error);
    });
    pool.hold(opened);
  }

  /** Cancels the stream to send. */
  private endSource(): void {
    void this.#reader?.cancel().catch(() => {});
  }

  /** Converts a transport error to a call error. Returns other errors, such as abort reasons, unchanged. */
  private explain(thrown: unknown): unknown {
    if (!isTransportError(thrown)) return thrown;
    return networkFailure(this, thrown, "body", true).error;
  }

  protected override isAccepted(status: number): boolean {
    return this.#settings.anyStatus === true || isSuccess(status);
  }

  protected override failureOf(error: unknown, attempt: Attempt, remaining: number): Failure {
    // The response may have arrived in the same event-loop turn in which the attempt ended.
    const late = this.opened;
    this.opened = undefined;
    late?.cancel(error);
    return super.failureOf(error, attempt, remaining);
  }
}

/**
 * Cancels the body when the caller's signal fires or the whole call exceeds `totalTimeout`. Call this function
 * synchronously from `read`; otherwise, an abort could be missed. Returns the call details that errors need.
 */
export function limitStreamLifetime(
  { response, attempts, token, startedAt }: StreamResult,
  plan: CallPlan,
): FailedCall {
  const call: FailedCall = { plan, attempts, token };
  const { signal, totalTimeout } = plan;
  const abortable = { abort: (reason: unknown) => response.cancel(reason) };
  // `linkSignal` aborts immediately if the signal fired in the same event-loop turn in which the headers arrived.
  linkSignal(signal, abortable);
  let timer: ReturnType<typeof setTimeout> | undefined;
  if (totalTimeout !== Number.POSITIVE_INFINITY) {
    const left = totalTimeout - (clockNow() - startedAt);
    timer = setTimeout(() => response.cancel(totalTimeoutError(call)), Math.max(1, left));
  }
  response.atEnd(() => {
    clearTimeout(timer);
    unlinkSignal(signal, abortable);
  });
  return call;
}

/**
 * Returns a stream that the transport reads. The caller can cancel `reader` even while the transport has locked the
 * stream.
 */
function streamOf(reader: ReturnType<ByteStream["getReader"]>): ByteStream {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => reader.cancel(),
  });
}

/**
 * Returns the error for a transport that was closed because `maxConnectionCount` changed. The next attempt uses a
 * new transport.
 */
function replacedTransport(cause: unknown): TransportError {
  return new TransportError("maxConnectionCount was changed", { sent: "maybe", cause });
}

/**
 * Reads up to `MAX_ERROR_BYTES` of an error response's body and appends them to `chunks`. Resolves with `false` if the
 * body does not end within `ERROR_BODY_TIMEOUT_MS`.
 */
async function readErrorBody(response: StreamedResponse, chunks: Bytes[]): Promise<boolean> {
  let length = 0;
  const timer = setTimeout(() => response.cancel(undefined), ERROR_BODY_TIMEOUT_MS);
  try {
    while (length < MAX_ERROR_BYTES) {
      const chunk = await response.read();
      if (chunk === undefined) break;
      chunks.push(chunk);
      length += chunk.length;
    }
  } catch (error) {
    // If the timer above canceled the response, the error is undefined, and the call reports the status and the
    // received part of the body.
    if (error !== undefined) throw error;
    return false;
  } finally {
    clearTimeout(timer);
  }
  response.cancel(undefined);
  return true;
}
