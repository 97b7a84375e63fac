import { EasDecodeError } from "../errors.js";
import type { Platform, TransportResponse } from "../platform/platform.js";
import type { Bytes } from "../request.js";
import { cleanCause } from "./redact.js";

/** Content codings that are undone here, where the transport has not done so. HTTP's "deflate" is the zlib format. */
const CODINGS: Readonly<Record<string, "gzip" | "zlib" | undefined>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "zlib",
};

/** The body with its `Content-Encoding` undone, at most `maxBytes`. Rejects with `EasDecodeError`. */
export async function decodeContent(response: TransportResponse, platform: Platform, maxBytes: number): Promise<Bytes> {
  const coding = response.contentEncoding as string;
  if (coding === "identity" || response.body.length === 0) return response.body;
  const format = Object.hasOwn(CODINGS, coding) ? CODINGS[coding] : undefined;
  if (format === undefined) {
    throw new EasDecodeError(
      `the response has Content-Encoding "${coding}", and only gzip and deflate are undone here`,
      {
        format: "content-encoding",
      },
    );
  }
  try {
    return await platform.inflate(format, response.body, maxBytes);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new EasDecodeError(
      `the response says Content-Encoding "${coding}", but it cannot be decoded, or has more than ${maxBytes} bytes (maxResponseBytes): ${why}`,
      { format: "content-encoding", cause: cleanCause(cause, "") },
    );
  }
}
