import type { Bytes } from "../../formats/request.js";
import type { Platform } from "../contract.js";
import { environment, processVariable } from "../environment.js";
import { signerOf } from "../signature.js";
import { decompressionStream as decompressor, deflate, inflate } from "../web/compression.js";
import { hmacSha1, toHex } from "../web/crypto.js";
import { fetchTransport } from "../web/fetch-transport.js";
import { dialWebSocket } from "./websocket.js";

/**
 * The platform for Cloudflare Workers. Nothing is created at module level, because I/O objects belong to a single
 * incoming request.
 */
export const platform: Platform = {
  name: "workerd",
  signer: (body) => signerOf(platform, body),
  droppedHeaders: undefined,
  // A Worker can have at most six open connections per incoming request.
  connectionCount: 6,
  createTransport: () => fetchTransport({ decodes: ["gzip", "br"] }),
  dialWebSocket,
  md5: async (chunks) => {
    const whole = chunks.length === 1 ? chunks[0] : await new Blob(chunks as Bytes[]).arrayBuffer();
    return toHex(new Uint8Array(await crypto.subtle.digest("MD5", whole as BufferSource)));
  },
  hmacSha1,
  deflate,
  inflate,
  decompressor,
  // Workers have `process.env` only with the compatibility flag `nodejs_compat`.
  env: processVariable,
  environment,
};
