// A process with a gateway, instances of one service, their discovery, and real queues of the emulator, all with
// configurable faults. It is separate from the client's process, whose event loop is measured.
import { createHash } from "node:crypto";
import { Agent, request as httpRequest } from "node:http";
import { connect, createServer } from "node:net";
import { startEmulator } from "../../dist/emulator.js";
import { bytesOf, CONNECTION_FAULTS, FAULTS, REFUSALS } from "./faults.mjs";
import { randomOf } from "./random.mjs";

const TOKEN = "fault-token";
const emulator = await startEmulator({ token: TOKEN });
// A new connection for each request: a kept connection could be closed while a request is sent.
const toEmulator = new Agent({ keepAlive: false });
const emulatorPort = Number(new URL(emulator.endpoint).port);

let random = randomOf(1);
/** Complete requests, by call. `refused` are those that were refused unprocessed. */
let received = new Map();
let refused = new Map();
let answeredBy = new Map();
let discovery = { status: 200, items: [] };
let discoveryRequests = 0;
let peak = 0;
let held = 0;
let upgrades = 0;

function count(map, key) {
  map.set(key, (map.get(key) ?? 0) + 1);
}

/** A server that clients call: the gateway or an instance. */
class Place {
  plan = {};
  port = 0;
  sockets = new Set();
  connections = 0;
  flapping = undefined;

  async open() {
    this.server = createServer({ noDelay: true }, (socket) => this.take(socket));
    await new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(this.port, "127.0.0.1", 4096, resolve);
    });
    this.port = this.server.address().port;
  }

  /** Stops like a killed process: closes the port and resets all connections. */
  async shut() {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.resetAndDestroy();
    await closed;
  }

  async follow(plan) {
    this.plan = plan;
    this.connections = 0;
    clearInterval(this.flapping);
    if (plan.isDown) await this.shut();
    else if (!this.server.listening) await this.open();
    if (plan.flapEvery === undefined) return;
    this.flapping = setInterval(() => void (this.server.listening ? this.shut() : this.open()), plan.flapEvery);
  }

  take(socket) {
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    socket.on("error", () => {});
    this.connections++;
    const atOnce = CONNECTION_FAULTS[this.plan.connection];
    if (atOnce && this.connections % 2 === 1) return atOnce(socket);
    let pending = Buffer.alloc(0);
    const onData = (chunk) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      for (;;) {
        const end = pending.indexOf("\r\n\r\n");
        if (end === -1) return;
        const head = parseHead(pending.subarray(0, end).toString("latin1"));
        if (head.headers.upgrade) {
          socket.off("data", onData);
          return this.upgrade(socket, pending);
        }
        const length = end + 4 + Number(head.headers["content-length"] ?? 0);
        if (pending.length < length) return;
        const body = pending.subarray(end + 4, length);
        pending = pending.subarray(length);
        void this.handle(socket, { ...head, body });
      }
    };
    socket.on("data", onData);
  }

  /** Forwards a WebSocket, and breaks it after a number of bytes if the plan says so. */
  upgrade(socket, begun) {
    upgrades++;
    // The WebSocket is accepted and closed immediately with "try again later".
    if (this.plan.closesWatches > 0) {
      this.plan.closesWatches--;
      return acceptAndClose(socket, begun);
    }
    const upstream = connect(emulatorPort, "127.0.0.1");
    upstream.on("error", () => socket.destroy());
    socket.on("close", () => upstream.destroy());
    upstream.on("close", () => socket.destroy());
    upstream.write(begun);
    socket.pipe(upstream);
    let left = this.plan.watchBytes ? Math.ceil(this.plan.watchBytes * (0.5 + random())) : Number.POSITIVE_INFINITY;
    upstream.on("data", (chunk) => {
      if (left > 0) socket.write(chunk.subarray(0, left));
      left -= chunk.length;
      if (left <= 0) setImmediate(() => (random() < 0.5 ? socket.resetAndDestroy() : socket.destroy()));
    });
  }

  async handle(socket, request) {
    if (request.path.includes("/upstreams/")) return discover(socket);
    const id = request.headers["x-call"];
    count(received, id);
    const fault = this.faultOf(id);
    if (REFUSALS[fault]) {
      count(refused, id);
      return REFUSALS[fault](socket);
    }
    held++;
    peak = Math.max(peak, held);
    if (this.plan.latency) await new Promise((resolve) => setTimeout(resolve, this.plan.latency * (0.5 + random())));
    const isPredict = request.path.startsWith("/api/predict/echo");
    const answer = isPredict ? { status: 200, headers: {}, body: request.body } : await forward(request);
    held--;
    if (fault) return FAULTS[fault](socket, answer);
    count(answeredBy, this.port);
    socket.write(bytesOf(answer));
  }

  faultOf(id) {
    const { fault, faults, rate } = this.plan;
    // Affects the first attempt of each call, and all attempts of every fifth call.
    if (fault) return received.get(id) === 1 || Number(id) % 5 === 0 ? fault : undefined;
    if (rate && random() < rate) return faults[Math.floor(random() * faults.length)];
    return undefined;
  }
}

