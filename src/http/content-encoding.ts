import { show } from "../argument-errors.js";
import { EasDecodeError } from "../errors.js";
import type { Platform, TransportResponse } from "../platform/platform.js";
import type { Bytes, Compression } from "../request.js";
import { type Decoding, importOf, own } from "./decoding.js";
import { cleanCause } from "./redact.js";

/** Content codings that are undone here, where the transport has not done so. HTTP's "deflate" is the zlib format. */
export const CODINGS: Readonly<Record<string, "gzip" | "zlib">> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "zlib",
  zlib: "zlib",
};

/** Each is a whole decompression; nobody means more. */
const MOST_CODINGS = 4;

/**
 * The body with its content codings undone, the last of them first, and then with the one compression that a client was told
 * of for all answers. That one is undone once only: not again where `Content-Encoding` names it, whether that is undone here
 * or was undone by the runtime's `fetch`, which leaves the header in place. An empty body is left alone; of an error's body only
 * the `Content-Encoding` is undone, since a gateway's errors are no answers of the model.
 *
 * At most `maxBytes` at each step. Rejects with `EasDecodeError`.
 */
export async function decodeContent(
  response: TransportResponse,
  platform: Platform,
  maxBytes: number,
  decoding: Decoding,
  success: boolean,
): Promise<Bytes> {
  let { body } = response;
  if (body.length === 0) return body;
  const { codecs, always } = decoding;
  const encoding = response.contentEncoding ?? "";
  const codings = codingsOf(encoding);
  if (codings.length > MOST_CODINGS) {
    throw failure(`the response has ${codings.length} content codings, and more than ${MOST_CODINGS} are not undone`);
  }
  if (encoding === "zstd" && isZstdUndone(response, platform)) codings.pop();
  for (const coding of codings.reverse()) {
    const compression = own(CODINGS, coding) ?? codecs.find(({ contentCodings }) => contentCodings?.includes(coding));
    if (compression === undefined) throw unknownCoding(encoding, coding);
    body = await undo(compression, body, response, platform, maxBytes, `Content-Encoding is ${show(encoding)}`);
  }
  if (always !== undefined && success) {
    const named = codingsOf(response.headers.get("content-encoding") ?? "");
    if (!named.some((coding) => undoes(always, coding))) {
      const name = typeof always === "string" ? always : always.name;
      body = await undo(always, body, response, platform, maxBytes, `decompression is ${show(name)}`);
    }
  }
  return body;
}

/**
 * Whether `fetch` has undone zstd, which it does in Bun, in newer browsers and in Node 24, and nowhere says: then the body does
 * not begin as zstd, and has not the length that was sent. Where no length was sent, Node's own connections are trusted to
 * have left the body as it came.
 */
function isZstdUndone({ body, headers }: TransportResponse, { name }: Platform): boolean {
  const [first = 0, second, third, fourth] = body;
  const isFrame = first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd;
  const isSkippable = first >> 4 === 5 && second === 0x2a && third === 0x4d && fourth === 0x18;
  if (isFrame || isSkippable) return false;
  const sent = headers.get("content-length");
  return sent === null ? name !== "node" : Number(sent) !== body.length;
}

/** The codings that a header names, but for the one that changes nothing. */
export function codingsOf(header: string): string[] {
  const codings = header.split(",").map((coding) => coding.trim().toLowerCase());
  return codings.filter((coding) => coding !== "" && coding !== "identity");
}

function undoes(compression: Compression, coding: string): boolean {
  if (typeof compression === "string") return own(CODINGS, coding) === compression;
  return compression.contentCodings?.includes(coding) ?? false;
}

async function undo(
  compression: Compression,
  bytes: Bytes,
  { headers }: TransportResponse,
  platform: Platform,
  maxBytes: number,
  said: string,
): Promise<Bytes> {
  let decoded: Bytes | undefined;
  try {
    decoded =
      typeof compression === "string"
        ? await platform.inflate(compression, bytes, maxBytes)
        : await compression.decompress?.(bytes, { maxBytes, headers });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const what =
      cause instanceof RangeError ? `has more than ${maxBytes} bytes (maxResponseBytes)` : "cannot be decompressed";
    throw failure(`${said}, but the body ${what}: ${why}`, cause);
  }
  if (!(decoded instanceof Uint8Array)) throw failure(`${said}, but its decompress() did not return bytes`);
  if (decoded.length > maxBytes) {
    throw failure(`${said}, but the body has more than ${maxBytes} bytes (maxResponseBytes): ${decoded.length}`);
  }
  return decoded;
}

function unknownCoding(encoding: string, coding: string): EasDecodeError {
  const entry = importOf(coding);
  const advice = entry
    ? `${entry} and list it in the option decompression`
    : "only gzip, deflate and the codecs that the option decompression lists are undone here";
  return failure(
    `the response has Content-Encoding ${show(encoding)}, and nothing here undoes ${show(coding)}: ${advice}`,
  );
}

function failure(message: string, cause?: unknown): EasDecodeError {
  const clean = cause === undefined ? {} : { cause: cleanCause(cause, "") };
  return new EasDecodeError(message, { format: "content-encoding", ...clean });
}
