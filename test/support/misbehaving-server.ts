import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** One request as it came over the wire. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly path: string;
  /** Header lines in order, names as they were sent. */
  readonly rawHeaders: readonly (readonly [string, string])[];
  /** The values by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Number of the connection that it came on, from 1. */
  readonly connection: number;
  /** When its last byte came, by `performance.now()`. */
  readonly at: number;
}

/** What happens to one request, or to one connection before a byte of it is read. */
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

/** A proper answer, by default on a connection that stays. `headers` may be made of the request, to echo it. */
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

/** As `answer`, after `milliseconds`. */
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

/** As `answer`, when `when` has resolved. */
export function answerWhen(when: Promise<unknown>, status: number, body = ""): Behaviour {
  const now = answer(status, {}, body);
  return onRequest((socket, request) => void when.then(() => now.run(socket, request)));
}

/** Answers at the first bytes of a request, reads no more of it, and ends the connection. */
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

/** Any bytes at all, and the connection stays. */
export function raw(bytes: string | Uint8Array): Behaviour {
  return onRequest((socket) => void socket.write(bytes));
}

/** RST as soon as the connection is there. */
export const resetBeforeReading: Behaviour = { on: "connection", run: (socket) => socket.resetAndDestroy() };

/** RST when the whole request came. */
export const resetBeforeHeaders: Behaviour = onRequest((socket) => void socket.resetAndDestroy());

/** FIN when the whole request came. */
export const finBeforeHeaders: Behaviour = onRequest((socket) => void socket.end());

/** Writes, and breaks the connection when that has surely been sent. */
function writeThen(text: string, end: (socket: Socket) => void): Behaviour {
  return onRequest((socket) => void socket.write(text, () => setImmediate(() => end(socket))));
}

/** RST in the middle of the headers. */
export const resetInHeaders: Behaviour = writeThen("HTTP/1.1 200 OK\r\nContent-Le", (socket) =>
  socket.resetAndDestroy(),
);

/** RST in the middle of a body of a stated length. */
export const resetInBody: Behaviour = writeThen("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", (socket) =>
  socket.resetAndDestroy(),
);

/** FIN in the middle of a body of a stated length. */
export const finInBody: Behaviour = writeThen("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", (socket) =>
  socket.end(),
);

/** FIN before the last chunk of a chunked body. */
export const truncatedChunks: Behaviour = writeThen(
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
  (socket) => socket.end(),
);

/** Never answers. */
export const stallBeforeHeaders: Behaviour = onRequest(() => {});

/** Answers the headers and a part of the body. */
export const stallInBody: Behaviour = raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");

/** Something that is no HTTP. */
export const garbage: Behaviour = writeThen("SSH-2.0-OpenSSH_9.6\r\n\r\n", (socket) => socket.end());

/** 408 as EAS gives it: the connection is closed with it. */
export const requestTimeout: Behaviour = answer(408, { Connection: "close" }, "request timeout");

/** An answer that comes byte by byte, one in each turn of the event loop. */
export function drip(body: string): Behaviour {
  return onRequest(async (socket) => {
    for (const byte of Buffer.from(head(200, { "Content-Length": `${body.length}` }) + body)) {
      await new Promise((resolve) => socket.write(Buffer.of(byte), () => setImmediate(resolve)));
    }
  });
}

/** Leaves the connection to the test, which writes the whole answer by itself. */
export function handOver(): { readonly behaviour: Behaviour; readonly socket: Promise<Socket> } {
  let give: (socket: Socket) => void = () => {};
  const socket = new Promise<Socket>((resolve) => {
    give = resolve;
  });
  return { behaviour: onRequest((socket) => give(socket)), socket };
}

/** A raw HTTP/1.1 server on loopback that does with each request what its script says. */
export class MisbehavingServer {
  /** All requests that came whole, in order. */
  readonly requests: SeenRequest[] = [];
  /** Connections taken so far. */
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

  /** One behaviour for each request to come; after them it answers 200 "ok". */
  play(...script: Behaviour[]): void {
    this.#script = script;
  }

  /** The same behaviour for all requests that no script is left for. */
  always(behaviour: Behaviour): void {
    this.#then = behaviour;
  }

  /** Resolves when `count` requests in all have come, with the last of them. */
  async seen(count = 1): Promise<SeenRequest> {
    if (this.requests.length < count) {
      await new Promise<void>((seen) => this.#waiting.push({ count, seen }));
    }
    return this.requests[count - 1] as SeenRequest;
  }

  /** Stops listening and breaks all connections. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    // Clients of a misbehaving server break connections too.
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

/** The first whole request in `bytes` and its length; undefined while there is none. */
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

/** An origin at which nobody listens. */
export async function refusedOrigin(): Promise<string> {
  const server = await MisbehavingServer.start();
  const { origin } = server;
  await server.close();
  return origin;
}
