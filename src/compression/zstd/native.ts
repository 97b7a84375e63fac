import type { Bytes } from "../../formats/request.js";
import type { ZstdFrame } from "./frames.js";

/** The part of `node:zlib` used here. */
interface NodeZlib {
  zstdCompress(bytes: Uint8Array, done: (error: Error | null, bytes: Uint8Array) => void): void;
  zstdDecompressSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

/** Maximum output limit that workerd accepts. workerd derives the sizes of its growing buffers from the limit. */
const WORKERD_MAX_BYTES = 2 ** 27;
const WORKERD_BUFFER = 131_072;
/** Maximum output size of zlib in all runtimes. */
const MAX_BYTES = 2 ** 31 - 1;

/**
 * Returns the runtime's zlib module if it supports zstd: Node 22.15, Deno, Bun, and workerd with `nodejs_compat`.
 * Looked up at run time instead of imported, so that bundlers for browsers do not see `node:zlib`.
 */
export function nativeZlib(): NodeZlib | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const zlib = process?.getBuiltinModule?.("node:zlib") as Partial<NodeZlib> | undefined;
  return typeof zlib?.zstdCompress === "function" && typeof zlib.zstdDecompressSync === "function"
    ? (zlib as NodeZlib)
    : undefined;
}

/** Compresses to one frame at the default level. */
export function compressNatively(zlib: NodeZlib, bytes: Uint8Array): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    zlib.zstdCompress(bytes, (error, frame) => (error ? reject(error) : resolve(new Uint8Array(frame))));
  });
}

/**
 * Decompresses a frame synchronously, because Deno's asynchronous function reports a wrong checksum with an error that
 * cannot be caught and ends the process.
 */
export function decompressNatively(zlib: NodeZlib, bytes: Uint8Array, frame: ZstdFrame, maxBytes: number): Bytes {
  const max = Math.min(maxBytes, frame.contentSize ?? frame.maxContentBytes);
  // The limit may exceed the expected size, because the caller checks the size of the output.
  const room = Math.min(2 * max + WORKERD_BUFFER, Math.max(max, WORKERD_MAX_BYTES));
  const maxOutputLength = Math.min(room, MAX_BYTES);
  try {
    return new Uint8Array(zlib.zstdDecompressSync(bytes.subarray(frame.start, frame.end), { maxOutputLength }));
  } catch (error) {
    if ((error as Partial<Error>)?.name === "RangeError" && max < maxBytes)
      throw new Error("the zstd frame contains more bytes than it declares");
    throw error;
  }
}
