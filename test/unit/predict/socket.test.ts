import { getEventListeners, once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { inspect } from "node:util";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type WebSocket as Peer, WebSocketServer } from "ws";
import { createEmulator } from "../../../src/emulator/index.js";
import {
  ENDPOINT_TYPE_DIRECT,
  type PredictClient,
  type PredictClientOptions,
  type PredictSocket,
  type SocketOptions,
  TransportError,
  type WebSocketClose,
  type WebSocketConnection,
  type WebSocketDialer,
} from "../../../src/index.js";
import { platform } from "../../../src/platform/node/platform.js";
import { clientOf, errorOf, TOKEN, thrownBy, turn, until, watch } from "../../support/calls.js";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

/** Starts a server. A path that begins with a status is refused, `hang` never responds, and `serve` handles the rest. */
async function startServer(serve: (peer: Peer, request: IncomingMessage) => void = () => {}) {
  const requests: IncomingMessage[] = [];
  const sockets: Socket[] = [];
  const peers: Peer[] = [];
  const accepting = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => [...offered].at(-1) as string,
  });
  const server = createServer((_request, response) => response.end("over HTTP"));
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head) => {
    requests.push(request);
    sockets.push(socket);
    socket.on("error", () => {});
    const action = (request.url ?? "").split("/svc/")[1] ?? "";
    if (/^\d{3}/.test(action)) {
      socket.end(`HTTP/1.1 ${action.slice(0, 3)} No\r\nX-Echo: ${request.headers.authorization}\r\n\r\n`);
    } else if (action !== "hang") {
      accepting.handleUpgrade(request, socket, head, (peer) => {
        peer.on("error", () => {});
        peers.push(peer);
        serve(peer, request);
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, sockets, peers };
}

const echo = (peer: Peer) => void peer.on("message", (data, isBinary) => peer.send(data, { binary: isBinary }));

/** Reads all messages of a socket. */
async function allOf(socket: PredictSocket): Promise<(string | Uint8Array)[]> {
  const messages: (string | Uint8Array)[] = [];
  for await (const message of socket) messages.push(message);
  return messages;
}

/** Resolves if a slot for long-lived connections is free. */
async function expectFreeSlot(client: PredictClient): Promise<void> {
  const socket = await client.connect("free");
  await socket.close();
}

describe("messages of a socket", () => {
  test("keep their type, and each binary message has its own memory", async () => {
    const server = await startServer(echo);
    const socket = await clientOf(server).connect("/chat");
    const bytes = new Uint8Array([1, 2, 3]);
    socket.send("你好");
    socket.send(bytes);
    // The client copied the message.
    bytes.fill(0);
    socket.send("");
    socket.send(new Uint8Array(0));
    const received: (string | Uint8Array)[] = [];
    for await (const message of socket) {
      received.push(message);
      if (typeof message !== "string") expect(message.buffer.byteLength).toBe(message.byteLength);
      if (received.length === 4) break;
    }
    expect(received).toEqual(["你好", new Uint8Array([1, 2, 3]), "", new Uint8Array(0)]);
    // Leaving the loop closes the socket.
    expect(await socket.closed).toEqual({ code: 1000, reason: "" });
  });

  test("the handshake is one unsigned GET with the path, query, headers and token", async () => {
    const server = await startServer(echo);
    const client = clientOf(server, { headers: { "x-a": "1" } });
    const socket = await client.connect("chat?a=1", { query: { b: "二" }, headers: { "x-b": "2" } });
    expect(server.requests).toHaveLength(1);
    const { url, method, headers } = server.requests[0] as IncomingMessage;
    expect([method, url]).toEqual(["GET", "/api/predict/svc/chat?a=1&b=%E4%BA%8C"]);
    expect(headers).toMatchObject({ authorization: TOKEN, "x-a": "1", "x-b": "2" });
    expect(headers).not.toHaveProperty("sec-websocket-extensions");
    expect(headers).not.toHaveProperty("content-type");
    expect([socket.protocol, socket.endpoint]).toEqual(["", server.origin]);
    await socket.close();
  });

  test.each(["auto", "signature", "token", "bearer"] as const)("auth %s", async (auth) => {
    const server = await startServer(echo);
    await (await clientOf(server, { auth, token: async () => TOKEN }).connect()).close();
    expect(server.requests[0]?.headers.authorization).toBe(auth === "bearer" ? `Bearer ${TOKEN}` : TOKEN);
  });

  test("protocol is the subprotocol that the service chose", async () => {
    const server = await startServer(echo);
    const client = clientOf(server);
    for (const [protocols, chosen] of [
      ["one", "one"],
      [["one", "two"], "two"],
      [[], ""],
    ] as const) {
      const socket = await client.connect("chat", { protocols });
      expect(socket.protocol).toBe(chosen);
      await socket.close();
    }
  });

  test("messages received before the iteration and before the end are not lost", async () => {
    const server = await startServer((peer) => {
      for (let i = 0; i < 2000; i++) peer.send(`${i}`);
      peer.close(1000, "done");
    });
    const socket = await clientOf(server).connect("chat");
    await socket.closed;
    expect(await allOf(socket)).toEqual(Array.from({ length: 2000 }, (_, i) => `${i}`));
  });

  test("work over the emulator without a network", async () => {
    const { dialWebSocket, transport, token } = createEmulator();
    const client = clientOf({ origin: "http://h" }, { serviceName: "echo", dialWebSocket, transport, token });
    const socket = await client.connect("", { protocols: ["v1"] });
    expect(socket.protocol).toBe("v1");
    socket.send("hello");
    for await (const message of socket) {
      expect(message).toBe("hello");
      break;
    }
    await socket.closed;
  });
});

describe("the end of a socket", () => {
  test.each([
    [1000, "bye"],
    [undefined, ""],
  ])("ends the iteration if the service closes with %s", async (code, reason) => {
    const server = await startServer((peer) => {
      peer.send("last");
      peer.close(code, reason);
    });
    const socket = await clientOf(server).connect("chat");
    expect(await allOf(socket)).toEqual(["last"]);
    expect(await socket.closed).toEqual({ code: code ?? 1005, reason });
  });

  test.each([
    [1001, true],
    [1008, false],
    [1011, false],
    [1012, true],
    [1013, true],
    [4000, false],
  ])("rejects the iteration if the service closes with %i, and refuses to send", async (code, retryable) => {
    const server = await startServer((peer) => {
      peer.send("last");
      peer.close(code, `why ${TOKEN}`);
    });
    const socket = await clientOf(server).connect("chat");
    const iterator = socket[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: "last" });
    const error = await errorOf(iterator.next());
    const expected = { code: "ERR_EAS_SOCKET_CLOSED", closeCode: code, reason: "why ***", retryable };
    expect(error).toMatchObject(expected);
    expect(error.message).toContain(`was closed with ${code}: why ***`);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(await socket.closed).toEqual({ code, reason: "why ***" });
    expect(thrownBy(() => socket.send("late"))).toMatchObject(expected);
    expect(inspect(error, { depth: 9 })).not.toContain(TOKEN);
    await socket.close();
  });

  test("rejects the iteration if the connection breaks", async () => {
    const server = await startServer(echo);
    const socket = await clientOf(server).connect("chat");
    const messages = errorOf(allOf(socket));
    server.peers[0]?.terminate();
    expect(await messages).toMatchObject({ code: "ERR_EAS_SOCKET_CLOSED", closeCode: 1006, retryable: true });
    expect((await socket.closed).code).toBe(1006);
  });

  test("close() with a code and a reason ends the iteration after the received messages", async () => {
    const server = await startServer((peer) => peer.send("first"));
    const closed = new Promise((resolve) => {
      void until(() => server.peers.length > 0).then(() =>
        server.peers[0]?.on("close", (code, reason) => resolve([code, String(reason)])),
      );
    });
    const socket = await clientOf(server).connect("chat");
    const iterator = socket[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toBe("first");
    const pending = iterator.next();
    const both = Promise.all([socket.close(4001, "enough"), socket.close()]);
    expect(thrownBy(() => socket.send("x"))).toMatchObject({ code: "ERR_EAS_SOCKET_CLOSED", closeCode: 4001 });
    await both;
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await socket.closed).toEqual({ code: 4001, reason: "enough" });
    expect(await closed).toEqual([4001, "enough"]);
  });

  test("terminates the connection if the service does not reply to a close within 2 s", async () => {
    const server = await startServer((peer) => peer.pause());
    const socket = await clientOf(server).connect("chat");
    const timers = vi.spyOn(globalThis, "setTimeout").mockImplementationOnce(((run: () => void, delay: number) => {
      expect(delay).toBe(2000);
      queueMicrotask(run);
    }) as never);
    await socket.close();
    expect(timers).toHaveBeenCalled();
    expect(await socket.closed).toEqual({ code: 1006, reason: "" });
    expect(await allOf(socket)).toEqual([]);
  });

  test("closing the client terminates the socket and releases its slot", async () => {
    const server = await startServer(echo);
    const client = clientOf(server);
    const { signal } = new AbortController();
    const socket = await client.connect("chat", { signal });
    const messages = errorOf(allOf(socket));
    await client.close();
    const error = await messages;
    expect(error).toMatchObject({ code: "ERR_EAS_SOCKET_CLOSED", closeCode: 1006 });
    expect(error.message).toContain("the client was closed");
    await socket.closed;
    expect(listeners(signal)).toBe(0);
    expect((await errorOf(client.connect("chat"))).message).toContain("this client is closed");
  });

  test("a second iteration is refused", async () => {
    const socket = await clientOf(await startServer(echo)).connect("chat");
    socket[Symbol.asyncIterator]();
    expect(thrownBy(() => socket[Symbol.asyncIterator]())).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
    await socket.close();
  });

  test("an error in the loop closes the socket", async () => {
    const server = await startServer((peer) => peer.send("x"));
    const socket = await clientOf(server).connect("chat");
    const mine = new Error("mine");
    const loop = async () => {
      for await (const _ of socket) throw mine;
    };
    expect(await errorOf(loop())).toBe(mine);
    expect((await socket.closed).code).toBe(1000);
  });
});

describe("a handshake that fails", () => {
  test.each([401, 403, 404, 500, 503])("rejects with EasHttpError for status %i", async (status) => {
    const server = await startServer();
    const client = clientOf(server, { maxConnectionCount: 1 });
    const error = await errorOf(client.connect(`${status}`));
    expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status, attempts: 1 });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(TOKEN);
    expect(server.requests).toHaveLength(1);
    await expectFreeSlot(client);
  });

  test("rejects with EasTimeoutError after the timeout", async () => {
    const server = await startServer();
    const client = clientOf(server, { maxConnectionCount: 1 });
    const error = await errorOf(client.connect("hang", { timeout: 50 }));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "headers", timeout: 50 });
    await expectFreeSlot(client);
  });

  test("uses the client's timeout by default", async () => {
    const error = await errorOf(clientOf(await startServer(), { timeout: 40 }).connect("hang"));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", timeout: 40 });
  });

  test("rejects with EasNetworkError if the connection is refused", async () => {
    const error = await errorOf(clientOf({ origin: "http://127.0.0.1:9" }).connect("chat"));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", systemCode: "ECONNREFUSED", retryable: true });
  });

  test("sends a GET to explain a refusal if the runtime hides the status", async () => {
    const dialWebSocket: WebSocketDialer = async () => {
      throw new TransportError("no WebSocket", { sent: "maybe" });
    };
    for (const [status, expected] of [
      [401, { code: "ERR_EAS_HTTP", status: 401 }],
      [404, { code: "ERR_EAS_NETWORK" }],
      [200, { code: "ERR_EAS_NETWORK" }],
    ] as const) {
      const fetch: PredictClientOptions["fetch"] = async () => new Response("x", { status });
      const error = await errorOf(clientOf({ origin: "http://h" }, { dialWebSocket, fetch }).connect("chat"));
      expect(error).toMatchObject(expected);
    }
  });

  test("reads the status from a dialer of another copy of this package", async () => {
    const refused = Object.assign(new Error("refused"), { name: "TransportError", sent: "maybe", status: 401 });
    const client = clientOf({ origin: "http://h" }, { dialWebSocket: () => Promise.reject(refused) });
    expect(await errorOf(client.connect("chat"))).toMatchObject({ code: "ERR_EAS_HTTP", status: 401 });
  });

  test("sends nothing if the runtime has no WebSocket", async () => {
    vi.spyOn(platform, "dialWebSocket", "get" as never).mockReturnValue(undefined as never);
    const server = await startServer();
    const token = vi.fn(() => TOKEN);
    const error = await errorOf(clientOf(server, { token }).connect("chat"));
    expect(error).toMatchObject({ code: "ERR_EAS_UNSUPPORTED", attempts: 0 });
    expect(error.message).toMatch(/relay.*on a server.*dialWebSocket/);
    expect(token).not.toHaveBeenCalled();
    expect(server.sockets).toHaveLength(0);
  });
});

