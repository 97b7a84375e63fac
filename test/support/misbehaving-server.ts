import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A received request. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query, as received. */
  readonly path: string;
  /** Header lines in order, with names as received. */
  readonly rawHeaders: readonly (readonly [string, string])[];
  /** Header values by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Number of the connection, from 1. */
  readonly connection: number;
  /** The time at which its last byte arrived, by `performance.now()`. */
  readonly at: number;
}

/** What the server does with one request, or with one connection before it reads a byte. */
export type Behaviour =
  | { readonly on: "request"; run(socket: Socket, request: SeenRequest): void | Promise<void> }
  | { readonly on: "connection"; run(socket: Socket): void };

export type HeaderLines = Readonly<Record<string, string>>;

const onRequest = (run: (socket: Socket, request: SeenRequest) => void | Promise<void>): Behaviour => ({
  on: "request",
  run,
});

function head(status: number, headers: HeaderLines): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Status\r\n${lines.join("")}\r\n`;
}

/** Sends a valid response and, by default, keeps the connection open. `headers` can be computed from the request. */
export function answer(
  status: number,
  headers: HeaderLines | ((request: SeenRequest) => HeaderLines) = {},
  body: string | Uint8Array | ((request: SeenRequest) => string | Uint8Array) = "",
): Behaviour {
  return onRequest((socket, request) => {
    const bytes = Buffer.from(typeof body === "function" ? body(request) : body);
    const lines = typeof headers === "function" ? headers(request) : headers;
    socket.write(Buffer.concat([Buffer.from(head(status, { "Content-Length": `${bytes.length}`, ...lines })), bytes]));
    if (lines.Connection === "close") socket.end();
  });
}

/** Responds as `answer` does, after `milliseconds`. */
export function answerAfter(milliseconds: number, status: number, body = ""): Behaviour {
  const now = answer(status, {}, body);
  return onRequest((socket, request) => {
    const onClose = () => clearTimeout(timer);
    const timer = setTimeout(() => {
      socket.off("close", onClose);
      now.run(socket, request);
    }, milliseconds);
    socket.once("close", onClose);
  });
}

/** Responds as `answer` does, when `when` has resolved. */
export function answerWhen(when: Promise<unknown>, status: number, body = ""): Behaviour {
  const now = answer(status, {}, body);
  return onRequest((socket, request) => void when.then(() => now.run(socket, request)));
}

/** Responds at the first bytes of a request, reads no more of it, and closes the connection. */
export function answerEarly(status: number, body: string): Behaviour {
  return {
    on: "connection",
    run: (socket) =>
      void socket.once("data", () => {
        socket.pause();
        socket.end(head(status, { "Content-Length": `${body.length}`, Connection: "close" }) + body);
      }),
  };
}

/** Sends any bytes, and keeps the connection open. */
export function raw(bytes: string | Uint8Array): Behaviour {
  return onRequest((socket) => void socket.write(bytes));
}

/** Sends RST as soon as the connection is established. */
export const resetBeforeReading: Behaviour = { on: "connection", run: (socket) => socket.resetAndDestroy() };

/** Sends RST when the whole request has arrived. */
export const resetBeforeHeaders: Behaviour = onRequest((socket) => void socket.resetAndDestroy());

/** Sends FIN when the whole request has arrived. */
export const finBeforeHeaders: Behaviour = onRequest((socket) => void socket.end());

/** Writes, and closes the connection when everything was sent. */
function writeThen(text: string, end: (socket: Socket) => void): Behaviour {
  return onRequest((socket) => void socket.write(text, () => setImmediate(() => end(socket))));
}

/** Sends RST in the middle of the headers. */
export const resetInHeaders: Behaviour = writeThen("HTTP/1.1 200 OK\r\nContent-Le", (socket) =>
  socket.resetAndDestroy(),
);

/** Sends RST in the middle of a body with a Content-Length. */
export const resetInBody: Behaviour = writeThen("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", (socket) =>
  socket.resetAndDestroy(),
);

/** Sends FIN in the middle of a body with a Content-Length. */
export const finInBody: Behaviour = writeThen("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", (socket) =>
  socket.end(),
);

/** Sends FIN before the last chunk of a chunked body. */
export const truncatedChunks: Behaviour = writeThen(
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
  (socket) => socket.end(),
);

/** Never responds. */
export const stallBeforeHeaders: Behaviour = onRequest(() => {});

/** Sends the headers and a part of the body. */
export const stallInBody: Behaviour = raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");

/** Sends something that is not HTTP. */
export const garbage: Behaviour = writeThen("SSH-2.0-OpenSSH_9.6\r\n\r\n", (socket) => socket.end());

/** Sends a 408 as EAS does: it also closes the connection. */
export const requestTimeout: Behaviour = answer(408, { Connection: "close" }, "request timeout");

/** Sends a response byte by byte, one in each turn of the event loop. */
export function drip(body: string): Behaviour {
  return onRequest(async (socket) => {
    for (const byte of Buffer.from(head(200, { "Content-Length": `${body.length}` }) + body)) {
      await new Promise((resolve) => socket.write(Buffer.of(byte), () => setImmediate(resolve)));
    }
  });
}

/** Leaves the connection to the test, which writes the whole response. */
export function handOver(): { readonly behaviour: Behaviour; readonly socket: Promise<Socket> } {
  let give: (socket: Socket) => void = () => {};
  const socket = new Promise<Socket>((resolve) => {
    give = resolve;
  });
  return { behaviour: onRequest((socket) => give(socket)), socket };
}

/** A raw HTTP/1.1 server on loopback that follows a script for each request. */
export class MisbehavingServer {
  /** All complete requests, in order. */
  readonly requests: SeenRequest[] = [];
  /** Number of connections so far. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting: { count: number; seen: () => void }[] = [];
  #script: Behaviour[] = [];
  #then: Behaviour = answer(200, {}, "ok");

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#take(socket));
  }

  static async start(port = 0): Promise<MisbehavingServer> {
    const server = new MisbehavingServer();
    server.#server.listen(port, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Adds one behavior for each of the next requests. Later requests get 200 "ok". */
  play(...script: Behaviour[]): void {
    this.#script = script;
  }

  /** Sets the behavior for all requests after the script. */
  always(behaviour: Behaviour): void {
    this.#then = behaviour;
  }

  /** Resolves with the last request when `count` requests have arrived in total. */
  async seen(count = 1): Promise<SeenRequest> {
    if (this.requests.length < count) {
      await new Promise<void>((seen) => this.#waiting.push({ count, seen }));
    }
    return this.requests[count - 1] as SeenRequest;
  }

  /** Stops listening and closes all connections. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    // Clients of a misbehaving server also break connections.
    socket.on("error", () => {});
    const connection = ++this.connections;
    const next = this.#script[0] ?? this.#then;
    if (next.on === "connection") {
      this.#script.shift();
      return next.run(socket);
    }
    let pending = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      for (;;) {
        const parsed = parse(pending, connection);
        if (parsed === undefined) return;
        pending = pending.subarray(parsed.length);
        this.#handle(socket, parsed.request);
      }
    });
  }

  #handle(socket: Socket, request: SeenRequest): void {
    const behaviour = this.#script.shift() ?? this.#then;
    this.requests.push(request);
    if (behaviour.on === "request") void behaviour.run(socket, request);
    else behaviour.run(socket);
    for (const waiting of this.#waiting.splice(0)) {
      if (this.requests.length >= waiting.count) waiting.seen();
      else this.#waiting.push(waiting);
    }
  }
}

/** Parses the first complete request in `bytes` and its length. Returns undefined if there is none. */
function parse(bytes: Buffer, connection: number): { request: SeenRequest; length: number } | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [first = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const [method = "", path = ""] = first.split(" ");
  const rawHeaders = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const headers = Object.fromEntries(rawHeaders.map(([name, value]) => [name.toLowerCase(), value]));
  const length = end + 4 + Number(headers["content-length"] ?? 0);
  if (bytes.length < length) return undefined;
  const body = Buffer.from(bytes.subarray(end + 4, length));
  return { request: { method, path, rawHeaders, headers, body, connection, at: performance.now() }, length };
}

/** Returns an origin on which no server listens. */
export async function refusedOrigin(): Promise<string> {
  const server = await MisbehavingServer.start();
  const { origin } = server;
  await server.close();
  return origin;
}
