// A service that fails for every call. The budget limits retries, so that the load must not multiply. Requests and
// connections are counted by the server. Without a server, connections and lookups are counted in Node.
import { channel } from "node:diagnostics_channel";
import dns from "node:dns";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { isEasError, PredictClient } from "../../dist/index.js";
import { percentile } from "./measure.mjs";

const CALLS = 1_000;
const CONCURRENCY = 50;
/** Maximum requests per call, including the retries until the budget is empty. */
const MAX_PER_CALL = 1.2;

const CASES = [
  { name: "500", ...answering(500, "the model failed") },
  { name: "503", ...answering(503, "busy") },
  { name: "503 no healthy upstream", ...answering(503, "no healthy upstream") },
  { name: "429", ...answering(429, "slow down") },
  { name: "empty 404", ...answering(404, ""), isFinal: true },
  { name: "empty 404, waitForReady", ...answering(404, ""), call: { waitForReady: { timeout: 1_000 } }, mayAsk: true },
  { name: "reset after the request", start: (counts) => listen(resetting(counts)), by: ["requests", "connections"] },
  { name: "refused", start: refusing, by: ["attempts"] },
  {
    name: "unknown certificate authority",
    start: (counts) => listen(tls(counts), "https"),
    isFinal: true,
    by: ["connections"],
  },
  {
    name: "https on a plain port",
    start: (counts) => listen(plain(counts), "https"),
    isFinal: true,
    by: ["connections"],
  },
  { name: "name without an address", start: lookingUp, by: ["lookUps"] },
];

export function totalFailures() {
  return CASES.map((one) => ({ ...one, name: `only ${one.name}`, calls: CALLS, kind: "predict", run: countLoad }));
}

async function countLoad(_, { name, kind, calls, start, by, isFinal = false, mayAsk = false, call }) {
  const counts = { requests: 0, posts: 0, connections: 0, attempts: 0, lookUps: 0 };
  const { endpoint, close } = await start(counts);
  const client = new PredictClient({ endpoint, serviceName: "echo", token: "fault-token" });
  const problems = [];
  const durations = [];
  const codes = new Map();
  let next = 0;
  let answered = 0;
  let repeated = 0;
  const caller = async () => {
    while (next++ < calls) {
      const begun = performance.now();
      try {
        await client.predict("hello", call);
        answered++;
      } catch (error) {
        if (!isEasError(error)) problems.push(`a call rejected with ${error?.stack ?? error}`);
        const code = error.systemCode ?? error.status ?? error.code;
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (isFinal && error.retryable) problems.push(`retryable: ${error.message}`);
        if (!mayAsk) repeated += error.attempts - 1;
      }
      durations.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  await client.close();
  await close();
  if (answered > 0) problems.push(`${answered} calls succeeded`);
  if (mayAsk) {
    if (counts.posts !== calls) problems.push(`the ${calls} calls were sent ${counts.posts} times`);
  } else {
    for (const kind of by) {
      const each = counts[kind] / calls;
      // A final failure costs one request, or one TLS handshake, which counts as a connection.
      const isWrong = isFinal && kind === by[0] ? each !== 1 : each > MAX_PER_CALL || each === 0;
      if (isWrong) problems.push(`${counts[kind]} ${kind} for ${calls} calls`);
    }
  }
  const failed = [...codes].map(([code, count]) => `${code}×${count}`).join(" ");
  const extra = by.map((kind) => `${counts[kind] / calls} ${kind} per call`).join(", ");
  const row = { name, mode: "-", kind, calls, answered, failed, extra, retries: repeated };
  return { row: { ...row, p50: percentile(durations, 0.5), p99: percentile(durations, 0.99) }, problems };
}

function answering(status, text) {
  const start = (counts) =>
    listen(
      createHttpServer((request, response) => {
        counts.requests++;
        if (request.method === "POST") counts.posts++;
        request.resume().on("end", () => response.writeHead(status).end(text));
      }).on("connection", () => counts.connections++),
    );
  return { start, by: ["requests", "connections"] };
}

async function listen(server, scheme = "http") {
  server.listen(0, "127.0.0.1", 1_024);
  await once(server, "listening");
  return {
    endpoint: `${scheme}://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

function resetting(counts) {
  return createServer((socket) => {
    counts.connections++;
    socket.on("error", () => {});
    socket.once("data", () => {
      counts.requests++;
      socket.resetAndDestroy();
    });
  });
}

/** A port without a server. */
async function refusing(counts) {
  const server = await listen(createServer());
  await server.close();
  const count = () => counts.attempts++;
  channel("net.client.socket").subscribe(count);
  return { ...server, close: async () => channel("net.client.socket").unsubscribe(count) };
}

/** Returns a PEM of the certificates that the unit tests use. */
function pemOf(kind) {
  const text = readFileSync(new URL("../support/certificates.ts", import.meta.url), "utf8");
  const server = text.slice(text.indexOf("export const SERVER"));
  return new RegExp(`-----BEGIN ${kind}-----[^-]+-----END ${kind}-----\n`).exec(server)[0];
}

function tls(counts) {
  return createTlsServer({ cert: pemOf("CERTIFICATE"), key: pemOf("PRIVATE KEY") })
    .on("connection", () => counts.connections++)
    .on("tlsClientError", () => {})
    .on("secureConnection", (socket) => socket.on("error", () => {}));
}

/** Responds to everything, even to the beginning of a TLS handshake, like a server without TLS. */
function plain(counts) {
  return createServer((socket) => {
    counts.connections++;
    socket.on("error", () => {});
    socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
  });
}

/** A name below `.invalid`, which never has an address (RFC 6761). */
async function lookingUp(counts) {
  const { lookup } = dns;
  dns.lookup = (host, ...rest) => {
    counts.lookUps++;
    const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
    });
    process.nextTick(rest.at(-1), error);
  };
  return {
    endpoint: "http://total-failure.invalid",
    close: async () => {
      dns.lookup = lookup;
    },
  };
}
