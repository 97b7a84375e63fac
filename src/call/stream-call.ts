import { EasUnsupportedError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { joinChunks, totalLength } from "../platform/chunks.js";
import {
  type ByteStream,
  isSuccess,
  MAX_ERROR_BYTES,
  type Platform,
  type StreamedResponse,
  TransportError,
  type TransportResponse,
} from "../platform/contract.js";
import type { Attempt } from "./attempt.js";
import { Call } from "./call.js";
import type { CallBody, CallPlan, CallResult } from "./call-plan.js";
import type { ConnectionPool } from "./connections/connection-pool.js";
import { type Failure, isTransportError, networkFailure } from "./failures/failure.js";
import type { Secrets } from "./failures/redact.js";
import type { CallObserver } from "./observers/call-observer.js";
import { withHooks } from "./observers/with-hooks.js";
import { StreamingResponse } from "./streaming-response.js";

/** Time for the body of an answer that is no success: it may have no end. */
const REFUSAL_MS = 10_000;
const EMPTY = new Uint8Array(0);

/** How a call differs from the others whose answer is read piece by piece. */
export interface StreamSettings {
  /** A body that is sent as it comes, in place of the call's own: it can be sent once only. */
  readonly source?: ByteStream | undefined;
  /** Whether every status is an answer; else those that are no success end the call with an error. Default false. */
  readonly anyStatus?: boolean | undefined;
}

/** An answer whose body is read piece by piece, and what it took to get it. */
export interface StreamResult {
  /** Its errors are the call's own. */
  readonly response: StreamingResponse;
  /** Scheme, host and port that answered. */
  readonly endpoint: string;
  readonly attempts: number;
  readonly platform: Platform;
  /** The token that it was sent with, to clean errors of. */
  readonly token: Secrets;
  /** When the call began, by `performance.now()`. */
  readonly startedAt: number;
}

/**
 * Makes a call up to the head of its answer. `plan.timeout` is the time for that head, and `plan.signal` has no say over the
 * body: `read` is called in the same turn, and may see to that. The call takes one of the slots that are held long, until the
 * body's end, its failure or its cancellation.
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
  /** Reads the body that is sent as it comes. */
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

  protected override async send(attempt: Attempt): Promise<TransportResponse> {
    const { pool } = this;
    const { transport } = pool;
    if (transport.stream === undefined) {
      throw new EasUnsupportedError("this transport has no stream(): it returns whole responses only");
    }
    if (this.#reader !== undefined) Object.defineProperty(attempt, "body", { value: streamOf(this.#reader) });
    let response: StreamedResponse;
    try {
      response = await transport.stream(attempt);
    } catch (error) {
      throw pool.transport === transport ? error : replaced(error);
    }
    if (attempt.isOver) {
      response.cancel(undefined);
      throw new Error("the attempt is over");
    }
    const { status, headers, contentEncoding } = response;
    if (!this.isAccepted(status)) {
      const pieces: Bytes[] = [];
      const answer = { status, headers, contentEncoding };
      const soFar = (isTruncated: boolean) => ({
        ...answer,
        body: joinChunks(pieces, totalLength(pieces)),
        isTruncated,
      });
      attempt.partial = () => soFar(true);
      return soFar(!(await readSome(response, pieces)));
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
      // An attempt that failed although its head came is judged elsewhere.
      if (observer === undefined || this.opened !== opened) return;
      observer.status = opened.status;
      if (error === undefined) observer.answered(opened, opened.length);
      else observer.failed(error);
    });
    pool.hold(opened);
  }

  /** Whoever makes the body need not go on. */
  private endSource(): void {
    void this.#reader?.cancel().catch(() => {});
  }

  /** The call's error for what ended the body; reasons of callers stay as they are. */
  private explain(thrown: unknown): unknown {
    if (!isTransportError(thrown)) return thrown;
    return networkFailure(this, thrown, "body", true).error;
  }

  protected override isAccepted(status: number): boolean {
    return this.#settings.anyStatus === true || isSuccess(status);
  }

  protected override failureOf(error: unknown, attempt: Attempt, remaining: number): Failure {
    // It may have come in the turn in which the attempt ended.
    const late = this.opened;
    this.opened = undefined;
    late?.cancel(error);
    return super.failureOf(error, attempt, remaining);
  }
}

/** A stream that can be ended from outside while somebody else reads it. */
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

/** A failure of a transport that another limit of connections closed: the next attempt has another one. */
function replaced(cause: unknown): TransportError {
  return new TransportError("maxConnectionCount was changed", { sent: "maybe", cause });
}

/** Reads the beginning of a body: what an error keeps of it, and enough to see a token there whole. False if it is late. */
async function readSome(response: StreamedResponse, pieces: Bytes[]): Promise<boolean> {
  let length = 0;
  const timer = setTimeout(() => response.cancel(undefined), REFUSAL_MS);
  try {
    while (length < MAX_ERROR_BYTES) {
      const piece = await response.read();
      if (piece === undefined) break;
      pieces.push(piece);
      length += piece.length;
    }
  } catch (error) {
    // Given up: the status tells enough of a refusal that does not end.
    if (error !== undefined) throw error;
    return false;
  } finally {
    clearTimeout(timer);
  }
  response.cancel(undefined);
  return true;
}
