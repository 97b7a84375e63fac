// A proxy between queue clients and a queue. It responds to commits and negatives with errors, refuses watches, breaks
// them, and ends idle watches normally. It counts the requests per client, and the reasons for which watches ended.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { connect } from "node:net";

/** Chunks on a WebSocket up to this length are pings, pongs or closes. A frame with an item is longer. */
const CONTROL_BYTES = 32;
/** Fault of a commit or a negative: not processed, or processed with a lost or late response. */
const FAULTS = ["500", "lost", "late"];
const MAX_LATE_MS = 1_500;

export class ChaosProxy {
  /**
   * `faultRate`: share of commits and negatives with a fault. `cutBytes`: mean number of bytes after which a watch
   * is broken. `idleMs`: limit for watches without traffic. `clientSilenceMs`: limit for watches whose client sends
   * nothing, not even pings.
   */
  plan = {};
  /** Refusals of the next watches of each client, by uid. */
  refusals = new Map();
  generation = 1;
  /** Number of requests that named an item, by `uid operation`, and the number of those with a fault. */
  named = new Map();
  faulted = new Map();
  /** The same for requests that the client aborted before the response, as on a slow machine. */
  abandoned = new Map();
  /** Number of ended watches, by `uid cause`. A refused watch counts as opened. */
  ends = new Map();
  opened = new Map();
  #port;
  #random;
  #watches = new Set();
  #sockets = new Set();
  #timers = new Set();

