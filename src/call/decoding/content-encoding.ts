import type { Bytes, Compression, CompressionCodec } from "../../formats/request.js";
import type { DecompressionFormat, Platform, TransportResponse } from "../../platform/contract.js";
import type { Decoding, DecodingTools } from "./decoding.js";

/** Content codings that are decompressed here, where the transport has not done so. "deflate" may also be raw: see `formatOf`. */
export const CODINGS: ReadonlyMap<string, "gzip" | "zlib" | "br"> = /* @__PURE__ */ new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "zlib"],
  ["zlib", "zlib"],
  ["br", "br"],
]);

/** Registered content codings (IANA) that are not decompressed here. Other names, such as "UTF-8" or "none", are ignored. */
const REFUSED = /^(aes128gcm|(x-)?compress|dcb|dcz|exi|pack200-gzip)$/;

/** Returns the format of a body. "deflate" is zlib by the standard; some servers send it raw, which the first two bytes tell. */
export function formatOf(coding: string, [first = 0, second = 0]: Uint8Array): DecompressionFormat | undefined {
  const format = CODINGS.get(coding);
  const isZlib = (first & 0x8f) === 8 && ((first << 8) | second) % 31 === 0;
  return coding === "deflate" && !isZlib ? "raw" : format;
}

/** Each is a whole decompression; nobody means more. */
export const MAX_CODINGS = 4;

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
  tools: DecodingTools,
): Promise<Bytes> {
  const { failure, show } = tools;
  let { body } = response;
  if (body.length === 0) return body;
  const { codecs, always } = decoding;
  const encoding = response.contentEncoding ?? "";
  const codings = codingsOf(tools, encoding, codecs);
  if (codings.length > MAX_CODINGS) {
    throw failure(`the response has ${codings.length} content codings, and more than ${MAX_CODINGS} are not decoded`);
  }
  if (encoding === "zstd" && isZstdUndone(response, platform)) codings.pop();
  for (const coding of codings.reverse()) {
    const compression = formatOf(coding, body) ?? codecs.find(({ contentCodings }) => contentCodings?.includes(coding));
    if (compression === undefined) throw unknownCoding(encoding, coding, tools);
    body = await undo(compression, body, response, platform, maxBytes, `Content-Encoding is ${show(encoding)}`, tools);
  }
  if (always !== undefined && success) {
    const named = codingsOf(tools, response.headers.get("content-encoding") ?? "", codecs);
    if (!named.some((coding) => undoes(always, coding))) {
      const name = typeof always === "string" ? always : always.name;
      body = await undo(always, body, response, platform, maxBytes, `decompression is ${show(name)}`, tools);
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

/** Returns the content codings that a header names, without "identity" and without names that are not codings. */
export function codingsOf(
  tools: Pick<DecodingTools, "importOf">,
  header: string,
  codecs: readonly CompressionCodec[] = [],
): string[] {
  const isCoding = (name: string) =>
    CODINGS.get(name) ??
    tools.importOf(name) ??
    (REFUSED.test(name) || codecs.some((codec) => codec.contentCodings?.includes(name)));
  return header
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter(isCoding);
}

function undoes(compression: Compression, coding: string): boolean {
  if (typeof compression === "string") return CODINGS.get(coding) === compression;
  return compression.contentCodings?.includes(coding) ?? false;
}

async function undo(
  compression: Compression | DecompressionFormat,
  bytes: Bytes,
  { headers }: TransportResponse,
  platform: Platform,
  maxBytes: number,
  said: string,
  { failure, isBytes, isError, messageOf }: DecodingTools,
): Promise<Bytes> {
  let decoded: Bytes | undefined;
  try {
    decoded =
      typeof compression === "string"
        ? await platform.inflate(compression, bytes, maxBytes)
        : await compression.decompress?.(bytes, { maxBytes, headers });
  } catch (cause) {
    if (isError(cause) && (cause as { readonly code?: unknown }).code === "ERR_EAS_UNSUPPORTED") {
      throw failure(`${said}, which is not decompressed here: ${cause.message}`, cause);
    }
    const what =
      isError(cause) && cause.name === "RangeError"
        ? `has more than ${maxBytes} bytes (maxResponseBytes)`
        : "cannot be decompressed";
    throw failure(`${said}, but the body ${what}: ${messageOf(cause)}`, cause);
  }
  if (!isBytes(decoded)) throw failure(`${said}, but its decompress() did not return bytes`);
  if (decoded.length > maxBytes) {
    throw failure(`${said}, but the body has more than ${maxBytes} bytes (maxResponseBytes): ${decoded.length}`);
  }
  return decoded;
}

function unknownCoding(encoding: string, coding: string, { failure, importOf, show }: DecodingTools): Error {
  const entry = importOf(coding);
  const advice = entry
    ? `${entry} and list it in the option decompression`
    : "only gzip, deflate, br (Node) and the codecs that the option decompression lists are decoded here";
  return failure(
    `the response has Content-Encoding ${show(encoding)}, and ${show(coding)} cannot be decoded: ${advice}`,
  );
}
