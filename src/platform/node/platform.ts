import type { Bytes } from "../../formats/request.js";
import type { Decompressor, Platform } from "../contract.js";
import { environment, processVariable } from "../environment.js";
import { signerOf } from "../signature.js";
import { decompressionStream } from "../web/compression.js";
import { nodeTransport } from "./http/transport.js";
import { dialWebSocket } from "./websocket.js";

// Load these modules on first use instead of importing them, because processes that send a plain token do not need
// node:crypto, and few processes use compression.
let crypto: typeof import("node:crypto") | undefined;
const zlib = () => process.getBuiltinModule("node:zlib");

function nodeCrypto(): typeof import("node:crypto") {
  crypto ??= process.getBuiltinModule("node:crypto");
  return crypto;
}

const NO_BYTES = new Uint8Array(0);

function md5([first = NO_BYTES, ...others]: readonly Uint8Array[]): string {
  // For small bodies, `hash` takes a third of the time that `createHash` takes.
  if (others.length === 0) return nodeCrypto().hash("md5", first, "hex");
  const hash = nodeCrypto().createHash("md5").update(first);
  for (const chunk of others) hash.update(chunk);
  return hash.digest("hex");
}

/** The platform for Node 20.18.1 and later. */
export const platform: Platform = {
  name: "node",
  signer: (body) => signerOf(platform, body),
  droppedHeaders: undefined,
  connectionCount: 100,
  createTransport: nodeTransport,
  dialWebSocket,
  md5,
  hmacSha1: (key, text) => nodeCrypto().createHmac("sha1", key).update(text).digest("base64"),
  deflate: (format, bytes) =>
    run((done) => (format === "gzip" ? zlib().gzip(bytes, done) : zlib().deflate(bytes, done))),
  inflate: (format, bytes, maxBytes) => {
    // zlib rejects a limit above the maximum size of a buffer.
    const maxOutputLength = Math.min(maxBytes, process.getBuiltinModule("node:buffer").constants.MAX_LENGTH);
    const names = { gzip: "gunzip", zlib: "inflate", raw: "inflateRaw", br: "brotliDecompress" } as const;
    // The cast is needed because the overloads of brotliDecompress differ from those of the other functions.
    const decompress = zlib()[names[format]] as typeof import("node:zlib").inflate;
    return run((done) => decompress(bytes, { maxOutputLength }, done));
  },
  decompressor(format) {
    if (format !== "br") return decompressionStream(format);
    const { Duplex } = process.getBuiltinModule("node:stream");
    return Duplex.toWeb(zlib().createBrotliDecompress()) as unknown as Decompressor;
  },
  env: processVariable,
  environment,
};

function run(start: (done: (error: Error | null, bytes: Buffer) => void) => void): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    // Copy the bytes, because the result belongs to the caller and a Buffer can be a view of pooled memory.
    start((error, bytes) => (error ? reject(error) : resolve(new Uint8Array(bytes))));
  });
}
