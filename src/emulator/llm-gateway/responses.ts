import type { Bytes } from "../../formats/request.js";
import { reasonOf } from "./go-text.js";

/** Size of the gateway's write buffer. A response that exceeds it is sent without a `Content-Length`. */
const BUFFERED_BYTES = 2048;

const LF = 10;

/** Statuses whose responses have no body. */
const BODILESS: readonly number[] = [101, 204, 205, 304];

/** Creates a response from a complete body. */
export function completeResponse(status: number, headers: HeadersInit, body: string | Uint8Array = ""): Response {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const isBodiless = BODILESS.includes(status);
  const own = new Headers(headers);
  if (!isBodiless && bytes.length <= BUFFERED_BYTES) own.set("content-length", String(bytes.length));
  return new Response(isBodiless ? null : (bytes as Bytes), { status, statusText: reasonOf(status), headers: own });
}

/** Creates a text response, the form of all first-generation errors and some second-generation errors. */
export function textResponse(status: number, body: string | Uint8Array, headers: HeadersInit = {}): Response {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const line = new Uint8Array(bytes.length + 1);
  line.set(bytes);
  line[bytes.length] = LF;
  const own = new Headers(headers);
  own.set("content-type", "text/plain; charset=utf-8");
  own.set("x-content-type-options", "nosniff");
  return completeResponse(status, own, line);
}

/** Yields the chunks that the gateway flushes, and returns the bytes that remain in its buffer at the end. */
export type Flushed = AsyncGenerator<Uint8Array, Uint8Array>;

/**
 * Creates a response whose headers are sent with the first chunk. Like the gateway, the emulator notices that the
 * client has disconnected only at the next chunk and stops there. `onCancel` is called as soon as the client
 * disconnects.
 */
export async function flushedResponse(
  headers: HeadersInit,
  chunks: Flushed,
  signal: AbortSignal,
  onCancel?: () => void,
): Promise<Response> {
  const status = 200;
  const first = await chunks.next();
  if (signal.aborted) {
    await chunks.return(new Uint8Array());
    throw signal.reason;
  }
  if (first.done) return completeResponse(status, headers, first.value);
  let isFirst = true;
  let isPulling = false;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        isPulling = true;
        const next = isFirst ? first : await chunks.next();
        isFirst = false;
        isPulling = false;
        if (next.value.length > 0) controller.enqueue(next.value);
        if (next.done) controller.close();
      },
      cancel() {
        onCancel?.();
        const next = isPulling ? undefined : chunks.next();
        // The generator stops after the chunk that is being awaited.
        void Promise.allSettled([next, chunks.return(new Uint8Array())]);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, headers });
}
