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
  call.signal.addEventListener("abort", () => void reader.cancel(call.signal.reason).catch(() => {}));
  let length = 0;
  const read = async (): Promise<Bytes | undefined> => {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new BodyError(400, "the body broke off", { cause });
    });
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
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        } catch (error) {
          call.abort(error);
          throw error;
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    // Nothing is read before it is asked for.
    { highWaterMark: 0 },
  );
}

/** How a body that passes through tells its end, once: with the error that it failed with, or with undefined. */
export type BodyEnd = (error: unknown) => void;

/** A body as it comes, at the pace at which it is read. Cancelling it cancels what it is read from. */
export function passedBody(body: ReadableStream<Bytes>, onEnd: BodyEnd): ReadableStream<Bytes> {
  const reader = body.getReader();
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          onEnd(undefined);
          controller.close();
        } catch (error) {
          onEnd(error);
          throw error;
        }
      },
      async cancel(reason) {
        onEnd(undefined);
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