  constructor(port, random) {
    this.#port = port;
    this.#random = random;
    this.server = createServer((incoming, outgoing) => void this.#handle(incoming, outgoing));
    // Idle connections of a client whose event loop is blocked must not be closed.
    this.server.keepAliveTimeout = 600_000;
    this.server.on("upgrade", (incoming, socket, first) => this.#upgrade(incoming, socket, first));
    this.server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.timer = setInterval(() => this.#endIdle(), 50);
  }

  async listen() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    return this.server.address().port;
  }

  /** Ends all watches on behalf of the server. */
  endAll(cause) {
    for (const watch of [...this.#watches]) watch.end(cause, this.#random() < 0.5 ? "reset" : "close");
  }

  async close() {
    clearInterval(this.timer);
    for (const timer of this.#timers) clearTimeout(timer);
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Records an open watch. `stop(how)` ends its connections: "reset", "close", or "graceful". */
  #watch(uid, stop) {
    const now = performance.now();
    const { cutBytes } = this.plan;
    const watch = {
      heardFromServer: now,
      heardFromClient: now,
      left: cutBytes ? Math.ceil(cutBytes * (0.5 + this.#random())) : Number.POSITIVE_INFINITY,
      end: (cause, how) => {
        if (!this.#watches.delete(watch)) return;
        count(this.ends, `${uid} ${cause}`);
        stop(how);
      },
    };
    this.#watches.add(watch);
    return watch;
  }

  /** Returns the part of a chunk that is forwarded before the watch is broken. */
  #pass(watch, chunk, write) {
    if (watch.left > 0) write(chunk.subarray(0, watch.left));
    watch.left -= chunk.length;
    if (watch.left <= 0) setImmediate(() => watch.end("cut", this.#random() < 0.5 ? "reset" : "close"));
  }

  #endIdle() {
    const { idleMs = Number.POSITIVE_INFINITY, clientSilenceMs = Number.POSITIVE_INFINITY } = this.plan;
    const now = performance.now();
    for (const watch of [...this.#watches]) {
      if (now - watch.heardFromServer > idleMs) watch.end("idle", "graceful");
      else if (now - watch.heardFromClient > clientSilenceMs) watch.end("silent", "reset");
    }
  }

  /** Returns the refusal for the next watch of a client; undefined if it is accepted. */
  #refusal(uid) {
    count(this.opened, uid);
    const refusal = this.refusals.get(uid)?.shift();
    if (refusal !== undefined) count(this.ends, `${uid} refused`);
    return refusal;
  }

  async #handle(incoming, outgoing) {
    const { method, url, headers } = incoming;
    const uid = uidOf(incoming);
    const { searchParams } = new URL(url, "http://proxy");
    const is = (name) => searchParams.get(name) === "true";
    const isWatch = is("_watch_");
    const refusal = isWatch ? this.#refusal(uid) : undefined;
    if (refusal === "end") return outgoing.writeHead(200).end();
    if (refusal !== undefined) return outgoing.writeHead(refusal).end();
    const operation =
      method === "PUT"
        ? is("_negative_")
          ? "negative"
          : "commit"
        : isWatch
          ? "watch"
          : is("_attrs_")
            ? "attrs"
            : "get";
    const indexes =
      operation === "commit" || operation === "negative" ? searchParams.get("_indexes_").split(",") : [""];
    const isFaulted = indexes[0] !== "" && this.#random() < (this.plan.faultRate ?? 0);
    const fault = isFaulted ? FAULTS[Math.floor(this.#random() * FAULTS.length)] : undefined;
    count(this.named, `${uid} ${operation}`, indexes.length);
    if (fault) count(this.faulted, `${uid} ${operation}`, indexes.length);
    if (fault === "500") return outgoing.writeHead(500).end();
    const forwarded = httpRequest({ host: "127.0.0.1", port: this.#port, method, path: url, headers, agent: false });
    const stop = (how) => {
      forwarded.destroy();
      if (how === "graceful") outgoing.end();
      else if (how === "reset") incoming.socket.resetAndDestroy();
      else incoming.socket.destroy();
    };
    const watch = isWatch ? this.#watch(uid, stop) : undefined;
    outgoing.on("close", () => {
      if (watch) watch.end("client", "close");
      else if (!fault) {
        if (!outgoing.writableFinished) count(this.abandoned, `${uid} ${operation}`, indexes.length);
        forwarded.destroy();
      }
    });
    forwarded.on("error", () => {
      if (watch) watch.end("server", "close");
      else incoming.socket.destroy();
    });
    forwarded.on("response", (answer) => {
      answer.on("error", () => watch?.end("server", "close"));
      if (watch) {
        outgoing.writeHead(answer.statusCode, answer.headers);
        outgoing.flushHeaders();
        answer.on("data", (chunk) => {
          watch.heardFromServer = performance.now();
          this.#pass(watch, chunk, (bytes) => outgoing.write(bytes));
        });
        answer.on("end", () => watch.end("server", "graceful"));
        return;
      }
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => {
        if (fault === "lost") return incoming.socket.resetAndDestroy();
        const send = () => outgoing.writeHead(answer.statusCode, answer.headers).end(Buffer.concat(chunks));
        if (fault !== "late") return send();
        const timer = setTimeout(() => {
          this.#timers.delete(timer);
          send();
        }, this.#random() * MAX_LATE_MS);
        this.#timers.add(timer);
      });
    });
    incoming.pipe(forwarded);
  }

  #upgrade(incoming, socket, first) {
    const uid = uidOf(incoming);
    const refusal = this.#refusal(uid);
    if (typeof refusal === "number" && refusal < 1_000) {
      return socket.end(`HTTP/1.1 ${refusal} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    }
    if (refusal !== undefined) return acceptAndClose(incoming, socket, refusal);
    const upstream = connect(this.#port, "127.0.0.1");
    const watch = this.#watch(uid, (how) => {
      upstream.destroy();
      if (how === "graceful") socket.end(closeFrame(1000));
      else if (how === "reset") socket.resetAndDestroy();
      else socket.destroy();
    });
    upstream.on("error", () => watch.end("server", "close"));
    upstream.on("close", () => watch.end("server", "close"));
    socket.on("close", () => watch.end("client", "close"));
    const lines = Array.from({ length: incoming.rawHeaders.length / 2 }, (_, i) =>
      incoming.rawHeaders.slice(2 * i, 2 * i + 2).join(": "),
    );
    upstream.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    upstream.write(first);
    upstream.on("data", (chunk) => {
      if (chunk.length > CONTROL_BYTES) watch.heardFromServer = performance.now();
      this.#pass(watch, chunk, (bytes) => socket.write(bytes));
    });
    socket.on("data", (chunk) => {
      watch.heardFromClient = performance.now();
      upstream.write(chunk);
    });
  }
}

export function count(map, key, by = 1) {
  map.set(key, (map.get(key) ?? 0) + by);
}

const uidOf = ({ headers }) => headers["x-eas-queueservice-redis-uid"] ?? "";

const closeFrame = (code) => Buffer.of(0x88, 2, code >> 8, code & 255);

/** Completes a WebSocket handshake and closes the WebSocket immediately. */
export function acceptAndClose({ headers }, socket, code) {
  const accept = createHash("sha1")
    .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.end(closeFrame(code));
}