describe("arguments that are refused before anything is sent", () => {
  test.each<[string, unknown, unknown, string, RegExp]>([
    ["protocols of the wrong kind", "chat", { protocols: 1 }, "ERR_EAS_ARG_OPTION", /protocols is 1/],
    ["a protocol that is no name", "chat", { protocols: ["a b"] }, "ERR_EAS_ARG_OPTION", /"a b"/],
    ["an empty protocol", "chat", { protocols: "" }, "ERR_EAS_ARG_OPTION", /protocols contains ""/],
    ["a protocol twice", "chat", { protocols: ["a", "a"] }, "ERR_EAS_ARG_OPTION", /only once/],
    ["protocols in the place of options", "chat", ["a"], "ERR_EAS_ARG_OPTION", /connect accepts options/],
    ["null", "chat", null, "ERR_EAS_ARG_OPTION", /connect accepts options/],
    ["options in the place of the path", { protocols: [] }, {}, "ERR_EAS_ARG_PATH", /path is of type object/],
    ["a path outside", "../x", {}, "ERR_EAS_ARG_PATH", /path/],
    ["a timeout", "chat", { timeout: 0 }, "ERR_EAS_ARG_TIMEOUT", /timeout is 0/],
    ["a signal", "chat", { signal: {} }, "ERR_EAS_ARG_OPTION", /signal is/],
    ["the token's header", "chat", { headers: { authorization: "x" } }, "ERR_EAS_ARG_HEADER", /authorization/],
    [
      "a header of the upgrade",
      "chat",
      { headers: { "Sec-WebSocket-Protocol": "x" } },
      "ERR_EAS_ARG_HEADER",
      /protocols/,
    ],
  ])("%s", async (_, path, options, code, message) => {
    const server = await startServer();
    const error = await errorOf(clientOf(server).connect(path as string, options as object));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(server.sockets).toHaveLength(0);
  });

  test("invalid messages and close codes", async () => {
    const socket = await clientOf(await startServer(echo)).connect("chat");
    for (const data of [undefined, null, 1, {}, new ArrayBuffer(1), [1]]) {
      expect(thrownBy(() => socket.send(data as never))).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
    }
    for (const code of [0, 999, 1001, 1005, 2999, 5000, 3000.5, "1000"]) {
      expect(await errorOf(socket.close(code as number))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
    }
    expect(await errorOf(socket.close(1000, "长".repeat(42)))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
    expect(await errorOf(socket.close(1000, 1 as never))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
    // The socket is still open.
    socket.send("x");
    expect((await socket[Symbol.asyncIterator]().next()).value).toBe("x");
    await socket.close(1000, "长".repeat(41));
  });

  test("refuses a dialWebSocket that is not a function", () => {
    expect(thrownBy(() => clientOf({ origin: "http://h" }, { dialWebSocket: 1 as never })).message).toContain(
      "dialWebSocket is 1",
    );
  });
});

describe("an abort of a socket", () => {
  const reason = new Error("the caller's own reason");

  test("before the handshake sends nothing", async () => {
    const server = await startServer();
    const signal = AbortSignal.abort(reason);
    expect(await errorOf(clientOf(server).connect("chat", { signal }))).toBe(reason);
    expect(server.sockets).toHaveLength(0);
  });

  test.each([
    ["while the token is made", "chat", () => new Promise<string>(() => {})],
    ["while it is dialled", "hang", TOKEN],
  ])("%s", async (_, path, token) => {
    const server = await startServer();
    const client = clientOf(server, { token, maxConnectionCount: 1 });
    const controller = new AbortController();
    const watched = watch(client.connect(path, { signal: controller.signal }));
    if (path === "hang") await until(() => server.requests.length > 0);
    else for (let i = 0; i < 5; i++) await turn();
    expect(watched.state).toBe("pending");
    controller.abort(reason);
    await turn();
    expect(watched).toEqual({ state: "rejected", value: reason });
    expect(listeners(controller.signal)).toBe(0);
    await expectFreeSlot(client.setToken(TOKEN));
  });

  test("while waiting for a connection does not occupy it", async () => {
    const server = await startServer(echo);
    const client = clientOf(server, { maxConnectionCount: 1 });
    const first = await client.connect("chat");
    const controller = new AbortController();
    const watched = watch(client.connect("chat", { signal: controller.signal }));
    for (let i = 0; i < 5; i++) await turn();
    controller.abort(reason);
    await turn();
    expect(watched).toEqual({ state: "rejected", value: reason });
    const late = await errorOf(client.connect("chat", { timeout: 30 }));
    expect(late).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "connect", timeout: 30 });
    expect(late.message).toContain("maxConnectionCount (1)");
    await first.close();
    await expectFreeSlot(client);
    expect(server.requests).toHaveLength(2);
  });

  test("rejects the iteration immediately and drops queued messages", async () => {
    const server = await startServer((peer) => peer.send("unread"));
    const client = clientOf(server, { maxConnectionCount: 1 });
    const controller = new AbortController();
    const socket = await client.connect("chat", { signal: controller.signal });
    const iterator = socket[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toBe("unread");
    const watched = watch(iterator.next());
    controller.abort(reason);
    expect(thrownBy(() => socket.send("x"))).toMatchObject({ code: "ERR_EAS_SOCKET_CLOSED", closeCode: 1006 });
    await turn();
    expect(watched).toEqual({ state: "rejected", value: reason });
    expect((await socket.closed).code).toBe(1006);
    expect(listeners(controller.signal)).toBe(0);
    await expectFreeSlot(client);
  });

  test("in the tick in which the socket opened rejects connect()", async () => {
    const controller = new AbortController();
    const terminate = vi.fn();
    const dialWebSocket: WebSocketDialer = async () => {
      queueMicrotask(() => queueMicrotask(() => controller.abort(reason)));
      return { ...fakeConnection(), terminate };
    };
    const client = clientOf({ origin: "http://h" }, { dialWebSocket });
    const error = await client.connect("chat", { signal: controller.signal }).then(
      (socket) => errorOf(allOf(socket)),
      (error) => error,
    );
    expect(error).toBe(reason);
    expect(terminate).toHaveBeenCalledOnce();
  });

  test("after the end has no effect", async () => {
    const server = await startServer((peer) => peer.close(1000, "done"));
    const controller = new AbortController();
    const socket = await clientOf(server).connect("chat", { signal: controller.signal });
    await socket.closed;
    expect(listeners(controller.signal)).toBe(0);
    controller.abort(reason);
    expect(await allOf(socket)).toEqual([]);
  });
});

/** A connection that the test controls. */
function fakeConnection(options: Partial<WebSocketConnection> = {}) {
  const connection = {
    onMessage: undefined as WebSocketConnection["onMessage"],
    onClose: undefined as WebSocketConnection["onClose"],
    onPong: undefined as WebSocketConnection["onPong"],
    ping: undefined as WebSocketConnection["ping"],
    pause: undefined as WebSocketConnection["pause"],
    resume: undefined as WebSocketConnection["resume"],
    send: vi.fn(),
    close: vi.fn((code: number, reason: string) => connection.end({ code, reason })),
    terminate: vi.fn(() => connection.end({ code: 1006, reason: "" })),
    end: (close: WebSocketClose) => queueMicrotask(() => connection.onClose?.(close)),
    ...options,
  };
  return connection;
}

async function overFake(
  options: Partial<WebSocketConnection> = {},
  more: PredictClientOptions = {},
  connecting: SocketOptions = {},
) {
  const connection = fakeConnection(options);
  const client = clientOf({ origin: "http://h" }, { ...more, dialWebSocket: async () => connection });
  return { connection, client, socket: await client.connect("chat", connecting) };
}

describe("memory of a socket", () => {
  test("a slow reader causes backpressure and loses no message", async () => {
    const piece = Buffer.alloc(65_536, 1);
    let sent = 0;
    const server = await startServer((peer) => {
      const more = () => {
        if (sent === 400) peer.close(1000);
        else {
          sent++;
          peer.send(piece, more);
        }
      };
      more();
    });
    const socket = await clientOf(server).connect("chat");
    // The data in transit fills all buffers, and then the service must wait.
    let before = -1;
    for (let still = 0; still < 200; await turn()) {
      still = sent === before ? still + 1 : 0;
      before = sent;
    }
    expect(sent).toBeLessThan(400);
    let length = 0;
    for await (const message of socket) length += message.length;
    expect(length).toBe(400 * 65_536);
  });

  test("a paused socket can be closed without losing received messages", async () => {
    const server = await startServer((peer) => {
      for (let i = 0; i < 64; i++) peer.send(Buffer.alloc(65_536, i));
    });
    const socket = await clientOf(server).connect("chat");
    // The buffers of the client and the kernel are full, and part of the data may be unsent.
    let before = -1;
    let unchanged = 0;
    await until(() => {
      const left = server.peers[0]?.bufferedAmount ?? -1;
      unchanged = left === before ? unchanged + 1 : 0;
      before = left;
      return left >= 0 && unchanged > 5_000;
    });
    await socket.close();
    expect(await socket.closed).toEqual({ code: 1000, reason: "" });
    const messages = await allOf(socket);
    expect(messages.length).toBeGreaterThan(0);
    expect(messages.map((message) => message[0])).toEqual(messages.map((_, i) => i));
  });

  test("without backpressure the socket is terminated at maxResponseBytes", async () => {
    const { connection, socket } = await overFake({}, { maxResponseBytes: 1000 });
    connection.onMessage?.(new Uint8Array(500));
    expect(connection.terminate).not.toHaveBeenCalled();
    connection.onMessage?.(new Uint8Array(500));
    connection.onMessage?.("late");
    expect(connection.terminate).toHaveBeenCalledOnce();
    const error = await errorOf(allOf(socket));
    expect(error).toMatchObject({ code: "ERR_EAS_SOCKET_CLOSED", closeCode: 1006 });
    expect(error.message).toContain("1000 received bytes (maxResponseBytes) are unread");
  });

  test("pauses when its buffer is full, and resumes when it is half empty", async () => {
    const pause = vi.fn();
    const resume = vi.fn();
    const { connection, socket } = await overFake({ pause, resume }, { maxResponseBytes: 1000 });
    connection.onMessage?.("x".repeat(400));
    expect(pause).not.toHaveBeenCalled();
    connection.onMessage?.("y".repeat(400));
    expect(pause).toHaveBeenCalledOnce();
    const iterator = socket[Symbol.asyncIterator]();
    await iterator.next();
    expect(resume).not.toHaveBeenCalled();
    await iterator.next();
    expect(resume).toHaveBeenCalledOnce();
    await socket.close();
  });

  test.each(["text", "bytes"])("rejects a message larger than maxResponseBytes: %s", async (kind) => {
    const server = await startServer((peer) => peer.send(kind === "text" ? "长".repeat(400) : Buffer.alloc(1001)));
    const socket = await clientOf(server, { maxResponseBytes: 1000 }).connect("chat");
    expect(await errorOf(allOf(socket))).toMatchObject({ code: "ERR_EAS_DECODE", format: "message" });
    await socket.closed;
    // The dialer does not enforce a limit.
    const fake = await overFake({}, { maxResponseBytes: 1000 });
    fake.connection.onMessage?.(kind === "text" ? "长".repeat(334) : new Uint8Array(1001));
    expect(await errorOf(allOf(fake.socket))).toMatchObject({ code: "ERR_EAS_DECODE", format: "message" });
    expect(fake.connection.terminate).toHaveBeenCalledOnce();
  });
});

describe("keep-alive of a socket", () => {
  test("sends no pings by default, and has no idle timeout", async () => {
    vi.useFakeTimers();
    const ping = vi.fn();
    const { connection, socket } = await overFake({ ping });
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(ping).not.toHaveBeenCalled();
    expect(connection.terminate).not.toHaveBeenCalled();
    await socket.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("sends no ping frame by default", async () => {
    const pings = vi.fn();
    const server = await startServer((peer) => {
      peer.on("ping", pings);
      echo(peer);
    });
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout"] });
    const client = clientOf(server);
    const socket = await client.connect("chat");
    const pinging = await client.connect("chat", { pingInterval: 2_000 });
    await vi.advanceTimersByTimeAsync(6_000);
    for (const each of [socket, pinging]) {
      each.send("x");
      for await (const message of each) {
        expect(message).toBe("x");
        break;
      }
    }
    expect(pings).toHaveBeenCalledTimes(3);
  });

  test.each<[SocketOptions, number]>([
    [{ pingInterval: 2_000 }, 60_000],
    [{ pingInterval: 50_000 }, 100_000],
    [{ pingInterval: 2_000, idleTimeout: 7_000 }, 7_000],
    [{ idleTimeout: 90_000 }, 90_000],
  ])("%o: times out without messages and pongs", async (options, limit) => {
    const ping = vi.fn();
    vi.useFakeTimers();
    const { connection, socket } = await overFake({ ping }, {}, options);
    const messages = errorOf(allOf(socket));
    await vi.advanceTimersByTimeAsync(limit - 1_000);
    const { pingInterval = Number.POSITIVE_INFINITY } = options;
    expect(ping).toHaveBeenCalledTimes(Math.floor((limit - 1_000) / pingInterval));
    if (pingInterval < limit) {
      connection.onPong?.();
      await vi.advanceTimersByTimeAsync(limit - 1_000);
    }
    connection.onMessage?.("alive");
    await vi.advanceTimersByTimeAsync(limit - 1_000);
    expect(connection.terminate).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(connection.terminate).toHaveBeenCalledOnce();
    expect((await messages).message).toContain(`nothing received for ${limit} ms (idleTimeout)`);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("refuses pingInterval if the runtime cannot ping, and releases the connection", async () => {
    const error = await errorOf(overFake({}, {}, { pingInterval: 1_000 }));
    expect(error).toMatchObject({ code: "ERR_EAS_UNSUPPORTED", message: expect.stringContaining("cannot send pings") });
  });

  test.each<SocketOptions>([{ pingInterval: 0 }, { idleTimeout: -1 }, { pingInterval: "2s" as never }])(
    "%o is refused before anything is sent",
    async (options) => {
      const server = await startServer();
      const error = await errorOf(clientOf(server).connect("chat", options));
      expect(error).toMatchObject({ code: "ERR_EAS_ARG_TIMEOUT" });
      expect(server.sockets).toHaveLength(0);
    },
  );
});

describe("resources of a socket", () => {
  test("occupies a slot until its end, while predictions still succeed", async () => {
    const server = await startServer(echo);
    const client = clientOf(server, { maxConnectionCount: 2 });
    const socket = await client.connect("chat");
    const second = watch(client.connect("chat"));
    expect(String(await client.predict("x"))).toBe("over HTTP");
    expect(second.state).toBe("pending");
    server.peers[0]?.close(1000);
    await socket.closed;
    await until(() => second.state === "resolved");
    await (second.value as PredictSocket).close();
  });

  test("occupies an instance in direct mode", async () => {
    const servers = [await startServer(echo), await startServer(echo)] as const;
    const instances = servers.map(({ origin }) => ({ host: "127.0.0.1", port: Number(new URL(origin).port) }));
    const direct = { endpointType: ENDPOINT_TYPE_DIRECT, balancer: "least-inflight" } as const;
    const client = clientOf(servers[0], { ...direct, endpoint: "", endpointSource: () => instances });
    // The instance without a socket is chosen.
    let open = await client.connect("chat");
    for (let i = 0; i < 10; i++) {
      const other = await client.connect("chat");
      expect(other.endpoint).not.toBe(open.endpoint);
      await open.close();
      open = other;
    }
    await open.close();
  });

  test("releases its instance after a failed handshake", async () => {
    const server = await startServer(echo);
    const endpointSource = () => [{ host: "127.0.0.1", port: Number(new URL(server.origin).port) }];
    const direct = { endpointType: ENDPOINT_TYPE_DIRECT, maxConnectionCount: 1 } as const;
    const client = clientOf(server, { ...direct, endpoint: "", endpointSource });
    expect(await errorOf(client.connect("404"))).toMatchObject({ status: 404 });
    await expectFreeSlot(client);
    expect(server.requests.map(({ url }) => url)).toEqual(["/svc/404", "/svc/free"].map((url) => `/api/predict${url}`));
  });

  test("ejects an instance that refuses connections", async () => {
    const server = await startServer(echo);
    const ports = [9, Number(new URL(server.origin).port)];
    const endpointSource = () => ports.map((port) => ({ host: "127.0.0.1", port }));
    const client = clientOf(server, { endpointType: ENDPOINT_TYPE_DIRECT, endpoint: "", endpointSource });
    await client.init();
    // Long enough that the ejection does not end during the test.
    vi.spyOn(performance, "now").mockReturnValue(performance.now());
    const outcomes: string[] = [];
    for (let i = 0; i < 16; i++) {
      outcomes.push(
        await client.connect("chat").then(
          (socket) => socket.close().then(() => "open"),
          () => "failed",
        ),
      );
    }
    expect(outcomes.filter((outcome) => outcome === "failed")).toHaveLength(5);
    expect(outcomes.slice(-5)).toEqual(Array(5).fill("open"));
  });

  test("works for the clients of service()", async () => {
    const server = await startServer(echo);
    const { dialWebSocket } = platform;
    const dial = vi.fn(dialWebSocket as WebSocketDialer);
    const client = clientOf(server, { dialWebSocket: dial });
    const socket = await client.service("other").connect("chat");
    expect(server.requests[0]?.url).toBe("/api/predict/other/chat");
    expect(dial).toHaveBeenCalledOnce();
    await socket.close();
  });
});
