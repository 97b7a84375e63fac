import { platform } from "#platform";
import type { Bytes, CompressionCodec } from "../../formats/request.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { messageOf } from "../../util/realms.js";
import type {
  EmulatorCall,
  EmulatorCompressor,
  EmulatorContentEncoding,
  EmulatorDecompressor,
  EmulatorService,
} from "../services/service.js";

interface Coding {
  readonly contentEncoding: string;
  /** Returns the codec, which is loaded on first use so that the emulator can start without it. */
  codec(): CompressionCodec | Promise<CompressionCodec>;
}

const builtIn = (format: "gzip" | "zlib"): CompressionCodec => ({
  name: format,
  compress: (bytes) => platform.deflate(format, bytes),
  decompress: (bytes, { maxBytes }) => platform.inflate(format, bytes, maxBytes),
});

const CODINGS: Readonly<Record<EmulatorCompressor, Coding>> = {
  gzip: { contentEncoding: "gzip", codec: () => builtIn("gzip") },
  zlib: { contentEncoding: "zlib", codec: () => builtIn("zlib") },
  deflate: { contentEncoding: "deflate", codec: () => builtIn("zlib") },
  snappy: { contentEncoding: "snappy", codec: async () => (await import("../../compression/snappy.js")).snappy },
  lz4: { contentEncoding: "lz4", codec: async () => (await import("../../compression/lz4.js")).lz4 },
  "lz4-frame": { contentEncoding: "lz4", codec: async () => (await import("../../compression/lz4.js")).lz4Frame },
  zstd: { contentEncoding: "zstd", codec: async () => (await import("../../compression/zstd.js")).zstd },
};

const COMPRESSORS = Object.keys(CODINGS) as EmulatorCompressor[];
const CONTENT_ENCODINGS: Readonly<Record<EmulatorContentEncoding, EmulatorDecompressor>> = {
  gzip: "gzip",
  deflate: "zlib",
  snappy: "snappy",
  lz4: "lz4",
  zstd: "zstd",
};
const DECOMPRESSORS: readonly EmulatorDecompressor[] = ["gzip", "zlib", "snappy", "lz4", "zstd"];

/** Maximum size of a decompressed body; the same as the server's limit for received bodies. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

const SERVICE_OPTIONS: OptionNames<EmulatorService> = {
  handle: 1,
  token: 1,
  socket: 1,
  accept: 1,
  protocols: 1,
  methods: 1,
  decompressor: 1,
  contentEncoding: 1,
  compressor: 1,
};

/** Returns the service unchanged. Throws a `TypeError` for unknown options and invalid compression settings. */
export function checkService(service: EmulatorService): EmulatorService {
  checkOptionNames("service options", service, SERVICE_OPTIONS);
  const check = (name: string, value: unknown, allowed: readonly string[]) => {
    if (value === undefined || allowed.includes(value as string)) return;
    throw argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must be one of ${allowed.join(", ")}`);
  };
  check("decompressor", service.decompressor, DECOMPRESSORS);
  check("compressor", service.compressor, COMPRESSORS);
  check("contentEncoding", service.contentEncoding, Object.keys(CONTENT_ENCODINGS));
  return service;
}

/** Throws the 415 response for a request whose `Content-Encoding` the service does not accept. */
function refuseEncoding(coding: string, accepted: string): never {
  throw new Response(`Content-Encoding is ${show(coding)}: the service accepts ${accepted}`, { status: 415 });
}

/** Returns a call's body, decompressed by its `Content-Encoding` or, without one, by the service's `decompressor`. */
export async function decompressBody(
  { decompressor, contentEncoding }: EmulatorService,
  call: EmulatorCall,
): Promise<Bytes> {
  const { body } = call;
  const coding = call.headers.get("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (contentEncoding !== undefined && coding !== contentEncoding) {
    refuseEncoding(coding, `${show(contentEncoding)} only`);
  }
  if (coding !== "identity" && !Object.hasOwn(CONTENT_ENCODINGS, coding)) {
    refuseEncoding(coding, Object.keys(CONTENT_ENCODINGS).join(", "));
  }
  const name = coding === "identity" ? decompressor : CONTENT_ENCODINGS[coding as EmulatorContentEncoding];
  if (name === undefined || body.length === 0) return body;
  const codec = await CODINGS[name].codec();
  try {
    // Do not pass the call's headers: no SDK sends an LZ4 block's length, and there is no evidence that EAS requires
    // it.
    return await (codec.decompress?.(body, { maxBytes: MAX_BODY_BYTES, headers: new Headers() }) ?? body);
  } catch (cause) {
    const reason = messageOf(cause);
    throw new Error(`the body cannot be decompressed as ${name}: ${reason}`, { cause });
  }
}

/** Compresses a successful response. Responses without a body, or with a `Content-Encoding`, are returned unchanged. */
export async function compressResponse(name: EmulatorCompressor | undefined, response: Response): Promise<Response> {
  if (name === undefined || !response.ok || response.body === null || response.headers.has("content-encoding"))
    return response;
  const { contentEncoding, codec } = CODINGS[name];
  const plain = new Uint8Array(await response.arrayBuffer());
  const compressed = await (await codec()).compress(plain);
  const headers = new Headers(response.headers);
  headers.set("content-encoding", contentEncoding);
  headers.set("content-length", String(compressed.length));
  if (name === "lz4") headers.set("x-lz4-original-length", String(plain.length));
  return new Response(compressed, { status: response.status, headers });
}
