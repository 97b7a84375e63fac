import type { Bytes } from "../formats/request.js";
import { isChunkList } from "../platform/chunks.js";
import { argumentTypeError } from "../util/argument-errors.js";

/** A body, as bytes or as chunks. */
type Body = Bytes | readonly Bytes[];

/**
 * Returns the body in a form that every transport can send: copies memory that is shared or resizable. Throws a `TypeError` for an
 * array whose memory was transferred.
 */
export function sendable<B extends Body>(body: B): B {
  return (isChunkList(body as Body) ? (body as readonly Bytes[]).map(ownMemory) : ownMemory(body as Bytes)) as B;
}

function ownMemory(bytes: Bytes): Bytes {
  if (bytes.length === 0) {
    try {
      // An array whose memory was transferred or has shrunk also has the length 0, but its slice() throws.
      bytes.slice();
    } catch {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        "the request's bytes cannot be read: their ArrayBuffer was transferred or resized. Pass a copy, or transfer the buffer later",
      );
    }
  }
  const { buffer } = bytes as { buffer: ArrayBufferLike & { readonly resizable?: boolean } };
  return buffer.resizable || buffer[Symbol.toStringTag] !== "ArrayBuffer" ? new Uint8Array(bytes) : bytes;
}
