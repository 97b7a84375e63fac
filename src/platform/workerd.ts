import { fetchTransport } from "./fetch-transport.js";
import type { Platform } from "./platform.js";
import { signerOf } from "./signature.js";
import { deflate, inflate } from "./web-compression.js";
import { hmacSha1, toHex } from "./web-crypto.js";
import { dialWebSocket } from "./workerd-websocket.js";

/** Cloudflare Workers. Nothing is made at module level: a worker's I/O belongs to one request. */
export const platform: Platform = {
  name: "workerd",
  signer: (body) => signerOf(platform, body),
  droppedHeaders: undefined,
  // Workers may have six connections open at once for one incoming request.
  connectionCount: 6,
  createTransport: () => fetchTransport({ decodes: ["gzip", "br"] }),
  dialWebSocket,
  md5: async (bytes) => toHex(new Uint8Array(await crypto.subtle.digest("MD5", bytes as BufferSource))),
  hmacSha1,
  deflate,
  inflate,
  env: () => undefined,
};
