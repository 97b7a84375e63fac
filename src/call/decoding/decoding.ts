import { importOf } from "../../config/validate.js";
import { EasDecodeError } from "../../errors.js";
import type { Compression, CompressionCodec, Decompression } from "../../formats/request.js";
import type { TransportResponse } from "../../platform/contract.js";
import { show } from "../../util/argument-errors.js";
import { isBytes, isError, messageOf } from "../../util/realms.js";
import { cleanCause } from "../failures/redact.js";

/** How the bodies of a call's answers are decompressed. */
export interface Decoding {
  /** What undoes a `Content-Encoding`, beside gzip and zlib. */
  readonly codecs: readonly CompressionCodec[];
  /** Compression of every successful body, regardless of its headers. */
  readonly always: Compression | undefined;
}

/** What a client's option and the compression of a request come to. */
export function decodingOf(decompression: Decompression, compression: Compression | undefined): Decoding {
  // A request's own compression is not checked yet.
  const sent = typeof compression === "object" && compression !== null && compression.decompress ? [compression] : [];
  if (decompression === "auto") return { codecs: sent, always: undefined };
  if (isList(decompression)) return { codecs: [...decompression, ...sent], always: undefined };
  return { codecs: typeof decompression === "string" ? sent : [decompression, ...sent], always: decompression };
}

function isList(value: Compression | readonly CompressionCodec[]): value is readonly CompressionCodec[] {
  return Array.isArray(value);
}

/** Whether there is anything to undo. */
export function isEncoded({ contentEncoding }: TransportResponse, { always }: Decoding): boolean {
  return contentEncoding !== undefined || always !== undefined;
}

/**
 * What `decodeContent` is given and does not import: it is loaded later, and what it shared with the start of a page would be a
 * piece of its own there.
 */
export interface DecodingTools {
  readonly show: typeof show;
  readonly isBytes: typeof isBytes;
  readonly isError: typeof isError;
  readonly messageOf: typeof messageOf;
  readonly importOf: typeof importOf;
  /** Creates the error for a body that cannot be decoded. */
  failure(message: string, cause?: unknown): EasDecodeError;
}

export const DECODING_TOOLS: DecodingTools = {
  show,
  isBytes,
  isError,
  messageOf,
  importOf,
  failure(message, cause) {
    const clean = cause === undefined ? {} : { cause: cleanCause(cause, "") };
    return new EasDecodeError(message, { format: "content-encoding", ...clean });
  },
};
