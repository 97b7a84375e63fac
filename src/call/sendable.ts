import type { Bytes } from "../formats/request.js";
import { isChunkList } from "../platform/chunks.js";
import { argumentTypeError } from "../util/argument-errors.js";

/** A body, as bytes or as chunks. */
type Body = Bytes | readonly Bytes[];

/**
 * Returns the body in a form that every transport can send. Copies memory that is shared or resizable. Throws a
 * `TypeError` if an array's memory was transferred.
 */
export function sendable<B extends Body>(body: B): B {
  return (isChunkList(body as Body) ? (body as readonly Bytes[]).map(ownMemory) : ownMemory(body as Bytes)) as B;
}

function ownMemory(bytes: Bytes): Bytes {
  if (bytes.length === 0) {
    try {
      // A length of 0 may mean that the array's memory was transferred or has shrunk. In that case, `slice()` throws.
      bytes.slice();
    } catch {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        "the request's bytes cannot be read: their ArrayBuffer was transferred or resized. Pass a copy, or transfer the buffer after the call",
      );
    }
  }
  const { buffer } = bytes as { buffer: ArrayBufferLike & { readonly resizable?: boolean } };
  return buffer.resizable || buffer[Symbol.toStringTag] !== "ArrayBuffer" ? new Uint8Array(bytes) : bytes;
}
