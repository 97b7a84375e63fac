import type { Bytes } from "../formats/request.js";
import type { ByteStream } from "./contract.js";

/**
 * Reads a stream to its end, or throws what `tooLarge` makes as soon as more than `maxBytes` have come; without it, their
 * beginning is enough. `chunks` takes what has come, for a reader that can use a part.
 */
export async function readAll(
  stream: ByteStream,
  maxBytes: number,
  tooLarge: ((maxBytes: number) => Error) | undefined,
  chunks: Uint8Array[] = [],
): Promise<Bytes> {
  // Not `for await`: WebKit's streams are no async iterables.
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

/** Smaller chunks take more memory for themselves than for their bytes, when there are many. */
const SMALL_BYTES = 4096;
/** So many small chunks in a row are joined. */
const MAX_SMALL = 1024;

/** Adds a chunk. Many small ones become one, so that a body that comes byte by byte takes no more memory than another. */
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

/** Whether a body is in pieces. Not whether it is no `Uint8Array`: it may be one of another realm. */
export function isChunkList<B extends Uint8Array>(body: B | readonly B[] | null): body is readonly B[] {
  return Array.isArray(body);
}

/** Bytes of all chunks together. */
export function totalLength(chunks: readonly Uint8Array[]): number {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  return length;
}

/** Copies chunks into one array of exactly `length` bytes. */
export function joinChunks(chunks: readonly Uint8Array[], length: number): Bytes {
  const whole = new Uint8Array(length);
  copyChunks(chunks, whole);
  return whole;
}

/** Copies chunks one after another to the beginning of `target`. */
export function copyChunks(chunks: readonly Uint8Array[], target: Uint8Array): void {
  let offset = 0;
  for (const chunk of chunks) {
    target.set(chunk, offset);
    offset += chunk.length;
  }
}
