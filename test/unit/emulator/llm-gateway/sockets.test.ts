import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import {
  createEmulator,
  type EmulatorServiceSocket,
  type Fault,
  type LlmGatewayGeneration,
  type LlmGatewayOptions,
  llmGateway,
  type RunningEmulator,
  startEmulator,
} from "../../../../src/emulator/index.js";

const running: RunningEmulator[] = [];
const sockets: WebSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

interface EngineLog {
  readonly messages: unknown[];
  /** Resolves with the close code and reason that the engine receives. */
  readonly closed: Promise<{ code: number; reason: string }>;
  socket: EmulatorServiceSocket | undefined;
}

/** Starts a gateway whose engine echoes messages. */
async function start(options: LlmGatewayOptions = {}, generation: LlmGatewayGeneration = "2026-01") {
  let resolve!: (close: { code: number; reason: string }) => void;
  const engine: EngineLog = { messages: [], closed: new Promise((done) => (resolve = done)), socket: undefined };
  const gateway = llmGateway(generation, {
    engine: {
      handle: () => "",
      socket(_call, socket) {
        engine.socket = socket;
        socket.onMessage = (message) => {
          engine.messages.push(message);
          if (message !== "no echo") socket.send(message);
        };
        socket.onClose = resolve;
      },
    },
    ...options,
  });
  const emulator = await startEmulator({ token: "", services: { gateway } });
  running.push(emulator);
  const url = `ws://127.0.0.1:${emulator.port}/api/predict/gateway/ws`;
  const fault = (fault: Fault) => gateway.engines[0]?.fault(fault);
  return { emulator, gateway, engine, url, fault, host: `127.0.0.1:${emulator.port}` };
}

function dial(url: string, headers: Record<string, string> = {}, perMessageDeflate = false): WebSocket {
  const socket = new WebSocket(url, { headers, perMessageDeflate });
  sockets.push(socket);
  return socket;
}

async function open(url: string, headers?: Record<string, string>): Promise<WebSocket> {
  const socket = dial(url, headers);
  await once(socket, "open");
  return socket;
}

async function refusal(socket: WebSocket) {
  socket.on("error", () => {});
  const [, response] = await once(socket, "unexpected-response");
  const body = Buffer.concat(await response.toArray()).toString();
  return { status: response.statusCode, type: response.headers["content-type"], body, headers: response.headers };
}

