import type { Bytes } from "../../formats/request.js";
import type { ZstdFrame } from "./frames.js";

/** What is used of node:zlib. */
interface NodeZlib {
  zstdCompress(bytes: Uint8Array, done: (error: Error | null, bytes: Uint8Array) => void): void;
  zstdDecompressSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

/** workerd takes no larger limit for the output, and measures by it the buffers that it doubles as it goes. */
const WORKERD_MOST_BYTES = 2 ** 27;
const WORKERD_BUFFER = 131_072;
/** No runtime's zlib gives more in one piece. */
const MAX_BYTES = 2 ** 31 - 1;

/**
 * The runtime's own zstd: Node 22.15, Deno, Bun, and workerd with `nodejs_compat`. Asked for when it is needed and not
 * imported, so that bundlers for browsers need not know of it.
 */
export function nativeZlib(): NodeZlib | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const zlib = process?.getBuiltinModule?.("node:zlib") as Partial<NodeZlib> | undefined;
  return typeof zlib?.zstdCompress === "function" && typeof zlib.zstdDecompressSync === "function"
    ? (zlib as NodeZlib)
    : undefined;
}

/** One frame, at the level that zstd has by default. */
export function compressNatively(zlib: NodeZlib, bytes: Uint8Array): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    zlib.zstdCompress(bytes, (error, frame) => (error ? reject(error) : resolve(new Uint8Array(frame))));
  });
}

/**
 * What a frame holds. Not in the background: Deno throws a wrong checksum there where nobody can catch it, which ends the
 * process.
 */
export function decompressNatively(zlib: NodeZlib, bytes: Uint8Array, frame: ZstdFrame, maxBytes: number): Bytes {
  const most = Math.min(maxBytes, frame.contentSize ?? frame.mostBytes);
  // Up to twice of what may come out is let through here; who called measures it.
  const room = Math.min(2 * most + WORKERD_BUFFER, Math.max(most, WORKERD_MOST_BYTES));
  const maxOutputLength = Math.min(room, MAX_BYTES);
  try {
    return new Uint8Array(zlib.zstdDecompressSync(bytes.subarray(frame.start, frame.end), { maxOutputLength }));
  } catch (error) {
    if ((error as Partial<Error>)?.name === "RangeError" && most < maxBytes)
      throw new Error("the zstd frame holds more bytes than it declares");
    throw error;
  }
}
