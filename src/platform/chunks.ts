import type { Bytes } from "../formats/request.js";
import type { ByteStream } from "./contract.js";

/**
 * Reads a stream to its end and returns its bytes. If the stream exceeds `maxBytes`, throws the error that `tooLarge`
 * returns. Without `tooLarge`, returns the first `maxBytes` bytes. Adds the received chunks to `chunks` for callers
 * that can use an incomplete body.
 */
export async function readAll(
  stream: ByteStream,
  maxBytes: number,
  tooLarge: ((maxBytes: number) => Error) | undefined,
  chunks: Uint8Array[] = [],
): Promise<Bytes> {
  // WebKit's streams are not async iterables, so `for await` does not work.
  const reader = stream.getReader();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joinChunks(chunks, length);
    length += value.length;
    pushChunk(chunks, value);
    if (length > maxBytes) {
      void reader.cancel().catch(() => {});
      if (tooLarge === undefined) return joinChunks(chunks, length).slice(0, maxBytes);
      throw tooLarge(maxBytes);
    }
  }
}

/**
 * Size in bytes below which a chunk counts as small. Many small chunks use more memory for their objects than for their
 * bytes.
 */
const SMALL_BYTES = 4096;
/** Number of consecutive small chunks at which they are joined. */
const MAX_SMALL = 1024;

/**
 * Appends a chunk. Consecutive small chunks are joined, so that a body that arrives byte by byte does not use more
 * memory than other bodies.
 */
export function pushChunk(chunks: Uint8Array[], chunk: Uint8Array): void {
  chunks.push(chunk);
  if (chunks.length % MAX_SMALL !== 0) return;
  let first = chunks.length;
  let length = 0;
  while (first > 0 && (chunks[first - 1] as Uint8Array).length < SMALL_BYTES) {
    length += (chunks[--first] as Uint8Array).length;
  }
  if (chunks.length - first > 1) chunks.push(joinChunks(chunks.splice(first), length));
}

/** Whether a body is a list of chunks. Does not test for `Uint8Array`, because an array may come from another realm. */
export function isChunkList<B extends object>(body: B | readonly B[] | null): body is readonly B[] {
  return Array.isArray(body);
}

/** Returns the total length of the chunks in bytes. */
export function totalLength(chunks: readonly Uint8Array[]): number {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  return length;
}

/** Joins chunks into one new array of exactly `length` bytes. */
export function joinChunks(chunks: readonly Uint8Array[], length: number): Bytes {
  const whole = new Uint8Array(length);
  copyChunks(chunks, whole);
  return whole;
}

/** Copies chunks into `target`, one after another, starting at the beginning. */
export function copyChunks(chunks: readonly Uint8Array[], target: Uint8Array): void {
  let offset = 0;
  for (const chunk of chunks) {
    target.set(chunk, offset);
    offset += chunk.length;
  }
}
