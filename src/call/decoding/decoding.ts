import { importOf } from "../../config/validate.js";
import { EasDecodeError } from "../../errors.js";
import type { Compression, CompressionCodec, Decompression } from "../../formats/request.js";
import type { TransportResponse } from "../../platform/contract.js";
import { show } from "../../util/argument-errors.js";
import { isBytes, isError, messageOf } from "../../util/realms.js";
import { cleanCause } from "../failures/redact.js";

/** Decompression of the response bodies of a call. */
export interface Decoding {
  /** Codecs for `Content-Encoding`, in addition to the built-in codecs. */
  readonly codecs: readonly CompressionCodec[];
  /** Compression of every successful body, regardless of its headers. */
  readonly always: Compression | undefined;
}

/**
 * Combines the option `decompression` with the compression of the request, because the response may use the same
 * compression.
 */
export function decodingOf(decompression: Decompression, compression: Compression | undefined): Decoding {
  // The compression of a request is not checked at this point.
  const sent = typeof compression === "object" && compression !== null && compression.decompress ? [compression] : [];
  if (decompression === "auto") return { codecs: sent, always: undefined };
  if (isList(decompression)) return { codecs: [...decompression, ...sent], always: undefined };
  return { codecs: typeof decompression === "string" ? sent : [decompression, ...sent], always: decompression };
}

function isList(value: Compression | readonly CompressionCodec[]): value is readonly CompressionCodec[] {
  return Array.isArray(value);
}

/** Whether the body of a response must be decoded. */
export function isEncoded({ contentEncoding }: TransportResponse, { always }: Decoding): boolean {
  return contentEncoding !== undefined || always !== undefined;
}

/**
 * Functions that are passed to `decodeContent`, which is loaded on first use. If `decodeContent` imported them,
 * bundlers would move them to a shared chunk, and every page would load that chunk as an extra file.
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

/** The functions that `decodeContent` needs. */
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
