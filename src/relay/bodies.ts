import type { Bytes } from "../request.js";

/** Why no more comes of a request's body, and the status that the caller is told. */
export class BodyError extends Error {
  readonly status: 400 | 413;

  constructor(status: 400 | 413, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.name = "BodyError";
    this.status = status;
  }
}

export function bodyTooLarge(maxBytes: number): BodyError {
  return new BodyError(413, `the body has more than ${maxBytes} bytes`);
}

/**
 * A body as it comes, until more than `maxBytes` have. Then, and when it breaks off, the call is ended with why. When the call
 * is ended, no more of it is read.
 */
export function countedBody(
  body: ReadableStream<Bytes>,
  maxBytes: number,
  call: AbortController,
): ReadableStream<Bytes> {
  const reader = body.getReader();
  const { signal } = call;
  signal.addEventListener("abort", () => void reader.cancel(signal.reason).catch(() => {}));
  let length = 0;
  let isCancelled = false;
  const read = async (): Promise<Bytes | undefined> => {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      // It was counted before.
      throw cause instanceof BodyError ? cause : new BodyError(400, "the body broke off", { cause });
    });
    // A cancelled reader is done, too: the service must not take that for the end.
    signal.throwIfAborted();
    if (done) return undefined;
    length += value.byteLength;
    // Also for what is no bytes, and has no length.
    if (length <= maxBytes) return value;
    throw bodyTooLarge(maxBytes);
  };
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        try {
          const piece = await read();
          if (isCancelled) return;
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        } catch (error) {
          // A service that wants no more of it may answer all the same.
          if (!isCancelled) call.abort(error);
          throw error;
        }
      },
      cancel(reason) {
        isCancelled = true;
        return reader.cancel(reason);
      },
    },
    // Nothing is read before it is asked for.
    { highWaterMark: 0 },
  );
}

/**
 * A body as it comes, at the pace at which it is read. Cancelling it cancels what it is read from. `onEnd` is called once: with
 * the error that it failed with, or with undefined.
 */
export function passedBody(body: ReadableStream<Bytes>, onEnd: (error: unknown) => void): ReadableStream<Bytes> {
  const reader = body.getReader();
  let isCancelled = false;
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (isCancelled) return;
          if (!done) return controller.enqueue(value);
          onEnd(undefined);
          controller.close();
        } catch (error) {
          if (!isCancelled) onEnd(error);
          throw error;
        }
      },
      async cancel(reason) {
        isCancelled = true;
        onEnd(undefined);
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
