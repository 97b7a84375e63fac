// A server before the emulator that forwards a request and then ends the connection without a byte of the response,
// like a gateway that restarts. It records the received requests.
import { request as httpRequest } from "node:http";
import { createServer } from "node:net";

const HEAD_END = "\r\n\r\n";

/** Starts the server; `port` is the emulator's. */
export async function startDyingFront(port) {
  /** Every request of the suite, except CORS preflights. */
  const received = [];
  /** The requests whose connection is to be ended; see `die`. */
  const traps = [];
  const sockets = new Set();

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    let pending = Buffer.alloc(0);
    let count = 0;
    let working = Promise.resolve();
    socket.on("data", (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const parsed = parseRequest(pending);
        if (parsed === undefined) return;
        pending = pending.subarray(parsed.length);
        const nth = ++count;
        // If the emulator does not respond, the connection is ended.
        working = working.then(() => carryOut(socket, parsed, nth)).catch(() => socket.destroy());
      }
    });
  });

  async function carryOut(socket, { method, target, headers, body }, nth) {
    const answer = await forward(port, socket, { method, target, headers, body });
    let death;
    if (method !== "OPTIONS") {
      const trap = traps.findIndex((each) => matches(each, method, target));
      death = trap < 0 ? undefined : traps.splice(trap, 1)[0].death;
      received.push({ method, target, reused: nth > 1, status: answer.status, died: death !== undefined });
    }
    if (death === "fin") socket.end();
    else if (death === "rst") socket.resetAndDestroy();
    else {
      const lines = answer.headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      const length = hasNoBody(answer.status) ? "" : `content-length: ${answer.body.length}\r\n`;
      socket.write(`HTTP/1.1 ${answer.status} Answer\r\n${lines}${length}\r\n`);
      socket.write(answer.body);
    }
  }

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /**
     * Ends the connection of the next request to a service with "fin" or "rst" after the emulator has responded.
     * Applies to a request with this method, and with this text in its target.
     */
    die: (trap) => void traps.push(trap),
    received: ({ service }) => received.filter(({ target }) => isOf(target, service)),
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function isOf(target, service) {
  return target.split("?")[0].split("/")[3] === service;
}

function matches(trap, method, target) {
  return isOf(target, trap.service) && method === trap.method && target.includes(trap.text ?? "");
}

function hasNoBody(status) {
  return status === 204 || status === 304;
}

/** Returns a complete request at the beginning of `bytes`; otherwise undefined. Bodies have a length or are chunked. */
function parseRequest(bytes) {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const [first, ...lines] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const [method, target] = first.split(" ");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const headerOf = (wanted) => headers.find(([name]) => name === wanted)?.[1];
  const start = headEnd + HEAD_END.length;
  if (headerOf("transfer-encoding") === "chunked") {
    const chunks = parseChunks(bytes, start);
    return chunks && { method, target, headers, ...chunks };
  }
  const length = start + Number(headerOf("content-length") ?? 0);
  return bytes.length < length
    ? undefined
    : { method, target, headers, body: Buffer.from(bytes.subarray(start, length)), length };
}

function parseChunks(bytes, start) {
  const chunks = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    const end = lineEnd + 2 + size + 2;
    if (bytes.length < end) return undefined;
    if (size === 0) return { body: Buffer.concat(chunks), length: end };
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = end;
  }
}

const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding", "content-length"];

/**
 * Sends the request to the emulator on a separate connection, as long as `socket` is open. Resolves with the whole
 * response.
 */
function forward(port, socket, { method, target, headers, body }) {
  return new Promise((resolve, reject) => {
    const kept = headers.filter(([name]) => !HOP_BY_HOP.includes(name));
    const request = httpRequest(
      {
        host: "127.0.0.1",
        port,
        method,
        path: target,
        headers: { ...Object.fromEntries(kept), "content-length": body.length },
        agent: false,
      },
      async (response) => {
        const chunks = [];
        for await (const chunk of response) chunks.push(chunk);
        const pairs = [];
        for (let i = 0; i < response.rawHeaders.length; i += 2) {
          const name = response.rawHeaders[i].toLowerCase();
          if (!HOP_BY_HOP.includes(name)) pairs.push([name, response.rawHeaders[i + 1]]);
        }
        resolve({ status: response.statusCode, headers: pairs, body: Buffer.concat(chunks) });
      },
    );
    const stop = () => request.destroy();
    socket.once("close", stop);
    request
      .on("close", () => socket.off("close", stop))
      .on("error", reject)
      .end(body);
  });
}
