import { decodeContent } from "../../../src/call/decoding/content-encoding.js";
import { DECODING_TOOLS, decodingOf } from "../../../src/call/decoding/decoding.js";
import { redactBytes, redactHeaders, redactText } from "../../../src/call/failures/redact.js";
import { statusHint } from "../../../src/call/failures/status-hint.js";
import { parseRetryAfter } from "../../../src/config/retry.js";
import type { TransportRequest } from "../../../src/platform/contract.js";
import { toHeaders } from "../../../src/platform/node/http/raw-headers.js";
import { platform } from "../../../src/platform/node/platform.js";
import { fetchTransport } from "../../../src/platform/web/fetch-transport.js";
import { type Bytes, must, table, textOf, utf8 } from "../decoder.js";

// Headers of responses.

const PIECES = [
  " ",
  "\t",
  ",",
  ", ",
  "gzip",
  "identity",
  "br",
  "zstd",
  "deflate",
  "close",
  "chunked",
  "0",
  "9",
  "-1",
  "1e3",
  "GMT",
  "Wed, 25 Nov 2026 11:00:00 GMT",
  "Sun, 06 Nov 1994 08:49:37 GMT",
  "\0",
  "\r\n",
  "é",
  "__proto__",
  "constructor",
  "token-7c2f",
  "token-",
  "*",
  "tok",
].map(utf8);

const TOKEN = "token-7c2f";

/** Text that a header can contain: Latin-1 without control characters. */
const headerOf = (bytes: Bytes): string =>
  Buffer.from(bytes)
    .toString("latin1")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no server's headers have them
    .replace(/[\x00-\x08\x0a-\x1f\x7f]/g, "");

export const HEADERS = table({ pieces: PIECES }, [
  {
    name: "Retry-After",
    samples: () => ["5", "0", "120", "Wed, 25 Nov 2026 11:00:00 GMT"].map(utf8),
    decode(value: Bytes) {
      const wait = parseRetryAfter(textOf(value));
      must(wait === undefined || (Number.isFinite(wait) && wait >= 0), "the time to wait");
    },
  },
  {
    name: "Content-Encoding",
    samples: () => ["gzip", "gzip, identity", "GZIP , deflate", ""].map(utf8),
    async decode(value: Bytes) {
      const contentEncoding = headerOf(value).trim().toLowerCase() || undefined;
      const body = new Uint8Array(0);
      await decodeContent(
        { status: 200, headers: new Headers(), body, contentEncoding },
        platform,
        1,
        decodingOf("auto", undefined),
        true,
        DECODING_TOOLS,
      );
      const one = Uint8Array.of(1);
      await decodeContent(
        { status: 200, headers: new Headers(), body: one, contentEncoding },
        platform,
        1,
        decodingOf("auto", undefined),
        true,
        DECODING_TOOLS,
      ).catch((error: { code?: unknown }) => {
        if (error.code !== "ERR_EAS_DECODE") throw error;
      });
    },
  },
  {
    name: "headers of fetch",
    samples: () => ["gzip", "gzip,br", "x"].map(utf8),
    async decode(value: Bytes) {
      const headers = new Headers({ "content-encoding": headerOf(value) });
      const transport = fetchTransport({ fetch: async () => new Response("a", { headers }) });
      const request = {
        origin: "http://x",
        path: "/",
        body: null,
        headers: [],
        maxResponseBytes: 10,
        signal: new AbortController().signal,
      };
      await transport.send(request as unknown as TransportRequest);
    },
  },
  {
    name: "raw headers",
    samples: () => [utf8("a: b\nContent-Type: x\nc: d")],
    decode(lines: Bytes) {
      // Raw headers in undici's form, after its parser has checked them.
      const raw = headerOf(lines)
        .split(",")
        .flatMap((value, i) => [Buffer.from(`x-${i % 50}`), Buffer.from(value, "latin1")]);
      const clean = redactHeaders(toHeaders(raw), TOKEN);
      for (const [, value] of clean) must(!value.includes(TOKEN), "no token in a header");
    },
  },
  {
    name: "redaction",
    samples: () => [utf8(`a ${TOKEN} b ${TOKEN}${TOKEN}`), utf8(`tok${TOKEN}en-7c2f`)],
    decode(body: Bytes) {
      const length = body.length;
      must(!Buffer.from(redactBytes(body, TOKEN)).includes(TOKEN) && body.length === length, "no token in bytes");
      must(!redactText(textOf(body), TOKEN).includes(TOKEN), "no token in a text");
      redactBytes(body, "****");
      redactBytes(body, "\0\0\0\0");
    },
  },
  {
    name: "hint of a status",
    samples: () => [utf8("no healthy upstream"), utf8("upstream connect error")],
    decode: (text: Bytes) => {
      for (const status of [301, 401, 404, 418, 503, 599]) statusHint(status, textOf(text), "token");
    },
  },
]);
