import { EasUnsupportedError } from "../../errors.js";
import { isSuccess, MAX_ERROR_BYTES, type Platform, responseTooLarge, TransportError } from "../contract.js";
import { decompressionStream as decompressor, deflate, inflate } from "../web/compression.js";
import { fetchTransport } from "../web/fetch-transport.js";

function unsigned(): never {
  throw new EasUnsupportedError(
    "signatures are not available in browsers: they cover the Date header, which pages cannot set",
  );
}

/** The platform for web pages and their workers. */
export const platform: Platform = {
  name: "browser",
  signer: undefined,
  // The "forbidden request-header" names from the Fetch standard, except names that no request may set, plus
  // User-Agent, which Chromium drops.
  droppedHeaders:
    /^(accept-(charset|encoding)|access-control-request-.+|cookie2?|date|dnt|host|origin|referer|set-cookie|user-agent|via|(proxy|sec)-.*)$/,
  // The number of connections that browsers open to one host over HTTP/1.1. Additional requests would wait in the
  // browser's queue while their timeout is running.
  connectionCount: 6,
  createTransport() {
    const transport = fetchTransport({ opaque: true });
    return {
      ...transport,
      // XMLHttpRequest is not available in service workers.
      reportsUploads: "XMLHttpRequest" in globalThis,
      send: (request) =>
        request.onUploadProgress && request.body
          ? import("./xhr-transport.js").then(({ sendByXhr }) =>
              sendByXhr(request, isSuccess, MAX_ERROR_BYTES, responseTooLarge, TransportError),
            )
          : transport.send(request),
    };
  },
  // A page cannot send headers with a WebSocket's upgrade request.
  dialWebSocket: undefined,
  md5: unsigned,
  hmacSha1: unsigned,
  deflate,
  inflate,
  decompressor,
  env: () => undefined,
  environment: undefined,
};
