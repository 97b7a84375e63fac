import { EasUnsupportedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { readAll } from "../chunks.js";
import type { DecompressionFormat, Decompressor } from "../contract.js";

/** Names of the formats in the Compression Streams standard. */
const STREAM_NAMES = { gzip: "gzip", zlib: "deflate", raw: "deflate-raw", br: "brotli" } as const;

/** Compresses with the runtime's `CompressionStream`. Throws `EasUnsupportedError` if the runtime does not have one. */
export function deflate(format: "gzip" | "zlib", bytes: Uint8Array): Promise<Bytes> {
  if (typeof CompressionStream === "undefined") throw unsupported("CompressionStream", format);
  const stream = new CompressionStream(STREAM_NAMES[format]) as unknown as Decompressor;
  return through(stream, bytes, Number.POSITIVE_INFINITY);
}

/** Decompresses with the runtime's `DecompressionStream`. The result can be up to `maxBytes` bytes. */
export function inflate(format: DecompressionFormat, bytes: Uint8Array, maxBytes: number): Promise<Bytes> {
  return through(decompressionStream(format), bytes, maxBytes);
}

/** Creates a `DecompressionStream`. Throws `EasUnsupportedError` if the runtime does not support it for this format. */
export function decompressionStream(format: DecompressionFormat): Decompressor {
  if (typeof DecompressionStream === "undefined") throw unsupported("DecompressionStream", format);
  try {
    return new DecompressionStream(STREAM_NAMES[format] as "gzip") as unknown as Decompressor;
  } catch {
    throw unsupported(`DecompressionStream("${STREAM_NAMES[format]}")`, format);
  }
}

function unsupported(name: string, format: string): EasUnsupportedError {
  return new EasUnsupportedError(
    `${format} needs ${name}, which this runtime does not have: send without compression, or pass a CompressionCodec`,
  );
}

function through(stream: Decompressor, bytes: Uint8Array, maxBytes: number): Promise<Bytes> {
  const writer = stream.writable.getWriter();
  // Ignore errors on the writing side, because they are also reported on the reading side.
  void writer.write(bytes).catch(() => {});
  void writer.close().catch(() => {});
  return readAll(stream.readable, maxBytes, () => new RangeError(`more than ${maxBytes} bytes`));
}
