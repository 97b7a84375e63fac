import type { Bytes } from "../formats/request.js";
import { joinChunks, pushChunk, totalLength } from "../platform/chunks.js";
import { chunkStream, type PieceSource, readPieces } from "../platform/piece-stream.js";
import { WaitTimer } from "../util/timing/wait-timer.js";
import type { ResponseEnd } from "./response-end.js";

/** Number of bytes after which the caller's time limit restarts. */
const PROGRESS_BYTES = 1024;

/** Error for a request body that cannot be forwarded, with the response status. */
export class BodyError extends Error {
  readonly status: 400 | 408 | 413;

  constructor(status: 400 | 408 | 413, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = "BodyError";
    this.status = status;
  }
}

/** Creates the error for a body that exceeds `maxBytes`. */
export function bodyTooLarge(maxBytes: number): BodyError {
  return new BodyError(413, `the body is larger than ${maxBytes} bytes`);
}

/**
 * Creates the error for a body whose length differs from `Content-Length`. Usually, a body parser has already read the
 * body.
 */
export function lengthMismatch(found: string, statedBytes: number): BodyError {
  return new BodyError(
    400,
    `the body is ${found} bytes, but its Content-Length is ${statedBytes}: mount the relay before body parsers and decompression`,
  );
}

/** Limits for a request body. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** Time within which the caller must send the next 1 KiB or the rest of the body, in milliseconds. */
  readonly idleTimeout: number;
  /** The length in the request's `Content-Length` header; undefined if there is no such header. */
  readonly statedBytes: number | undefined;
}

/**
 * Reads a body without changing it, and checks it against its limits. If the body exceeds a limit or fails, `call`
 * is aborted with the error. If `call` is aborted, the rest of the body is not read.
 */
function limitedSource(
  body: ReadableStream<Bytes>,
  { maxBytes, idleTimeout, statedBytes }: BodyLimits,
  call: AbortController,
): PieceSource {
  const reader = body.getReader();
  const { signal } = call;
  const expire = () =>
    call.abort(new BodyError(408, `the body arrived too slowly: less than 1 KiB in ${idleTimeout} ms`));
  const timer = new WaitTimer(idleTimeout, expire, PROGRESS_BYTES);
  signal.addEventListener("abort", () => {
    timer.end();
    void reader.cancel(signal.reason).catch(() => {});
  });
  let length = 0;
  let isCanceled = false;
  const next = async (): Promise<Bytes | undefined> => {
    timer.start();
    const { done, value } = await reader.read().catch((cause: unknown) => {
      // `authorize` reads a copy whose body is already limited, so the cause may already be a `BodyError`.
      throw cause instanceof BodyError
        ? cause
        : new BodyError(400, "the connection broke before the body was complete", { cause });
    });
    timer.stop(value?.byteLength);
    // A canceled reader also reports `done`. The service must not interpret this as the end of the body.
    signal.throwIfAborted();
    if (!done) length += value.byteLength;
    // The condition is negated in order to refuse chunks that are not bytes, whose `length` makes the sum NaN.
    if (!(length <= maxBytes)) throw bodyTooLarge(maxBytes);
    if (statedBytes !== undefined && (done ? length < statedBytes : length > statedBytes)) {
      throw lengthMismatch(done ? `${length}` : "more", statedBytes);
    }
    return done ? undefined : value;
  };
  return {
    async read() {
      try {
        const chunk = await next();
        if (chunk === undefined) timer.end();
        return chunk;
      } catch (error) {
        timer.end();
        // A service that canceled the body can still respond.
        if (!isCanceled) call.abort(error);
        throw error;
      }
    },
    cancel(reason) {
      isCanceled = true;
      timer.end();
      return reader.cancel(reason);
    },
  };
}

/** Returns a stream of the body. Checks the limits while the stream is read, as `limitedSource` does. */
export function limitedStream(
  body: ReadableStream<Bytes>,
  limits: BodyLimits,
  call: AbortController,
): ReadableStream<Bytes> {
  return chunkStream(limitedSource(body, limits, call), 0);
}

/** Reads the whole body. Checks the limits while reading, as `limitedSource` does. */
export async function limitedBytes(
  body: ReadableStream<Bytes>,
  limits: BodyLimits,
  call: AbortController,
): Promise<Bytes> {
  const source = limitedSource(body, limits, call);
  const chunks: Bytes[] = [];
  for (let chunk = await source.read(); chunk !== undefined; chunk = await source.read()) pushChunk(chunks, chunk);
  return joinChunks(chunks, totalLength(chunks));
}

/**
 * Forwards a response body unchanged, as fast as the caller reads it. If the caller cancels the returned stream, `body`
 * is canceled. If the caller reads less than 1 KiB within `idleTimeout` milliseconds, the returned stream fails and
 * `onIdle` is called.
 *
 * `onEnd` is called once, with the error from `body` or with undefined. If the body was cut off, the stream ends with
 * the report from `responseEnd`, or fails if there is none.
 */
export function forwardedSource(
  body: ReadableStream<Bytes>,
  idleTimeout: number,
  responseEnd: ResponseEnd,
  onIdle: (error: Error) => void,
  onEnd: (error: unknown) => void,
): PieceSource {
  const reader = readPieces(body);
  let isOver = false;
  /** Set if the caller was too slow. */
  let idleError: Error | undefined;
  /** Length of the last chunk that the caller received. */
  let lastLength = 0;
  let fail: (error: Error) => void = () => {};
  const expire = () => {
    idleError = new Error(`the caller read less than 1 KiB of the response in ${idleTimeout} ms`);
    end(undefined);
    fail(idleError);
    onIdle(idleError);
    void reader.cancel(idleError).catch(() => {});
  };
  // Slow callers must not occupy connections to the service. The time in which the service is slow does not count.
  const timer = new WaitTimer(idleTimeout, expire, PROGRESS_BYTES);
  const end = (error: unknown) => {
    if (isOver) return;
    isOver = true;
    timer.end();
    onEnd(error);
  };
  timer.start();
  return {
    onFail(failNow) {
      fail = failNow;
    },
    async read() {
      if (idleError !== undefined) throw idleError;
      // The report was the last chunk.
      if (isOver) return undefined;
      timer.stop(lastLength);
      try {
        const chunk = await reader.read();
        if (idleError !== undefined) throw idleError;
        if (isOver) return undefined;
        if (chunk === undefined) {
          const error = responseEnd.incompleteError();
          if (error !== undefined) throw error;
          end(undefined);
          return undefined;
        }
        responseEnd.add(chunk);
        lastLength = chunk.byteLength;
        timer.start();
        return chunk;
      } catch (error) {
        const report = isOver ? undefined : responseEnd.report();
        end(error);
        if (report === undefined) throw idleError ?? error;
        return report;
      }
    },
    async cancel(reason) {
      end(undefined);
      await reader.cancel(reason);
    },
  };
}
