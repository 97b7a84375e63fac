import type { Bytes, CompressionCodec } from "../formats/request.js";
import { framesOf } from "./zstd/frames.js";
import { compressNatively, decompressNatively, nativeZlib } from "./zstd/native.js";
import { compressByWasm, decompressByWasm } from "./zstd/wasm.js";

/**
 * Compresses to one Zstandard frame at level 3. Uses the runtime's own implementation if available (Node 22.15 and
 * later, Deno, Bun, workerd with `nodejs_compat`), otherwise WebAssembly. Throws `EasUnsupportedError` if neither is
 * available, as in workerd without that flag and in pages with a strict Content-Security-Policy.
 *
 * @example
 * import { zstd } from "eas-prediction/compression/zstd";
 * client.setCompression(zstd);
 */
export const zstd: CompressionCodec = {
  name: "zstd",
  contentCodings: ["zstd"],
  async compress(bytes) {
    const zlib = nativeZlib();
    return zlib === undefined ? compressByWasm(bytes) : compressNatively(zlib, bytes);
  },
  async decompress(bytes, { maxBytes }) {
    const frames = framesOf(bytes);
    const known = frames.reduce((sum, { contentSize = 0 }) => sum + contentSize, 0);
    if (known > maxBytes) throw new RangeError(`more than ${maxBytes} bytes: the zstd frame declares ${known}`);
    const zlib = nativeZlib();
    const parts: Bytes[] = [];
    let length = 0;
    for (const frame of frames) {
      const limit = maxBytes - length;
      const part =
        zlib === undefined
          ? await decompressByWasm(bytes, frame, limit)
          : decompressNatively(zlib, bytes, frame, limit);
      if (frame.contentSize !== undefined && part.length !== frame.contentSize) {
        throw new Error(`the zstd frame declares ${frame.contentSize} bytes but holds ${part.length}`);
      }
      if (part.length > limit) throw new RangeError(`more than ${maxBytes} bytes`);
      parts.push(part);
      length += part.length;
    }
    return joined(parts, length);
  },
};

function joined(parts: readonly Bytes[], length: number): Bytes {
  if (parts.length === 1) return parts[0] as Bytes;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
