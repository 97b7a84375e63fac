import type { Bytes } from "../../formats/request.js";
import type { Decompressor, Platform } from "../contract.js";
import { signerOf } from "../signature.js";
import { decompressionStream } from "../web/compression.js";
import { md5, nodeCrypto } from "./hashes.js";
import { nodeTransport } from "./http/transport.js";
import { dialWebSocket } from "./websocket.js";

// Asked for when it is needed and not imported: few processes compress.
const zlib = () => process.getBuiltinModule("node:zlib");

/** Node 20.18.1 and later. */
export const platform: Platform = {
  name: "node",
  signer: (body, md5 = platform.md5) => signerOf(platform, md5, body),
  droppedHeaders: undefined,
  connectionCount: 100,
  createTransport: nodeTransport,
  dialWebSocket,
  md5,
  hmacSha1: (key, text) => nodeCrypto().createHmac("sha1", key).update(text).digest("base64"),
  deflate: (format, bytes) =>
    run((done) => (format === "gzip" ? zlib().gzip(bytes, done) : zlib().deflate(bytes, done))),
  inflate: (format, bytes, maxBytes) => {
    // zlib refuses a limit beyond what one buffer can hold.
    const maxOutputLength = Math.min(maxBytes, process.getBuiltinModule("node:buffer").constants.MAX_LENGTH);
    const names = { gzip: "gunzip", zlib: "inflate", raw: "inflateRaw", br: "brotliDecompress" } as const;
    // The overloads of brotliDecompress differ from those of the others.
    const decompress = zlib()[names[format]] as typeof import("node:zlib").inflate;
    return run((done) => decompress(bytes, { maxOutputLength }, done));
  },
  decompressor(format) {
    if (format !== "br") return decompressionStream(format);
    const { Duplex } = process.getBuiltinModule("node:stream");
    return Duplex.toWeb(zlib().createBrotliDecompress()) as unknown as Decompressor;
  },
  env: (name) => process.env[name],
};

function run(start: (done: (error: Error | null, bytes: Buffer) => void) => void): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    // A Buffer may be a window on a pool; what leaves here is the receiver's own.
    start((error, bytes) => (error ? reject(error) : resolve(new Uint8Array(bytes))));
  });
}
