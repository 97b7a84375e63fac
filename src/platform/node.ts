import type { Bytes } from "../request.js";
import { nodeTransport } from "./node-transport.js";
import { dialWebSocket } from "./node-websocket.js";
import type { Platform } from "./platform.js";
import { signerOf } from "./signature.js";

// Built-in modules are asked for when they are needed and not imported: a process that only builds a request, or
// sends with a token, loads neither.
const zlib = () => process.getBuiltinModule("node:zlib");
let loaded: typeof import("node:crypto") | undefined;
function crypto(): typeof import("node:crypto") {
  loaded ??= process.getBuiltinModule("node:crypto");
  return loaded;
}

/** Node 20.18.1 and later. */
export const platform: Platform = {
  name: "node",
  signer: (body) => signerOf(platform, body),
  droppedHeaders: undefined,
  connectionCount: 100,
  createTransport: nodeTransport,
  dialWebSocket,
  md5: (bytes) => crypto().hash("md5", bytes, "hex"),
  hmacSha1: (key, text) => crypto().createHmac("sha1", key).update(text).digest("base64"),
  deflate: (format, bytes) =>
    run((done) => (format === "gzip" ? zlib().gzip(bytes, done) : zlib().deflate(bytes, done))),
  inflate: (format, bytes, maxBytes) => {
    // zlib refuses a limit beyond what one buffer can hold.
    const maxOutputLength = Math.min(maxBytes, process.getBuiltinModule("node:buffer").constants.MAX_LENGTH);
    return run((done) =>
      format === "gzip"
        ? zlib().gunzip(bytes, { maxOutputLength }, done)
        : zlib().inflate(bytes, { maxOutputLength }, done),
    );
  },
  env: (name) => process.env[name],
};

function run(start: (done: (error: Error | null, bytes: Buffer) => void) => void): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    // A Buffer may be a window on a pool; what leaves here is the receiver's own.
    start((error, bytes) => (error ? reject(error) : resolve(new Uint8Array(bytes))));
  });
}
