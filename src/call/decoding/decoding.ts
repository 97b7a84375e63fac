import { importOf } from "../../config/validate.js";
import { EasDecodeError } from "../../errors.js";
import type { Compression, CompressionCodec, Decompression } from "../../formats/request.js";
import type { TransportResponse } from "../../platform/contract.js";
import { show } from "../../util/argument-errors.js";
import { isBytes, isError, messageOf } from "../../util/realms.js";
import { cleanCause } from "../failures/redact.js";

/** Decompression of a call's response bodies. */
export interface Decoding {
  /** Codecs for `Content-Encoding`, in addition to the built-in codecs. */
  readonly codecs: readonly CompressionCodec[];
  /** Compression that every successful body is assumed to have, regardless of its headers. */
  readonly always: Compression | undefined;
}

/**
 * Combines the `decompression` option with the request's compression, because the response may use the same
 * compression.
 */
export function decodingOf(decompression: Decompression, compression: Compression | undefined): Decoding {
  // The request's compression has not been checked yet.
  const sent = typeof compression === "object" && compression !== null && compression.decompress ? [compression] : [];
  if (decompression === "auto") return { codecs: sent, always: undefined };
  if (isList(decompression)) return { codecs: [...decompression, ...sent], always: undefined };
  return { codecs: typeof decompression === "string" ? sent : [decompression, ...sent], always: decompression };
}

function isList(value: Compression | readonly CompressionCodec[]): value is readonly CompressionCodec[] {
  return Array.isArray(value);
}

/** Whether a response body must be decoded. */
export function isEncoded({ contentEncoding }: TransportResponse, { always }: Decoding): boolean {
  return contentEncoding !== undefined || always !== undefined;
}

/**
 * Functions passed to `decodeContent`, which is loaded on first use. If `decodeContent` imported them, bundlers would
 * move them to a shared chunk, which every page would have to load as an extra file.
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
