import type { Bytes } from "../formats/request.js";
import { joinChunks, pushChunk, totalLength } from "../platform/chunks.js";
import { chunkStream, type PieceSource, readPieces } from "../platform/piece-stream.js";
import type { AnswerEnd } from "./answer-end.js";
import { Patience } from "./patience.js";

/** Why a request's body cannot be passed on, with the status of the answer. */
export class BodyError extends Error {
  readonly status: 400 | 408 | 413;

  constructor(status: 400 | 408 | 413, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = "BodyError";
    this.status = status;
  }
}

export function bodyTooLarge(maxBytes: number): BodyError {
  return new BodyError(413, `the body has more than ${maxBytes} bytes`);
}

/** What a request's body is held to. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** Milliseconds in which the caller must send 1 KiB or the rest. */
  readonly idleTimeout: number;
  /** The length in the request's `Content-Length`; undefined when there is none. */
  readonly statedBytes: number | undefined;
}

/**
 * Reads a body unchanged, and checks it against its limits. When it breaks one, or fails, `call` is aborted with the reason.
 * When `call` is aborted, no more of the body is read.
 */
function countedPieces(
  body: ReadableStream<Bytes>,
  { maxBytes, idleTimeout, statedBytes }: BodyLimits,
  call: AbortController,
): PieceSource {
  const reader = body.getReader();
  const { signal } = call;
  const patience = new Patience(idleTimeout, () =>
    call.abort(new BodyError(408, `the body arrived too slowly: less than 1 KiB in ${idleTimeout} ms`)),
  );
  signal.addEventListener("abort", () => {
    patience.end();
    void reader.cancel(signal.reason).catch(() => {});
  });
  let length = 0;
  let isCancelled = false;
  const next = async (): Promise<Bytes | undefined> => {
    patience.start();
    const { done, value } = await reader.read().catch((cause: unknown) => {
      // An inner countedBody has named the reason already.
      throw cause instanceof BodyError
        ? cause
        : new BodyError(400, "the connection broke before the end of the body", { cause });
    });
    patience.stop(value?.byteLength);
    // A cancelled reader is done as well: the service must not take that for the end of the body.
    signal.throwIfAborted();
    if (!done) length += value.byteLength;
    // Written so that it also refuses chunks that are not bytes, and have no length.
    if (!(length <= maxBytes)) throw bodyTooLarge(maxBytes);
    if (statedBytes !== undefined && (done ? length < statedBytes : length > statedBytes)) {
      throw lengthMismatch(done ? `${length}` : "more", statedBytes);
    }
    return done ? undefined : value;
  };
  return {
    async read() {
      try {
        const piece = await next();
        if (piece === undefined) patience.end();
        return piece;
      } catch (error) {
        patience.end();
        // A service that wants no more of the body may still answer.
        if (!isCancelled) call.abort(error);
        throw error;
      }
    },
    cancel(reason) {
      isCancelled = true;
      patience.end();
      return reader.cancel(reason);
    },
  };
}

/** Returns a body that is checked while it is read, as `countedPieces` does. */
export function countedBody(
  body: ReadableStream<Bytes>,
  limits: BodyLimits,
  call: AbortController,
): ReadableStream<Bytes> {
  // Nothing is read before it is asked for.
  return chunkStream(countedPieces(body, limits, call), 0);
}

/** Reads a body whole and checks it meanwhile, as `countedPieces` does. */
export async function countedBytes(
  body: ReadableStream<Bytes>,
  limits: BodyLimits,
  call: AbortController,
): Promise<Bytes> {
  const source = countedPieces(body, limits, call);
  const chunks: Bytes[] = [];
  for (let piece = await source.read(); piece !== undefined; piece = await source.read()) pushChunk(chunks, piece);
  return joinChunks(chunks, totalLength(chunks));
}

/** The body is not the one that the caller sent, often because a body parser has read it before the relay. */
export function lengthMismatch(found: string, statedBytes: number): BodyError {
  return new BodyError(
    400,
    `the body has ${found} bytes, but its Content-Length is ${statedBytes}: mount the relay before body parsers and decompression`,
  );
}

/**
 * Passes an answer on unchanged, at the pace at which it is read. Cancelling it cancels its source. A caller that takes no
 * more of it for `idleTimeout` milliseconds ends it, with `onIdle`. `onEnd` is called once: with the error that the source
 * failed with, or with undefined. An answer that was cut off ends with the report of `answerEnd`, or fails if it has none.
 */
export function passedPieces(
  body: ReadableStream<Bytes>,
  idleTimeout: number,
  answerEnd: AnswerEnd,
  onIdle: (error: Error) => void,
  onEnd: (error: unknown) => void,
): PieceSource {
  const reader = readPieces(body);
  let isOver = false;
  /** The caller took too long. */
  let expired: Error | undefined;
  /** Bytes that the caller was given last. */
  let given = 0;
  let fail: (error: Error) => void = () => {};
  const patience = new Patience(idleTimeout, () => {
    expired = new Error(`the caller read less than 1 KiB of the response in ${idleTimeout} ms`);
    end(undefined);
    fail(expired);
    onIdle(expired);
    void reader.cancel(expired).catch(() => {});
  });
  const end = (error: unknown) => {
    if (isOver) return;
    isOver = true;
    patience.end();
    onEnd(error);
  };
  patience.start();
  return {
    onFail(failNow) {
      fail = failNow;
    },
    async read() {
      if (expired !== undefined) throw expired;
      // The report was the last piece.
      if (isOver) return undefined;
      patience.stop(given);
      try {
        const piece = await reader.read();
        if (expired !== undefined) throw expired;
        if (isOver) return undefined;
        if (piece === undefined) {
          const error = answerEnd.ended();
          if (error !== undefined) throw error;
          end(undefined);
          return undefined;
        }
        answerEnd.add(piece);
        given = piece.byteLength;
        patience.start();
        return piece;
      } catch (error) {
        const report = isOver ? undefined : answerEnd.failed();
        end(error);
        if (report === undefined) throw expired ?? error;
        return report;
      }
    },
    async cancel(reason) {
      end(undefined);
      await reader.cancel(reason);
    },
  };
}
