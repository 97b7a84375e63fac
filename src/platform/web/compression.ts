import { EasUnsupportedError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";
import { readAll } from "../chunks.js";
import type { DecompressionFormat, Decompressor } from "../contract.js";

/** The formats by their names in the Compression Streams standard. */
const STREAM_NAMES = { gzip: "gzip", zlib: "deflate", raw: "deflate-raw", br: "brotli" } as const;

/** Compresses by the runtime's `CompressionStream`; `EasUnsupportedError` where there is none. */
export function deflate(format: "gzip" | "zlib", bytes: Uint8Array): Promise<Bytes> {
  if (typeof CompressionStream === "undefined") throw unsupported("CompressionStream", format);
  const stream = new CompressionStream(STREAM_NAMES[format]) as unknown as Decompressor;
  return through(stream, bytes, Number.POSITIVE_INFINITY);
}

/** Decompresses by the runtime's `DecompressionStream`, at most to `maxBytes`. */
export function inflate(format: DecompressionFormat, bytes: Uint8Array, maxBytes: number): Promise<Bytes> {
  return through(decompressionStream(format), bytes, maxBytes);
}

/** The runtime's `DecompressionStream`; throws `EasUnsupportedError` where there is none, or none for this format. */
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
    `${format} needs ${name}, which this runtime does not have: send without, or pass a CompressionCodec`,
  );
}

function through(stream: Decompressor, bytes: Uint8Array, maxBytes: number): Promise<Bytes> {
  const writer = stream.writable.getWriter();
  // Failures of the writing side show on the reading side too, and are reported there.
  void writer.write(bytes).catch(() => {});
  void writer.close().catch(() => {});
  return readAll(stream.readable, maxBytes, () => new RangeError(`more than ${maxBytes} bytes`));
}
