import type { Bytes } from "../../formats/request.js";
import { reasonOf } from "./go-text.js";

/** Bytes that the gateway buffers of an answer that it does not flush. A longer one has no length. */
const BUFFERED_BYTES = 2048;

const LF = 10;

/** Statuses whose answers have no body. */
const BODILESS: readonly number[] = [101, 204, 205, 304];

/** Returns an answer with a body that is known. */
export function wholeAnswer(status: number, headers: HeadersInit, body: string | Uint8Array = ""): Response {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const isBodiless = BODILESS.includes(status);
  const own = new Headers(headers);
  if (!isBodiless && bytes.length <= BUFFERED_BYTES) own.set("content-length", String(bytes.length));
  return new Response(isBodiless ? null : (bytes as Bytes), { status, statusText: reasonOf(status), headers: own });
}

/** Returns the form of all errors of the first generation, and of some of the second. */
export function textAnswer(status: number, body: string | Uint8Array, headers: HeadersInit = {}): Response {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const line = new Uint8Array(bytes.length + 1);
  line.set(bytes);
  line[bytes.length] = LF;
  const own = new Headers(headers);
  own.set("content-type", "text/plain; charset=utf-8");
  own.set("x-content-type-options", "nosniff");
  return wholeAnswer(status, own, line);
}

/** What the gateway sends at once; at the end it returns what stays in its buffer. */
export type Flushed = AsyncGenerator<Uint8Array, Uint8Array>;

/**
 * Returns an answer whose head leaves with the first piece. A client that goes is noticed with the next piece, and ends the
 * pieces then; `onCancel` runs at once.
 */
export async function flushedAnswer(
  headers: HeadersInit,
  pieces: Flushed,
  signal: AbortSignal,
  onCancel?: () => void,
): Promise<Response> {
  const status = 200;
  const first = await pieces.next();
  if (signal.aborted) {
    await pieces.return(new Uint8Array());
    throw signal.reason;
  }
  if (first.done) return wholeAnswer(status, headers, first.value);
  let isFirst = true;
  let isPulling = false;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        isPulling = true;
        const next = isFirst ? first : await pieces.next();
        isFirst = false;
        isPulling = false;
        if (next.value.length > 0) controller.enqueue(next.value);
        if (next.done) controller.close();
      },
      cancel() {
        onCancel?.();
        const next = isPulling ? undefined : pieces.next();
        // After the piece that is being waited for.
        void Promise.allSettled([next, pieces.return(new Uint8Array())]);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, headers });
}
