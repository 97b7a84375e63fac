import type { Bytes, Compression, CompressionCodec } from "../../formats/request.js";
import type { DecompressionFormat, Platform, TransportResponse } from "../../platform/contract.js";
import type { Decoding, DecodingTools } from "./decoding.js";

/**
 * Content codings that the client decompresses if the transport has not done so. "deflate" may also mean raw deflate;
 * see `formatOf`.
 */
export const CODINGS: ReadonlyMap<string, "gzip" | "zlib" | "br"> = /* @__PURE__ */ new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "zlib"],
  ["zlib", "zlib"],
  ["br", "br"],
]);

/**
 * Content codings that are registered with IANA but not supported. Other names, such as "UTF-8" or "none", are ignored.
 */
const REFUSED = /^(aes128gcm|(x-)?compress|dcb|dcz|exi|pack200-gzip)$/;

/**
 * Returns the format of a body, determined from its coding and first bytes, because some servers send raw deflate where
 * "deflate" means zlib.
 */
export function formatOf(coding: string, [first = 0, second = 0]: Uint8Array): DecompressionFormat | undefined {
  const format = CODINGS.get(coding);
  const isZlib = (first & 0x8f) === 8 && ((first << 8) | second) % 31 === 0;
  return coding === "deflate" && !isZlib ? "raw" : format;
}

/**
 * Maximum number of content codings for one body. Each coding requires another decompression, so a higher limit would
 * allow denial-of-service attacks.
 */
export const MAX_CODINGS = 4;

/**
 * Decodes a body's content codings, starting with the last, and then the compression that the `decompression` option
 * names. That compression is skipped if `Content-Encoding` also names it, because it was already decoded, either here
 * or by the runtime's `fetch`, which keeps the header. It is also skipped for error bodies, because they may come from
 * a gateway instead of the model. An empty body stays empty. Each step decodes at most `maxBytes`. Rejects with
 * `EasDecodeError`.
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
    throw failure(`the response has ${codings.length} content codings: at most ${MAX_CODINGS} are supported`);
  }
  if (encoding === "zstd" && isZstdDecoded(response, platform)) codings.pop();
  for (const coding of codings.reverse()) {
    const compression = formatOf(coding, body) ?? codecs.find(({ contentCodings }) => contentCodings?.includes(coding));
    if (compression === undefined) throw unknownCoding(encoding, coding, tools);
    body = await decompress(
      compression,
      body,
      response,
      platform,
      maxBytes,
      `Content-Encoding is ${show(encoding)}`,
      tools,
    );
  }
  if (always !== undefined && success) {
    const named = codingsOf(tools, response.headers.get("content-encoding") ?? "", codecs);
    if (!named.some((coding) => decodes(always, coding))) {
      const name = typeof always === "string" ? always : always.name;
      body = await decompress(always, body, response, platform, maxBytes, `decompression is ${show(name)}`, tools);
    }
  }
  return body;
}

/**
 * Whether `fetch` has already decoded zstd. Bun, newer browsers and Node 24 decode it without reporting it. A decoded
 * body does not start with a zstd frame, and its length differs from `Content-Length`. On Node, a body without that
 * header is treated as encoded, because the client's own connections do not decode.
 */
function isZstdDecoded({ body, headers }: TransportResponse, { name }: Platform): boolean {
  const [first = 0, second, third, fourth] = body;
  const isFrame = first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd;
  const isSkippable = first >> 4 === 5 && second === 0x2a && third === 0x4d && fourth === 0x18;
  if (isFrame || isSkippable) return false;
  const sent = headers.get("content-length");
  return sent === null ? name !== "node" : Number(sent) !== body.length;
}

/** Returns the content codings that a header names, except "identity" and names that are not content codings. */
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

function decodes(compression: Compression, coding: string): boolean {
  if (typeof compression === "string") return CODINGS.get(coding) === compression;
  return compression.contentCodings?.includes(coding) ?? false;
}

async function decompress(
  compression: Compression | DecompressionFormat,
  bytes: Bytes,
  { headers }: TransportResponse,
  platform: Platform,
  maxBytes: number,
  subject: string,
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
      throw failure(`${subject}, which is not supported: ${cause.message}`, cause);
    }
    const what =
      isError(cause) && cause.name === "RangeError"
        ? `is larger than ${maxBytes} bytes (maxResponseBytes)`
        : "cannot be decompressed";
    throw failure(`${subject}, but the body ${what}: ${messageOf(cause)}`, cause);
  }
  if (!isBytes(decoded)) throw failure(`${subject}, but its decompress() did not return bytes`);
  if (decoded.length > maxBytes) {
    throw failure(`${subject}, but the body is larger than ${maxBytes} bytes (maxResponseBytes): ${decoded.length}`);
  }
  return decoded;
}

function unknownCoding(encoding: string, coding: string, { failure, importOf, show }: DecodingTools): Error {
  const entry = importOf(coding);
  const advice = entry
    ? `${entry} and list it in the decompression option`
    : "only gzip, deflate, br (on Node) and the codecs in the decompression option are supported";
  return failure(
    `the response has Content-Encoding ${show(encoding)}, and ${show(coding)} cannot be decoded: ${advice}`,
  );
}
