import { randomOf } from "./random.mjs";

/** The head of each framing, and whether the end of its body is explicit. */
export const FRAMINGS = {
  "HTTP/1.0 with a length": { head: "HTTP/1.0 200 OK\r\nContent-Length: LENGTH\r\n\r\n", isDelimited: true },
  "HTTP/1.0 kept alive": {
    head: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: LENGTH\r\n\r\n",
    isDelimited: true,
  },
  "HTTP/1.0 in chunks": {
    head: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    isDelimited: true,
    isChunked: true,
  },
  "HTTP/1.0 to the end": { head: "HTTP/1.0 200 OK\r\n\r\n" },
  "HTTP/1.1 to the end": { head: "HTTP/1.1 200 OK\r\n\r\n" },
  xchunked: { head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n" },
  "chunked, identity": { head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n" },
  "closed, with a length": {
    head: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: LENGTH\r\n\r\n",
    isDelimited: true,
  },
  "closed, in chunks": {
    head: "HTTP/1.1 200 OK\r\nConnection: foo, CLOSE\r\nTransfer-Encoding: chunked\r\n\r\n",
    isDelimited: true,
    isChunked: true,
  },
  "kept alive, with a length": { head: "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\n", isDelimited: true },
  "kept alive, in chunks": {
    head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    isDelimited: true,
    isChunked: true,
  },
};

/** Returns the byte at an offset of every body. */
export const BYTE_AT = (place) => (place * 31 + (place >>> 8)) & 0xff;

/** Returns the plan of a run, which is the same for the server and the client. */
export function runOf(seed, at) {
  const random = randomOf((seed + at * 104_729) % 2 ** 31);
  const pick = (values) => values[Math.floor(random() * values.length)];
  const framing = pick(Object.keys(FRAMINGS));
  // Near the 256 KiB after which the client applies backpressure.
  const bytes = pick([65_536, 262_144, 278_528, 300_000, 524_288, 1_048_576]);
  const sent = pick([bytes, bytes >> 1, bytes - 1, Math.min(bytes, 262_144)]);
  const way = pick(["stream", "fetch", "relay"]);
  const reader = pick(["late", "slow", "stops"]);
  return { framing, ending: pick(["FIN", "RST"]), bytes, sent, lag: pick([0, 5, 20]), way, reader };
}
