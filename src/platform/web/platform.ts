import type { Platform } from "../contract.js";
import { environment, processVariable } from "../environment.js";
import { signerOf } from "../signature.js";
import { decompressionStream as decompressor, deflate, inflate } from "./compression.js";
import { hmacSha1, md5 } from "./crypto.js";
import { fetchTransport } from "./fetch-transport.js";
import { dialWebSocket } from "./websocket.js";

/** The platform for Deno, Bun, edge functions and all other runtimes with web APIs. */
export const platform: Platform = {
  name: "web",
  signer: (body) => signerOf(platform, body),
  droppedHeaders: undefined,
  connectionCount: 100,
  createTransport: () => fetchTransport(),
  dialWebSocket: "WebSocket" in globalThis ? dialWebSocket : undefined,
  md5,
  hmacSha1,
  deflate,
  inflate,
  decompressor,
  env: processVariable,
  environment,
};