async function exchange(socket: WebSocket, text: string): Promise<string> {
  const answer = once(socket, "message");
  socket.send(text);
  const [data] = await answer;
  return String(data);
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const TEXT = "text/plain; charset=utf-8";

describe("an upgrade", () => {
  test("is forwarded to the engine", async () => {
    const { url, gateway } = await start();
    const socket = await open(url, { "x-own": "1" });
    expect(await exchange(socket, "hello")).toBe("hello");
    expect(gateway.engineCalls.map(({ path, headers }) => [path, headers.get("x-own")])).toEqual([["/ws", "1"]]);
  });

  test("is refused if it offers an extension", async () => {
    const { url } = await start();
    expect(await refusal(dial(url, {}, true))).toMatchObject({
      status: 503,
      type: TEXT,
      body: "Service Unavailable\n",
    });
  });

  test("is refused from a page of another origin, and accepted from the same origin", async () => {
    const { url, host } = await start();
    expect(await refusal(dial(url, { origin: "http://example.com" }))).toMatchObject({
      status: 403,
      type: TEXT,
      body: "Forbidden\n",
    });
    await open(url, { origin: `http://${host}` });
  });

  test("is refused if no engine is listed, or if the engine is stopped", async () => {
    const { url, gateway } = await start();
    const [engine] = gateway.engines;
    await engine?.stop();
    expect(await refusal(dial(url))).toMatchObject({ status: 503, body: "Service Unavailable\n" });
    if (engine) engine.isListed = false;
    expect(await refusal(dial(url))).toMatchObject({ status: 404, type: TEXT, body: "no backend endpoint found\n" });
  });

  test("is refused with the engine's response, unchanged", async () => {
    const { url, fault } = await start();
    fault({ status: 429, body: "busy", headers: { "retry-after": "3" } });
    const { status, body, headers } = await refusal(dial(url));
    expect([status, body, headers["retry-after"]]).toEqual([429, "busy", "3"]);
    fault({ reset: "before-headers" });
    expect((await refusal(dial(url))).status).toBe(503);
  });

  test("is held while the engine is busy", async () => {
    const { url } = await start({ concurrency: 1, queueLength: 0 });
    const socket = await open(url);
    expect(await refusal(dial(url))).toMatchObject({ status: 429, body: "requests buffer queue overflow\n" });
    const closed = once(socket, "close");
    socket.close();
    await closed;
    await open(url);
  });

  test("gets 404 from the gateway of 2026-04", async () => {
    const { url } = await start({}, "2026-04");
    expect(await refusal(dial(url))).toMatchObject({ status: 404, type: TEXT, body: "404 page not found\n" });
  });
});

describe("the end of a connection", () => {
  test("passes the client's close code to the engine", async () => {
    const { url, engine } = await start();
    const socket = await open(url);
    await exchange(socket, "a");
    socket.close(4001, "bye");
    expect(await engine.closed).toEqual({ code: 4001, reason: "bye" });
  });

  test("passes the engine's close code to the client", async () => {
    const { url, engine } = await start();
    const socket = await open(url);
    await exchange(socket, "a");
    engine.socket?.close(4002, "over");
    const [code, reason] = await once(socket, "close");
    expect([code, String(reason)]).toEqual([4002, "over"]);
  });

  test("reaches the engine if the client sends no close frame", async () => {
    const { url, engine } = await start();
    const socket = await open(url);
    await exchange(socket, "a");
    socket.terminate();
    expect((await engine.closed).code).toBe(1006);
  });

  test("reaches the client without a close frame if the engine closes gracefully", async () => {
    const { url, fault } = await start();
    fault({ end: "in-body", chunks: 1 });
    const socket = await open(url);
    await exchange(socket, "a");
    socket.send("b");
    expect((await once(socket, "close"))[0]).toBe(1006);
  });

  test("does not reach the client after a reset of the engine, until the client sends", async () => {
    const { url, fault, engine } = await start();
    fault({ reset: "in-body", chunks: 1 });
    const socket = await open(url);
    await exchange(socket, "a");
    socket.send("b");
    await engine.closed;
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.send("c");
    expect((await once(socket, "close"))[0]).toBe(1006);
    expect(engine.messages).toEqual(["a", "b"]);
  });

  test("comes without a close frame if no data message is sent for readTimeout", async () => {
    const { url, engine } = await start({ readTimeout: 20 });
    const socket = dial(url);
    expect((await once(socket, "close"))[0]).toBe(1006);
    expect((await engine.closed).code).toBe(1006);
  });
});

describe("a ping", () => {
  test("is answered before the first message, and shortly after a message", async () => {
    let now = 0;
    const { url } = await start({ now: () => now });
    const socket = await open(url);
    now = 60_000;
    socket.ping("1");
    expect(String((await once(socket, "pong"))[0])).toBe("1");
    await exchange(socket, "a");
    now += 5000;
    socket.ping("2");
    expect(String((await once(socket, "pong"))[0])).toBe("2");
  });

  test("ends the direction to the engine 5 s after its last message, without notifying the client", async () => {
    let now = 0;
    const { url, engine } = await start({ now: () => now });
    const socket = await open(url);
    await exchange(socket, "a");
    now = 5001;
    let pongs = 0;
    socket.on("pong", () => pongs++);
    socket.ping();
    socket.send("b");
    // The other direction still works.
    const received = once(socket, "message");
    engine.socket?.send("from the engine");
    expect(String((await received)[0])).toBe("from the engine");
    expect([engine.messages, pongs, socket.readyState]).toEqual([["a"], 0, WebSocket.OPEN]);
  });

  test("ends the direction to the client 5 s after its last message", async () => {
    let now = 0;
    const { url, engine, emulator } = await start({ now: () => now });
    const socket = await open(url);
    await exchange(socket, "a");
    now = 4000;
    socket.send("no echo");
    while (engine.messages.length < 2) await turn();
    now = 6000;
    const received: string[] = [];
    socket.on("pong", () => received.push("pong")).on("message", (data) => received.push(String(data)));
    socket.ping();
    socket.send("b");
    while (engine.messages.length < 3) await turn();
    // Not even the end of the connection is forwarded.
    engine.socket?.close(4003);
    await fetch(`${emulator.endpoint}/api/predict/gateway/healthz`);
    expect([engine.messages, received, socket.readyState]).toEqual([["a", "no echo", "b"], [], WebSocket.OPEN]);
  });
});

test("follows the same rules in memory", async () => {
  let now = 0;
  const messages: unknown[] = [];
  const gateway = llmGateway("2026-01", {
    now: () => now,
    engine: {
      handle: () => "",
      socket(_call, socket) {
        socket.onMessage = (message) => {
          messages.push(message);
          socket.send(message);
        };
      },
    },
  });
  const emulator = createEmulator({ token: "", services: { gateway } });
  const connect = (headers: [string, string][] = []) =>
    emulator.dialWebSocket("ws://e/api/predict/gateway/ws", { headers, signal: new AbortController().signal });
  await expect(connect([["origin", "http://example.com"]])).rejects.toMatchObject({ status: 403 });
  const connection = await connect();
  const next = () =>
    new Promise((resolve) => {
      connection.onMessage = resolve;
    });
  const echo = next();
  connection.send("a");
  expect(await echo).toBe("a");
  const pong = new Promise<void>((resolve) => {
    connection.onPong = resolve;
  });
  connection.ping?.();
  await pong;
  now = 5001;
  connection.onPong = () => expect.unreachable();
  connection.ping?.();
  connection.send("b");
  await new Promise((resolve) => setTimeout(resolve, 0));
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(messages).toEqual(["a"]);
  connection.terminate();
});
