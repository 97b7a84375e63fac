import { EasUnsupportedError } from "../../errors.js";
import { isSuccess, MAX_ERROR_BYTES, type Platform, responseTooLarge, TransportError } from "../contract.js";
import { decompressionStream as decompressor, deflate, inflate } from "../web/compression.js";
import { fetchTransport } from "../web/fetch-transport.js";

function unsigned(): never {
  throw new EasUnsupportedError(
    "signatures are not available in browsers: they cover the Date header, which pages cannot set",
  );
}

/** The platform of web pages and their workers. */
export const platform: Platform = {
  name: "browser",
  signer: undefined,
  // The "forbidden request-header" names of the Fetch standard, except names that no request may set. Also includes
  // User-Agent, which Chromium drops.
  droppedHeaders:
    /^(accept-(charset|encoding)|access-control-request-.+|cookie2?|date|dnt|host|origin|referer|set-cookie|user-agent|via|(proxy|sec)-.*)$/,
  // The number of connections that browsers open to one host over HTTP/1.1. Additional requests would wait in the
  // browser's queue while their timeout runs.
  connectionCount: 6,
  createTransport() {
    const transport = fetchTransport({ opaque: true });
    return {
      ...transport,
      // Service workers do not have XMLHttpRequest.
      reportsUploads: "XMLHttpRequest" in globalThis,
      send: (request) =>
        request.onUploadProgress && request.body
          ? import("./xhr-transport.js").then(({ sendByXhr }) =>
              sendByXhr(request, isSuccess, MAX_ERROR_BYTES, responseTooLarge, TransportError),
            )
          : transport.send(request),
    };
  },
  // A page cannot send headers with the upgrade request of a WebSocket.
  dialWebSocket: undefined,
  md5: unsigned,
  hmacSha1: unsigned,
  deflate,
  inflate,
  decompressor,
  env: () => undefined,
};
