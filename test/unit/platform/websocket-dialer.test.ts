import { getEventListeners, once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket as PeerSocket, WebSocketServer } from "ws";
import { platform as browser } from "../../../src/platform/browser/platform.js";
import {
  TransportError,
  type WebSocketClose,
  type WebSocketConnection,
  type WebSocketDialer,
} from "../../../src/platform/contract.js";
import { platform as node } from "../../../src/platform/node/platform.js";
import { dialWebSocket as dialWeb } from "../../../src/platform/web/websocket.js";
import { dialWebSocket as dialWorkerd } from "../../../src/platform/workerd/websocket.js";

const TOKEN = "token-that-no-error-shows";
const HEADERS = [
  ["authorization", TOKEN],
  ["x-eas-queueservice-uid", "u1"],
] as const;

/** The behavior of the server for the next connection. */
let serve: (peer: PeerSocket, request: IncomingMessage) => void;
let server: Server;
let requests: IncomingMessage[] = [];
let sockets: Socket[] = [];
let base: string;

beforeAll(async () => {
  const accepting = new WebSocketServer({
    noServer: true,
    perMessageDeflate: true,
    handleProtocols: (offered) => [...offered].at(-1) as string,
  });
  server = createServer();
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head) => {
    requests.push(request);
    sockets.push(socket);
    socket.on("error", () => {});
    const status = /^\/(\d{3})/.exec(request.url ?? "")?.[1];
    if (status) {
      // The socket stays open, because the dialer must close it.
      socket.resume().once("end", () => socket.end());
      socket.write(`HTTP/1.1 ${status} No\r\nLocation: /moved\r\nContent-Length: 2\r\n\r\nno`);
    } else if (request.url === "/hang") {
      socket.resume().once("end", () => socket.end());
    } else {
      accepting.handleUpgrade(request, socket, head, (peer) => {
        peer.on("error", () => {});
        serve(peer, request);
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  requests = [];
  sockets = [];
  vi.unstubAllGlobals();
});
afterAll(() => void server.close());

/** The server's side of the next connection. `first` runs in the same tick as the upgrade. */
function nextPeer(first: (peer: PeerSocket) => void = () => {}): Promise<PeerSocket> {
  return new Promise((resolve) => {
    serve = (peer) => {
      first(peer);
      resolve(peer);
    };
  });
}

/** Dials, and checks that the signal keeps no listener, however the dial ends. */
async function open(dial: WebSocketDialer, path = "/", options: { protocols?: string[]; signal?: AbortSignal } = {}) {
  const { signal = new AbortController().signal, ...rest } = options;
  try {
    return await dial(path.includes(":") ? path : base + path, { headers: HEADERS, signal, ...rest });
  } finally {
    expect(getEventListeners(signal, "abort")).toEqual([]);
  }
}

async function failure(dialing: Promise<unknown>): Promise<TransportError> {
  const error = await dialing.then(
    () => expect.fail("it opened"),
    (error) => error,
  );
  expect(error).toBeInstanceOf(TransportError);
  expect(`${error.stack} ${error.cause?.stack} ${JSON.stringify([error, error.cause])}`).not.toContain("that-no-error");
  return error;
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

/** Records everything that a connection delivers, in order. */
function record(connection: WebSocketConnection) {
  const messages: (Uint8Array | string)[] = [];
  const events: unknown[] = [];
  connection.onMessage = (data) => {
    messages.push(data);
    events.push(data);
  };
  const closed = new Promise<WebSocketClose>((resolve) => {
    connection.onClose = (close) => {
      events.push(close);
      resolve(close);
    };
  });
  return { messages, events, closed };
}

/** A global WebSocket with the extensions of Bun, over a real connection. */
class HeaderSocket extends PeerSocket {
  constructor(
    url: string,
    options: { headers: Record<string, string>; protocols: string[]; perMessageDeflate: false },
  ) {
    super(url, options.protocols, { headers: options.headers, perMessageDeflate: options.perMessageDeflate });
  }
}
const dialNode = node.dialWebSocket as WebSocketDialer;
const dialWebOverWs: WebSocketDialer = (...args) => {
  vi.stubGlobal("WebSocket", HeaderSocket);
  return dialWeb(...args);
};

test("browsers have no dialer, because they cannot send headers", () => {
  expect(browser.dialWebSocket).toBeUndefined();
});

describe.each([
  ["node", dialNode],
  ["web", dialWebOverWs],
])("the dialer of %s", (name, dial) => {
  test("sends headers and protocols and asks for no extensions", async () => {
    const peer = nextPeer();
    await open(dial, "/api/predict/q?_watch_=true", { protocols: ["a", "b"] });
    expect((await peer).protocol).toBe("b");
    const [{ url, headers }] = requests as [IncomingMessage];
    expect(url).toBe("/api/predict/q?_watch_=true");
    expect(headers).toMatchObject({ authorization: TOKEN, "x-eas-queueservice-uid": "u1" });
    expect(headers["sec-websocket-protocol"]?.replaceAll(" ", "")).toBe("a,b");
    expect(headers).not.toHaveProperty("sec-websocket-extensions");
  });

  test("transfers bytes and text both ways", async () => {
    const peer = nextPeer((peer) => peer.on("message", (data, binary) => peer.send(data, { binary })));
    const connection = await open(dial);
    const { messages } = record(connection);
    const bytes = Uint8Array.from({ length: 3000 }, (_, i) => i);
    const before = bytes.slice();
    for (const data of [bytes.subarray(3), new Uint8Array(0), "grüß 你好", ""]) connection.send(data);
    await eventually(() => expect(messages).toHaveLength(4));
    expect(messages).toEqual([before.slice(3), new Uint8Array(0), "grüß 你好", ""]);
    expect((messages[0] as Uint8Array).constructor).toBe(Uint8Array);
    expect(bytes).toEqual(before);
    // A fragmented message arrives as one.
    for (const [part, fin] of [
      ["ab", false],
      ["c".repeat(100_000), false],
      ["d", true],
    ] as const) {
      (await peer).send(Buffer.from(part), { binary: true, fin });
    }
    await eventually(() => expect(messages).toHaveLength(5));
    expect(new TextDecoder().decode(messages[4] as Uint8Array)).toBe(`ab${"c".repeat(100_000)}d`);
  });

  test("delivers messages that arrive before the callbacks are set", async () => {
    const texts = [...Array(50).keys()].map(String);
    const opening = nextPeer((peer) => {
      for (const text of texts) peer.send(text);
      peer.close(4001, "that was all");
    });
    const seen = opening.then((peer) => once(peer, "close"));
    const connection = await open(dial);
    await seen;
    const events: unknown[] = [];
    connection.onClose = (close) => events.push(close);
    await sleep(20);
    expect(events).toEqual([]);
    connection.onMessage = (data) => events.push(data);
    expect(events.slice(0, 50)).toEqual(texts);
    await eventually(() => expect(events.slice(50)).toEqual([{ code: 4001, reason: "that was all" }]));
    connection.onClose = (close) => events.push(close);
    expect(events).toHaveLength(51);
  });

  test("reports how the server closed", async () => {
    const closings: [(peer: PeerSocket) => void, number, RegExp][] = [
      [(peer) => peer.close(1000, "done"), 1000, /^done$/],
      [(peer) => peer.close(4403, "nö"), 4403, /^nö$/],
      [(peer) => peer.close(), 1005, /^$/],
      [(peer) => peer.terminate(), 1006, /^$/],
      // A frame with reserved bits closes the connection immediately, without waiting for the server's close frame.
      [(peer) => void (peer as unknown as { _socket: Socket })._socket.write(Buffer.from([0xf2, 0])), 1006, /RSV/],
    ];
    for (const [close, code, reason] of closings) {
      const peer = nextPeer();
      const { closed } = record(await open(dial));
      close(await peer);
      expect(await closed).toEqual({ code, reason: expect.stringMatching(reason) });
    }
  });

  test("closes with the handshake, and sends nothing after it", async () => {
    const peer = nextPeer((peer) => peer.on("message", () => expect.fail("late message")));
    const connection = await open(dial);
    const { closed } = record(connection);
    const seen = once(await peer, "close");
    connection.close(4005, "enough");
    connection.send("late");
    expect((await seen).map(String)).toEqual(["4005", "enough"]);
    expect(await closed).toEqual({ code: 4005, reason: "enough" });
    for (const again of [() => connection.close(1000, ""), () => connection.terminate(), () => connection.send("x")]) {
      expect(again).not.toThrow();
    }
  });

  test("terminate closes the socket immediately, and discards queued messages", async () => {
    const opening = nextPeer((peer) => peer.send("held"));
    const connection = await open(dial);
    const peer = await opening;
    const seen = once(peer, "close");
    await sleep(20);
    peer.send("on its way");
    const events: unknown[] = [];
    connection.onClose = (close) => events.push(close);
    connection.terminate();
    expect(events).toEqual([]);
    connection.onMessage = (data) => events.push(data);
    await Promise.resolve();
    expect(events).toEqual([{ code: 1006, reason: "" }]);
    expect((await seen)[0]).toBe(1006);
    await sleep(20);
    expect(events).toHaveLength(1);
  });

  test("pause queues messages, and resume delivers them in order", async () => {
    const all = [...Array(200).keys()].map(String);
    const peer = nextPeer();
    const connection = await open(dial);
    const { messages, events, closed } = record(connection);
    const take = connection.onMessage;
    connection.onMessage = (data) => {
      take?.(data);
      if (messages.length % 50 === 0) connection.pause?.();
    };
    for (const text of all) (await peer).send(text);
    (await peer).close(1000, "end");
    for (let count = 50; count <= 200; count += 50) {
      await eventually(() => expect(messages).toHaveLength(count));
      await sleep(30);
      expect(messages).toHaveLength(count);
      connection.resume?.();
    }
    await closed;
    expect(events).toEqual([...all, { code: 1000, reason: "end" }]);
  });

  test("reports the status of a refused upgrade, and does not follow redirects", async () => {
    if (name === "web") return; // ws reports it in another way. Deno and Bun are tested below.
    for (const status of [401, 302, 307, 503]) {
      const error = await failure(open(dial, `/${status}?_watch_=true`));
      expect(error).toMatchObject({ status, sent: "maybe", final: false });
      expect(error.message).toBe(`the server responded to the WebSocket upgrade with status ${status}`);
    }
    expect(requests.map(({ url }) => url?.slice(0, 4))).toEqual(["/401", "/302", "/307", "/503"]);
    await eventually(() => expect(sockets.filter(({ destroyed }) => !destroyed)).toEqual([]));
  });

  test("reports that nothing was sent if there is no connection", async () => {
    const free = createTcpServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const error = await failure(open(dial, `ws://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ systemCode: "ECONNREFUSED", status: undefined, final: false });
    if (name === "node") expect(error.sent).toBe("no");
  });

  test("rejects invalid arguments without showing a header", async () => {
    const { signal } = new AbortController();
    const bad = await failure(dial(base, { headers: [["authorization", `${TOKEN}\n`]], signal }));
    expect(bad).toMatchObject({ sent: "no", final: true, message: expect.stringMatching(/TypeError/) });
    expect(await failure(open(dial, "ftp://127.0.0.1/"))).toMatchObject({ sent: "no", final: true });
    expect(await failure(open(dial, "/", { protocols: ["a b"] }))).toMatchObject({ sent: "no", final: true });
    expect(requests).toEqual([]);
  });

  test("an abort ends the dial immediately and leaves no socket", async () => {
    const reason = { no: "error" };
    await expect(open(dial, "/hang", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    // In the same tick as the dial, before anything is created, and in the middle of the handshake.
    for (const wait of [0, 1]) {
      const abort = new AbortController();
      const dialing = open(dial, "/hang", { signal: abort.signal });
      if (wait) await eventually(() => expect(sockets).toHaveLength(1));
      const start = performance.now();
      abort.abort(reason);
      await expect(dialing).rejects.toBe(reason);
      expect(performance.now() - start).toBeLessThan(5_000);
    }
    await eventually(() => expect(sockets[0]?.destroyed).toBe(true));
    await sleep(20);
    expect(requests).toHaveLength(1);
  });

  test("an abort after the open has no effect", async () => {
    const abort = new AbortController();
    const peer = nextPeer();
    const { messages } = record(await open(dial, "/", { signal: abort.signal }));
    abort.abort();
    (await peer).send("still here");
    await eventually(() => expect(messages).toEqual(["still here"]));
  });
});

describe("on Node", () => {
  test("sends pings, and reports pongs", async () => {
    const pinged = nextPeer().then((peer) => once(peer, "ping"));
    const connection = await open(dialNode);
    const pong = new Promise<void>((resolve) => {
      connection.onPong = resolve;
    });
    connection.ping?.();
    expect((await pinged)[0]).toHaveLength(0);
    await pong;
  });

  test("a paused connection pauses the server", async () => {
    const peer = nextPeer();
    const connection = await open(dialNode);
    let received = 0;
    connection.onMessage = ({ length }) => {
      received += length;
    };
    connection.pause?.();
    for (let i = 0; i < 40; i++) (await peer).send(new Uint8Array(1_000_000));
    await sleep(100);
    expect((await peer).bufferedAmount).toBeGreaterThan(10_000_000);
    expect(received).toBe(0);
    connection.resume?.();
    await eventually(() => expect(received).toBe(40_000_000));
  });

  test("a connection that fails in the handshake may have been used", async () => {
    const rude = createTcpServer((socket) => void socket.once("data", () => socket.destroy())).listen(0, "127.0.0.1");
    await once(rude, "listening");
    const error = await failure(open(dialNode, `ws://127.0.0.1:${(rude.address() as AddressInfo).port}/`));
    expect(error).toMatchObject({ sent: "maybe", systemCode: "ECONNRESET" });
    rude.close();
  });

  test("a server that never answers is ended by the deadline of the signal", async () => {
    const accepted: Socket[] = [];
    const silent = createTcpServer((socket) => void accepted.push(socket)).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const dialing = open(dialNode, `ws://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(200) });
    await expect(dialing).rejects.toMatchObject({ name: "TimeoutError" });
    await eventually(() => expect(accepted).toHaveLength(1));
    accepted[0]?.resume();
    await once(accepted[0] as Socket, "close");
    silent.close();
  });
});

/** A fake socket of a runtime. `calls` are those of the dialer; the test fires the events. */
class FakeSocket extends EventTarget {
  static made: { socket: FakeSocket; args: unknown[] }[] = [];
  binaryType = "blob";
  readyState = 0;
  calls: unknown[][] = [];
  constructor(...args: unknown[]) {
    super();
    FakeSocket.made.push({ socket: this, args });
  }
  emit(type: string, fields: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }
  accept(): void {
    this.calls.push(["accept"]);
    this.emit("message", { data: "first" });
  }
  send(...args: unknown[]): void {
    this.calls.push(["send", ...args]);
  }
  close(...args: unknown[]): void {
    this.calls.push(["close", ...args]);
  }
}

describe("over a global WebSocket", () => {
  async function start(end: (socket: FakeSocket) => void) {
    vi.stubGlobal("WebSocket", FakeSocket);
    const dialing = open(dialWeb, "ws://queue/?tag=private");
    const { socket, args } = FakeSocket.made.at(-1) as (typeof FakeSocket.made)[number];
    end(socket);
    return { dialing, socket, args };
  }
  const refusal = (message: string, error?: object) =>
    start((socket) => {
      socket.emit("error", { message, error });
      socket.emit("close", { code: 0, reason: "" });
    }).then(({ dialing }) => failure(dialing));

  test("passes two arguments to the constructor: with three, headers are dropped", async () => {
    const { dialing, args, socket } = await start((socket) => socket.emit("open"));
    const headers = Object.fromEntries(HEADERS);
    expect(args).toEqual(["ws://queue/?tag=private", { headers, protocols: [], perMessageDeflate: false }]);
    expect(socket.binaryType).toBe("arraybuffer");
    const { ping, pause, resume } = await dialing;
    expect([ping, pause, resume]).toEqual([undefined, undefined, undefined]);
  });

  test("parses the error messages of Deno and Bun", async () => {
    const deno = "NetworkError: failed to connect to WebSocket: ";
    const bun = "WebSocket connection to 'ws://queue/?tag=private' failed: ";
    expect(await refusal(`${deno}Invalid status code: 401`)).toMatchObject({ status: 401, sent: "maybe" });
    expect(await refusal(`${bun}Expected 101 status code: 302`)).toMatchObject({ status: 302, sent: "maybe" });
    expect(await refusal(`${deno}tcp connect error`)).toMatchObject({ status: undefined, sent: "no" });
    expect(await refusal(`${deno}dns error`)).toMatchObject({ sent: "no" });
    const refused = await refusal(`${bun}Failed to connect`, { code: "ECONNREFUSED" });
    expect(refused).toMatchObject({ sent: "no", systemCode: "ECONNREFUSED", message: "Failed to connect" });
    expect(await refusal("")).toMatchObject({ sent: "maybe", message: "no WebSocket" });
  });

  test("reports a broken connection as 1006, whatever the runtime's code", async () => {
    const { dialing, socket } = await start((socket) => socket.emit("open"));
    const { events } = record(await dialing);
    socket.emit("message", { data: new Uint8Array([1, 2]).buffer });
    socket.emit("error", { message: "WebSocket connection to 'ws://queue/?tag=private' failed: Unexpected EOF" });
    socket.emit("close", { code: 0, reason: "" });
    expect(events).toEqual([new Uint8Array([1, 2]), { code: 1006, reason: "Unexpected EOF" }]);
    const other = await start((socket) => socket.emit("open"));
    const { closed } = record(await other.dialing);
    other.socket.emit("close", { code: 0, reason: "" });
    expect(await closed).toEqual({ code: 1006, reason: "" });
  });

  test("delivers one event at a time, and none during or after terminate", async () => {
    const { dialing, socket } = await start((socket) => socket.emit("open"));
    const connection = await dialing;
    for (const data of ["a", "b"]) socket.emit("message", { data });
    const events: unknown[] = [];
    connection.onClose = (close) => events.push(close.code);
    connection.onMessage = (first) => {
      connection.onMessage = (data) => events.push(data);
      socket.emit("message", { data: "c" });
      events.push(first);
    };
    expect(events).toEqual(["a", "b", "c"]);
    socket.close = () => socket.emit("close", { code: 1000, reason: "" });
    connection.terminate();
    socket.emit("message", { data: "late" });
    expect(events).toHaveLength(3);
    await Promise.resolve();
    expect(events.slice(3)).toEqual([1006]);
  });
});

describe("on workerd", () => {
  function stubFetch(answer: (init: RequestInit, url: string) => object | Promise<object>) {
    vi.stubGlobal("fetch", async (url: string, init: RequestInit) => answer(init, url));
  }
  async function accepted() {
    const socket = new FakeSocket();
    socket.readyState = 1;
    const calls: { url?: string; init?: RequestInit } = {};
    stubFetch((init, url) => {
      Object.assign(calls, { url, init });
      return { status: 101, headers: new Headers({ "sec-websocket-protocol": "a" }), webSocket: socket };
    });
    const abort = new AbortController();
    const connection = await open(dialWorkerd, "wss://queue/", { protocols: ["a", "b"], signal: abort.signal });
    return { socket, connection, abort, url: calls.url, init: calls.init as RequestInit };
  }

  test("upgrades with fetch, and accepts after all listeners are added", async () => {
    const { socket, connection, url, init } = await accepted();
    expect(url).toBe("https://queue/");
    expect(init.headers).toEqual({
      ...Object.fromEntries(HEADERS),
      upgrade: "websocket",
      "sec-websocket-protocol": "a, b",
    });
    expect(init.redirect).toBe("manual");
    expect(socket).toMatchObject({ binaryType: "arraybuffer", calls: [["accept"]] });
    expect(connection.protocol).toBe("a");
    expect(record(connection).messages).toEqual(["first"]);
    connection.send("x");
    socket.readyState = 2;
    connection.send("lost, where workerd would throw");
    expect(socket.calls).toEqual([["accept"], ["send", "x"]]);
  });

  test("answers the server's close if the runtime does not", async () => {
    const answers: [number, number, unknown[][]][] = [
      [2, 4001, [["close", 4001, "why"]]],
      [2, 1005, [["close"]]],
      [3, 4001, []],
    ];
    for (const [readyState, code, expected] of answers) {
      const { socket, connection } = await accepted();
      const { closed } = record(connection);
      Object.assign(socket, { readyState });
      socket.emit("close", { code, reason: "why" });
      expect(socket.calls.slice(1)).toEqual(expected);
      expect(await closed).toEqual({ code, reason: "why" });
    }
  });

  test("ends the socket with the signal of fetch, which the caller's signal no longer aborts", async () => {
    const { connection, abort, init } = await accepted();
    abort.abort();
    expect(init.signal?.aborted).toBe(false);
    connection.terminate();
    expect(init.signal?.aborted).toBe(true);
    expect(await record(connection).closed).toEqual({ code: 1006, reason: "" });
  });

  test("rejects with the status, the failure or the reason", async () => {
    const cancel = vi.fn();
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(100_000).fill(97)),
      cancel,
    });
    const headers = new Headers({ "retry-after": "3" });
    stubFetch(() => ({ status: 429, headers, webSocket: null, body }));
    const refused = await failure(open(dialWorkerd));
    expect(refused).toMatchObject({ status: 429, sent: "maybe", response: { status: 429, headers } });
    expect(refused.response?.body).toHaveLength(200_000);
    expect(cancel).toHaveBeenCalledOnce();
    stubFetch(() => Promise.reject(new Error("Network connection lost.")));
    expect(await failure(open(dialWorkerd))).toMatchObject({ status: undefined, message: "Network connection lost." });
    const abort = new AbortController();
    stubFetch(({ signal }) => new Promise((_, reject) => signal?.addEventListener("abort", () => reject("ended"))));
    const dialing = open(dialWorkerd, "/", { signal: abort.signal });
    abort.abort("mine");
    await expect(dialing).rejects.toBe("mine");
  });
});
