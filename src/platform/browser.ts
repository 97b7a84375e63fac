import { EasUnsupportedError } from "../errors.js";
import { fetchTransport } from "./fetch-transport.js";
import type { Platform } from "./platform.js";
import { deflate, inflate } from "./web-compression.js";

function unsigned(): never {
  throw new EasUnsupportedError(
    'auth "signature" cannot work in a browser: the signature covers the Date header, which browsers do not let a page set; use "token", or better a relay that keeps the token on a server',
  );
}

/** Web pages and their workers. */
export const platform: Platform = {
  name: "browser",
  canSetDate: false,
  // The Fetch standard's "forbidden request-header" names but those that no request may set; User-Agent, which Chromium drops.
  droppedHeaders:
    /^(accept-(charset|encoding)|access-control-request-.+|cookie2?|date|dnt|host|origin|referer|set-cookie|user-agent|via|(proxy|sec)-.*)$/,
  // What browsers open to one host over HTTP/1.1: more would wait in the browser's queue, with the clock running.
  connectionCount: 6,
  createTransport: () => fetchTransport({ opaque: true }),
  // A page cannot send headers with a WebSocket's upgrade.
  dialWebSocket: undefined,
  md5: unsigned,
  hmacSha1: unsigned,
  deflate,
  inflate,
  env: () => undefined,
};