/** A WebSocket's handshake, and a close frame with 1013. */
function acceptAndClose(socket, begun) {
  const { headers } = parseHead(begun.toString("latin1"));
  const accept = createHash("sha1")
    .update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.end(Buffer.of(0x88, 2, 1013 >> 8, 1013 & 255));
}

function parseHead(text) {
  const [first, ...lines] = text.split("\r\n");
  const [method, path] = first.split(" ");
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { method, path, headers };
}

/** Returns the emulator's response. */
function forward({ method, path, headers, body }) {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { agent: toEmulator, host: "127.0.0.1", port: emulatorPort, method, path, headers },
      (answer) => {
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("end", () => {
          const kept = Object.entries(answer.headers).filter(([name]) => /^(content-type|x-eas-.*)$/.test(name));
          resolve({ status: answer.statusCode, headers: Object.fromEntries(kept), body: Buffer.concat(chunks) });
        });
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

function discover(socket) {
  discoveryRequests++;
  const { status, items, text, isSilent, isBroken } = discovery;
  if (isSilent) return;
  if (isBroken) return socket.resetAndDestroy();
  const body = Buffer.from(text ?? JSON.stringify({ endpoints: { items } }));
  socket.write(bytesOf({ status, headers: {}, body }));
}

const places = Array.from({ length: 5 }, () => new Place());
for (const place of places) await place.open();

const COMMANDS = {
  ports: () => places.map(({ port }) => port),
  /** Resets all records. `plans` apply to the gateway and the instances. */
  async begin({ seed, plans, queue, discovery: discoveryPlan }) {
    random = randomOf(seed);
    received = new Map();
    refused = new Map();
    answeredBy = new Map();
    discovery = discoveryPlan;
    discoveryRequests = peak = upgrades = 0;
    if (queue) emulator.addQueue(queue, { maxDeliveries: Number.POSITIVE_INFINITY });
    for (const [i, place] of places.entries()) await place.follow(plans[i] ?? {});
  },
  discovery(discoveryPlan) {
    discovery = discoveryPlan;
  },
  /** Puts an item for each call, and returns the indexes. */
  fill({ queue, ids }) {
    return ids.map((id) => String(emulator.queue(queue).input.put(`item ${id}`, { tags: { call: String(id) } })));
  },
  items({ queue }) {
    return emulator.queue(queue).input.items.map(({ index, tags }) => [String(index), tags.call]);
  },
  report: () => ({
    received: [...received],
    refused: [...refused],
    answeredBy: [...answeredBy],
    discoveryRequests,
    peak,
    upgrades,
  }),
  async end() {
    for (const place of places) {
      clearInterval(place.flapping);
      await place.shut();
    }
    toEmulator.destroy();
    await emulator.close();
  },
};

process.on("message", async ({ at, command, given }) => {
  process.send({ at, result: await COMMANDS[command](given) }, () => {
    if (command === "end") process.disconnect();
  });
});
// The parent process has ended.
process.on("disconnect", () => process.exit(0));
process.send({ at: 0, result: COMMANDS.ports() });
