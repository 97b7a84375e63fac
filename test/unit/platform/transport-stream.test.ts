import { spawn } from "node:child_process";
import { getEventListeners, once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { createEmulator } from "../../../src/emulator/index.js";
import {
  type StreamedResponse,
  type Transport,
  TransportError,
  type TransportRequest,
} from "../../../src/platform/contract.js";
import { type NodeTransportOptions, nodeTransport } from "../../../src/platform/node/http/transport.js";
import { type FetchFunction, fetchTransport } from "../../../src/platform/web/fetch-transport.js";
import { errorOf, startServer, turn, watch } from "../../support/calls.js";
import {
  finBeforeHeaders,
  finInBody,
  garbage,
  handOver,
  type MisbehavingServer,
  raw,
  refusedOrigin,
  resetBeforeHeaders,
  resetInBody,
  resetInHeaders,
  stallBeforeHeaders,
  truncatedChunks,
} from "../../support/misbehaving-server.js";

const MIB = 1024 * 1024;

/**
 * Resolves when a number has not changed for 1,000 turns of the event loop, in which both sides could have made
 * progress.
 */
async function standstill(progress: () => number): Promise<void> {
  let last = -1;
  for (let turns = 0; turns < 1_000; turns++) {
    if (progress() !== last) turns = 0;
    last = progress();
    await turn();
  }
}
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST = "0\r\n\r\n";

// The first undici that is loaded becomes the one of the global fetch, which must be the runtime's own.
beforeAll(() => fetch("data:,"));

let signals: AbortSignal[] = [];
afterEach(() => {
  const made = signals;
  signals = [];
  for (const signal of made) expect(getEventListeners(signal, "abort")).toEqual([]);
});

type Request = TransportRequest & { readonly abort: (reason: unknown) => void };

function requestTo(origin: string, more: Partial<TransportRequest> = {}): Request {
  const controller = new AbortController();
  signals.push(controller.signal);
  return {
    method: "GET",
    origin,
    path: "/stream",
    headers: [["x-test", "yes"]],
    body: null,
    maxResponseBytes: 10,
    signal: controller.signal,
    exchange: undefined,
    phase: "headers",
    onDispatch: () => {},
    abort: (reason) => controller.abort(reason),
    ...more,
  };
}

function open(transport: Transport, to: MisbehavingServer | Request): Promise<StreamedResponse> {
  return transport.stream!("signal" in to ? to : requestTo(to.origin));
}

const text = (piece: Uint8Array | undefined) => new TextDecoder().decode(piece);
const chunk = (body: string | Uint8Array) =>
  Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), Buffer.from(body), Buffer.from("\r\n")]);

/** Reads the rest of a stream. Each chunk must have its own memory. */
async function rest(stream: StreamedResponse): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const piece = await stream.read();
    if (piece === undefined) return Buffer.concat(pieces);
    expect([piece.constructor, piece.byteOffset, piece.buffer.byteLength]).toEqual([Uint8Array, 0, piece.length]);
    expect(piece.length).toBeGreaterThan(0);
    pieces.push(piece);
  }
}

/** Reads until `bytes` bytes have arrived. */
async function readBytes(stream: StreamedResponse, bytes: number): Promise<string> {
  let read = "";
  while (read.length < bytes) {
    const piece = await stream.read();
    if (piece === undefined) break;
    read += text(piece);
  }
  return read;
}

/** Resolves when the client has closed the connection. */
async function gone(socket: Socket): Promise<void> {
  if (!socket.destroyed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

/** Starts a response on the server's and the client's side. */
async function begin(transport: Transport, head = CHUNKED, server?: MisbehavingServer) {
  const used = server ?? (await startServer());
  const { behaviour, socket: socketing } = handOver();
  used.play(behaviour);
  const request = requestTo(used.origin);
  const opening = open(transport, request);
  const socket = await socketing;
  socket.write(head);
  return { server: used, request, socket, stream: await opening };
}

/** Writes, and resolves when the system has accepted it. */
const write = (socket: Socket, bytes: string | Uint8Array) =>
  new Promise<void>((resolve) => socket.write(bytes, () => resolve()));

describe.each([
  ["nodeTransport", (options: NodeTransportOptions = {}) => closing(nodeTransport({ connections: 20, ...options }))],
  ["fetchTransport", () => closing(fetchTransport())],
])("%s", (name, make) => {
  const isNode = name === "nodeTransport";

  test.each([
    ["in chunks", CHUNKED, chunk, LAST],
    ["of a stated length", "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n", (body: string) => body, ""],
    ["until the connection ends", "HTTP/1.1 200 OK\r\n\r\n", (body: string) => body, undefined],
  ])("returns the chunks of a body %s as they arrive", async (_name, head, frame, last) => {
    const server = await startServer();
    const { behaviour, socket: socketing } = handOver();
    server.play(behaviour);
    const request = requestTo(server.origin, { method: "POST", body: new TextEncoder().encode("question") });
    const opening = open(make(), request);
    const socket = await socketing;
    expect(request.phase).toBe("headers");
    expect(watch(opening).state).toBe("pending");
    socket.write(head.replace("OK\r\n", "OK\r\nX-EAS-Test: A, b\r\n"));
    const stream = await opening;
    expect(request.phase).toBe("body");
    expect(stream).toMatchObject({ status: 200, contentEncoding: undefined });
    expect([...stream.headers].find(([name]) => name === "x-eas-test")).toEqual(["x-eas-test", "A, b"]);
    for (const piece of ["first", "other", "third"]) {
      const reading = stream.read();
      await turn();
      expect(watch(reading).state).toBe("pending");
      socket.write(frame(piece));
      expect(text(await reading)).toBe(piece);
    }
    if (last === undefined) socket.end();
    else socket.write(last);
    for (let again = 0; again < 3; again++) expect(await stream.read()).toBeUndefined();
    stream.cancel(new Error("late"));
    expect(await stream.read()).toBeUndefined();
    expect(String(server.requests[0]?.body)).toBe("question");
    expect(server.requests[0]?.headers).toMatchObject({ "x-test": "yes", "content-length": "8" });
  });

  test.each([
    ["a length of 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["no chunk", `${CHUNKED}${LAST}`],
    ["a status without a body", "HTTP/1.1 204 No Content\r\n\r\n"],
  ])("an empty body by %s ends immediately", async (_name, answer) => {
    const server = await startServer();
    server.play(raw(answer));
    const stream = await open(make(), server);
    expect(await stream.read()).toBeUndefined();
    expect(await stream.read()).toBeUndefined();
  });

  test("skips informational responses, and returns any status", async () => {
    const server = await startServer();
    server.play(
      raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\ngone"),
      raw("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 5\r\n\r\nmoved"),
    );
    const transport = make();
    const refused = await open(transport, server);
    expect([refused.status, refused.headers.has("link"), String(await rest(refused))]).toEqual([503, false, "gone"]);
    const moved = await open(transport, server);
    expect([moved.status, moved.headers.get("location"), String(await rest(moved))]).toEqual([
      302,
      "/elsewhere",
      "moved",
    ]);
    expect(server.requests).toHaveLength(2);
  });

  test("chunks belong to the receiver", async () => {
    const { socket, stream } = await begin(make());
    socket.write(Buffer.concat([chunk("aaaa"), chunk("bbbb"), chunk("cccc")]));
    const first = (await stream.read()) as Uint8Array<ArrayBuffer>;
    expect(first.buffer.byteLength).toBe(first.length);
    const { length } = first;
    structuredClone(first.buffer, { transfer: [first.buffer] });
    socket.write(LAST);
    expect(String(await rest(stream))).toBe("aaaabbbbcccc".slice(length));
  });

  test.each([
    ["in chunks", true],
    ["of a stated length", false],
  ])("transfers a large body %s unchanged, however slowly it is read", async (_name, chunked) => {
    const body = new Uint8Array(3 * MIB + 17).map((_, i) => (i * 2654435761) >>> 13);
    const head = chunked ? CHUNKED : `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
    const { socket, stream } = await begin(make(), head);
    for (let at = 0; at < body.length; at += 100_000) {
      const part = body.subarray(at, at + 100_000);
      socket.write(chunked ? chunk(part) : part);
    }
    if (chunked) socket.write(LAST);
    await sleep(50);
    const first = (await stream.read()) as Uint8Array;
    await sleep(50);
    expect(Buffer.concat([first, await rest(stream)]).equals(body)).toBe(true);
  });

  test("transfers many small chunks", async () => {
    const { socket, stream } = await begin(make());
    const expected = Array.from({ length: 30_000 }, (_, i) => String(i % 10)).join("");
    socket.write(Buffer.concat([...expected].map((byte) => chunk(byte))));
    socket.write(LAST);
    await sleep(30);
    expect(String(await rest(stream))).toBe(expected);
  });

  test("pauses the server while nothing is read, and then continues", async () => {
    const { socket, stream } = await begin(make());
    const part = chunk(new Uint8Array(65_536));
    let written = 0;
    let going = true;
    onTestFinished(() => {
      going = false;
    });
    const endless = async () => {
      while (going && !socket.destroyed) {
        await write(socket, part);
        written += part.length;
      }
    };
    void endless();
    for (const readTo of [0, 40 * MIB]) {
      for (let read = 0; read < readTo; ) read += ((await stream.read()) as Uint8Array).length;
      const before = readTo;
      await standstill(() => written);
      expect(written).toBeGreaterThan(before);
      expect(written - before).toBeLessThan(20 * MIB);
    }
    stream.cancel("enough");
    await gone(socket);
  });

  test.each([
    ["a reset", resetInBody],
    ["an end before the stated length", finInBody],
    ["an end before the last chunk", truncatedChunks],
  ])("%s in the body is an error, for this read and all later reads", async (_name, behaviour) => {
    const server = await startServer();
    server.play(behaviour);
    const stream = await open(make(), server);
    const error = await errorOf(rest(stream));
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ sent: "maybe", final: false });
    expect(await errorOf(stream.read())).toBe(error);
    stream.cancel("late");
    expect(await errorOf(stream.read())).toBe(error);
  });

  test("a pending read rejects when the connection fails", async () => {
    const { socket, stream } = await begin(make());
    const reading = errorOf(stream.read());
    socket.resetAndDestroy();
    expect(await reading).toMatchObject({ sent: "maybe", systemCode: "ECONNRESET" });
  });

  test("a failure before the head rejects", async () => {
    const server = await startServer();
    const transport = make();
    for (const behaviour of [resetBeforeHeaders, finBeforeHeaders, resetInHeaders, garbage]) {
      server.play(behaviour);
      const error = await errorOf(open(transport, server));
      expect(error).toBeInstanceOf(TransportError);
      expect(error).toMatchObject({ sent: "maybe" });
    }
    const refused = await errorOf(open(transport, requestTo(await refusedOrigin())));
    expect(refused).toBeInstanceOf(TransportError);
    expect(refused).toMatchObject({ sent: "no", systemCode: "ECONNREFUSED" });
  });

  test("an abort before the start sends nothing", async () => {
    const server = await startServer();
    const request = requestTo(server.origin);
    request.abort("never mind");
    const transport = make();
    expect(await errorOf(open(transport, request))).toBe("never mind");
    // The second time, undici is already loaded.
    await rest(await open(transport, server));
    expect(await errorOf(open(transport, request))).toBe("never mind");
    expect([server.requests.length, server.connections]).toEqual([1, 1]);
  });

  test("an abort while the transport prepares sends nothing", async () => {
    const server = await startServer();
    const request = requestTo(server.origin);
    const opening = open(make(), request);
    request.abort("never mind");
    expect(await errorOf(opening)).toBe("never mind");
    await sleep(30);
    expect(server.requests).toHaveLength(0);
  });

  test("an abort while waiting for the head rejects", async () => {
    const server = await startServer();
    const { behaviour, socket: socketing } = handOver();
    server.play(behaviour);
    const request = requestTo(server.origin);
    const opening = errorOf(open(make(), request));
    const socket = await socketing;
    request.abort("too long");
    expect(await opening).toBe("too long");
    await gone(socket);
  });

  test.each(["abort", "cancel"] as const)("%s in the body rejects", async (how) => {
    const transport = make();
    const server = await startServer();
    const reason = { no: "error" };
    for (const when of ["waiting", "idle", "unread", "in the same turn"]) {
      const { request, socket, stream } = await begin(transport, CHUNKED, server);
      const end = () => (how === "abort" ? request.abort(reason) : stream.cancel(reason));
      socket.write(chunk("first"));
      expect(await readBytes(stream, 5)).toBe("first");
      let reading: Promise<unknown> | undefined;
      if (when === "waiting") {
        reading = errorOf(stream.read());
        await turn();
      } else if (when === "unread") {
        await write(socket, chunk("never read"));
        await sleep(20);
      } else if (when === "in the same turn") {
        reading = errorOf(stream.read());
      }
      end();
      if (reading) expect(await reading).toBe(reason);
      expect(await errorOf(stream.read())).toBe(reason);
      stream.cancel("again");
      expect(await errorOf(stream.read())).toBe(reason);
      await gone(socket);
    }
    expect(String(await rest(await open(transport, server)))).toBe("ok");
    // None of these connections was reused.
    expect(new Set(server.requests.map(({ connection }) => connection)).size).toBe(5);
  });

  test("a cancel discards received chunks, even if the server has finished", async () => {
    const { socket, stream } = await begin(make());
    await write(socket, Buffer.concat([chunk("unread"), Buffer.from(LAST)]));
    await sleep(30);
    stream.cancel("enough");
    expect(await errorOf(stream.read())).toBe("enough");
  });

  test("an abort after the last read changes nothing", async () => {
    const server = await startServer();
    const request = requestTo(server.origin);
    const stream = await open(make(), request);
    expect(String(await rest(stream))).toBe("ok");
    expect(getEventListeners(request.signal, "abort")).toEqual([]);
    request.abort("late");
    expect(await stream.read()).toBeUndefined();
  });

  test("only one read can be pending", async () => {
    const { socket, stream } = await begin(make());
    const reading = stream.read();
    await expect(stream.read()).rejects.toThrow("one at a time");
    socket.write(chunk("piece"));
    expect(text(await reading)).toBe("piece");
    stream.cancel("enough");
  });

  test("concurrent streams are independent", async () => {
    const server = await startServer();
    const transport = make();
    const begun = [];
    for (let i = 0; i < 8; i++) begun.push(await begin(transport, CHUNKED, server));
    expect(server.connections).toBe(8);
    for (let round = 0; round < 5; round++) {
      for (const [i, { socket }] of begun.entries()) socket.write(chunk(`${round}.${i}`));
      const pieces = await Promise.all(begun.map(({ stream }) => stream.read()));
      expect(pieces.map(text)).toEqual(begun.map((_, i) => `${round}.${i}`));
    }
    begun[3]?.stream.cancel("only this");
    for (const [i, { socket }] of begun.entries()) if (i !== 3) socket.write(LAST);
    for (const [i, { stream }] of begun.entries()) if (i !== 3) expect(await stream.read()).toBeUndefined();
  });

  test("reports the remaining content coding of the chunks", async () => {
    const packed = gzipSync("unpacked");
    const head = CHUNKED.replace("OK\r\n", "OK\r\nContent-Encoding: GZIP\r\n");
    const { socket, stream } = await begin(make(), head);
    socket.write(chunk(packed.subarray(0, 9)));
    socket.write(Buffer.concat([chunk(packed.subarray(9)), Buffer.from(LAST)]));
    const body = await rest(stream);
    expect([stream.contentEncoding, String(isNode ? gunzipSync(body) : body)]).toEqual([
      isNode ? "gzip" : undefined,
      "unpacked",
    ]);
    const other = await begin(make(), head);
    other.socket.write(chunk(packed.subarray(0, 12)));
    other.stream.cancel("enough");
    await gone(other.socket);
  });

  test("the connection of a finished stream is reused", async () => {
    const server = await startServer();
    const transport = make({ connections: 1 });
    for (let i = 0; i < 3; i++) {
      const { socket, stream } = await begin(transport, CHUNKED, server);
      await write(socket, Buffer.concat([chunk("some"), Buffer.from(LAST)]));
      // The connection is free whether the body is read late or immediately.
      if (i === 1) await sleep(20);
      expect(String(await rest(stream))).toBe("some");
      await sleep(20);
    }
    expect(server.connections).toBe(1);
  });

  test("cancel leaves nothing behind in any order", async () => {
    const server = await startServer();
    const transport = make();
    server.always(raw(`${CHUNKED}${chunk("some")}`));
    // At various times around the arrival of the head.
    for (let turns = 0; turns < 25; turns++) {
      const request = requestTo(server.origin);
      const opening = open(transport, request);
      const reading = opening.then((stream) => rest(stream));
      for (let i = 0; i < turns; i++) await turn();
      request.abort("now");
      expect(await errorOf(reading)).toBe("now");
    }
  });

  test("the process exits when the streams have ended", async () => {
    const server = await startServer();
    server.play(raw(`${CHUNKED}${chunk("ended")}${LAST}`), raw(`${CHUNKED}${chunk("cut")}`), stallBeforeHeaders);
    const file = isNode ? "node/http/transport" : "web/fetch-transport";
    const entry = fileURLToPath(new URL(`../../../src/platform/${file}.ts`, import.meta.url));
    const bundle = await build({
      stdin: { contents: `export { ${name} as make } from ${JSON.stringify(entry)};`, resolveDir: "/", loader: "ts" },
      bundle: true,
      format: "iife",
      globalName: "built",
      platform: "node",
      external: ["undici", "isomorphic-ws"],
      write: false,
    });
    const script = `${bundle.outputFiles[0]?.text}
      const transport = built.make();
      const open = (controller) => transport.stream({ method: "GET", origin: ${JSON.stringify(server.origin)}, path: "/",
        headers: [], body: null, maxResponseBytes: 1, signal: controller.signal, phase: "headers", onDispatch() {} });
      (async () => {
        const ended = await open(new AbortController());
        while (await ended.read() !== undefined);
        const cut = await open(new AbortController());
        await cut.read();
        cut.cancel("enough");
        const controller = new AbortController();
        setTimeout(() => controller.abort("too long"), 50);
        await open(controller).catch((reason) => console.log(reason));
      })();`;
    const child = spawn(process.execPath, ["-e", script], { timeout: 20_000, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (data) => {
      output += data;
    });
    const said = once(child.stdout, "end").then(() => performance.now());
    const [code] = await once(child, "close");
    expect([output, code]).toEqual(["too long\n", 0]);
    // undici keeps connections for 4 s, which must not keep the process alive.
    expect(performance.now() - (await said)).toBeLessThan(3_500);
  });
});

describe("on Node", () => {
  test("a request that waits for its connection can be abandoned, and is never sent", async () => {
    const server = await startServer();
    const transport = closing(nodeTransport({ connections: 1 }));
    const { socket, stream } = await begin(transport, CHUNKED, server);
    const waiting = [requestTo(server.origin), requestTo(server.origin)] as const;
    const openings = waiting.map((request) => errorOf(open(transport, request)));
    await turn();
    expect(waiting.map(({ phase }) => phase)).toEqual(["connect", "connect"]);
    waiting[0].abort("by the signal");
    waiting[1].exchange?.cancel("by the exchange");
    expect(await Promise.all(openings)).toEqual(["by the signal", "by the exchange"]);
    socket.write(LAST);
    await rest(stream);
    expect(String(await rest(await open(transport, server)))).toBe("ok");
    expect([server.requests.length, server.connections]).toEqual([2, 1]);
  });

  test("its exchange ends it while the head or the body is pending", async () => {
    const transport = closing(nodeTransport());
    const server = await startServer();
    const { behaviour, socket: socketing } = handOver();
    server.play(behaviour);
    const request = requestTo(server.origin);
    const opening = errorOf(open(transport, request));
    const headless = await socketing;
    request.exchange?.cancel("enough");
    expect(await opening).toBe("enough");
    await gone(headless);
    const begun = await begin(transport, CHUNKED, server);
    const reading = errorOf(begun.stream.read());
    begun.request.exchange?.cancel(undefined);
    expect(await reading).toBeUndefined();
    await gone(begun.socket);
  });

  test("delivers chunks before the error after them", async () => {
    const { socket, stream } = await begin(closing(nodeTransport()));
    await write(socket, chunk("first"));
    await write(socket, chunk("other"));
    await sleep(20);
    socket.resetAndDestroy();
    await sleep(20);
    expect(await readBytes(stream, 10)).toBe("firstother");
    const error = await errorOf(stream.read());
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ sent: "maybe" });
  });

  // undici's parser must not be paused then, or the process would crash.
  test.each([
    ["until its end", "HTTP/1.1 200 OK\r\n\r\n"],
    ["that is to close", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 600001\r\n\r\n"],
    ["that is to close, in chunks", `${CHUNKED.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")}927C1\r\n`],
  ])("without a reader, the server ends a connection %s", async (_name, head) => {
    for (const end of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
      const { socket, stream } = await begin(closing(nodeTransport()), head);
      await write(socket, new Uint8Array(600_000));
      await sleep(50);
      end(socket);
      await sleep(50);
      let length = 0;
      const reading = (async () => {
        for (let piece = await stream.read(); piece !== undefined; piece = await stream.read()) length += piece.length;
      })();
      // undici treats a reset as the end if nothing else marks the end.
      if (head === "HTTP/1.1 200 OK\r\n\r\n") await reading;
      else expect(await errorOf(reading)).toBeInstanceOf(TransportError);
      expect(length).toBe(600_000);
    }
  });

  test("without a reader, the server closes after sending everything", async () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n";
    for (const length of [600_000, 262_144, 100]) {
      const { socket, stream } = await begin(closing(nodeTransport()), head.replace("600000", String(length)));
      for (let i = 0; i < length; i += 50_000) await write(socket, new Uint8Array(Math.min(50_000, length - i)));
      await sleep(30);
      socket.end();
      await sleep(30);
      expect(await rest(stream)).toHaveLength(length);
    }
  });

  test.each([
    ["in chunks", `${CHUNKED}${(300_003).toString(16)}\r\n`],
    ["of a stated length", "HTTP/1.1 200 OK\r\nContent-Length: 300003\r\n\r\n"],
  ])("a body %s continues after all received bytes were read", async (_name, head) => {
    const { socket, stream } = await begin(closing(nodeTransport()), head);
    await write(socket, new Uint8Array(300_000));
    await sleep(50);
    let length = 0;
    while (length < 300_000) length += ((await stream.read()) as Uint8Array).length;
    const reading = stream.read();
    await turn();
    expect(watch(reading).state).toBe("pending");
    socket.write(`end${head.startsWith(CHUNKED) ? `\r\n${LAST}` : ""}`);
    expect(text(await reading)).toBe("end");
    expect(await stream.read()).toBeUndefined();
  });

  test.each([
    ["of HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 104857600\r\n\r\n"],
    ["without a length", "HTTP/1.1 200 OK\r\n\r\n"],
    ["on a connection that is to close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 104857600\r\n\r\n"],
    ["of an unknown transfer coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n"],
  ])("a response %s is paused and arrives completely", async (_name, head) => {
    const { socket, stream } = await begin(closing(nodeTransport()), head);
    const part = new Uint8Array(MIB);
    let written = 0;
    const writing = (async () => {
      for (let i = 0; i < 100; i++) {
        await write(socket, part);
        written += MIB;
      }
      socket.end();
    })();
    // The system buffers a few MiB. After that, nothing moves until there is a read.
    await standstill(() => written);
    expect(written).toBeLessThan(40 * MIB);
    let length = 0;
    for (let piece = await stream.read(); piece !== undefined; piece = await stream.read()) length += piece.length;
    await writing;
    expect(length).toBe(100 * MIB);
  });

  test.each(["read", "cancelled"])("late bytes %s do not affect the next response on the connection", async (how) => {
    const server = await startServer();
    const transport = closing(nodeTransport({ connections: 1 }));
    const first = await begin(transport, CHUNKED, server);
    await write(first.socket, Buffer.concat([chunk("some"), Buffer.from(LAST)]));
    await sleep(20);
    const second = await begin(transport, CHUNKED, server);
    expect(server.connections).toBe(1);
    await write(second.socket, chunk(new Uint8Array(300_000)));
    await sleep(20);
    if (how === "read") expect(String(await rest(first.stream))).toBe("some");
    first.stream.cancel("late");
    second.socket.write(LAST);
    expect(await rest(second.stream)).toHaveLength(300_000);
  });

  test("close cancels streams in any state, and waits for pending requests", async () => {
    const server = await startServer();
    const transport = nodeTransport({ connections: 3 });
    const idle = await begin(transport, CHUNKED, server);
    const busy = await begin(transport, CHUNKED, server);
    const answering = handOver();
    server.play(answering.behaviour);
    const sending = transport.send(requestTo(server.origin));
    const socket = await answering.socket;
    const queued = errorOf(open(transport, server));
    const reading = errorOf(busy.stream.read());
    const closing = transport.close();
    for (const error of [await reading, await queued, await errorOf(idle.stream.read())]) {
      expect(error).toBeInstanceOf(TransportError);
      expect(error).toMatchObject({ message: "the transport was closed", final: true });
    }
    await gone(idle.socket);
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    expect(text((await sending).body)).toBe("ok");
    await closing;
    expect(await errorOf(open(transport, server))).toMatchObject({ sent: "no", final: true });
    expect(server.requests).toHaveLength(3);
  });

  test("close works while undici loads", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const transport = nodeTransport();
    const opening = errorOf(open(transport, server));
    await transport.close();
    expect(await opening).toMatchObject({ message: "the transport was closed" });
  });

  test("the timeout starts when undici is loaded", async () => {
    const server = await startServer();
    const transport = closing(nodeTransport());
    const onDispatch = vi.fn();
    for (let i = 0; i < 2; i++) await rest(await open(transport, requestTo(server.origin, { onDispatch })));
    expect(onDispatch).toHaveBeenCalledOnce();
  });

  test("an argument that undici rejects is final", async () => {
    const server = await startServer();
    const error = await errorOf(open(closing(nodeTransport()), requestTo(server.origin, { path: "/a b" })));
    expect(error).toMatchObject({ sent: "no", final: true });
  });
});

describe("with a custom fetch", () => {
  const answering = (response: object, seen: { signal?: AbortSignal } = {}): FetchFunction => {
    return async (_url, { signal }) => {
      seen.signal = signal;
      return response as Response;
    };
  };

  test("a runtime without body streams is reported, and the response is released", async () => {
    const seen: { signal?: AbortSignal } = {};
    const fetch = answering({ status: 200, type: "basic", headers: new Headers() }, seen);
    const error = await errorOf(open(fetchTransport({ fetch }), requestTo("http://e")));
    expect(error).toMatchObject({ name: "EasUnsupportedError", code: "ERR_EAS_UNSUPPORTED" });
    expect(seen.signal?.aborted).toBe(true);
  });

  test("a redirect that a browser hides has no body", async () => {
    const fetch = answering({ status: 0, type: "opaqueredirect", headers: new Headers(), body: null });
    const stream = await open(fetchTransport({ fetch }), requestTo("http://e"));
    expect([stream.status, await stream.read()]).toEqual([302, undefined]);
  });

  test("a fetch that ignores its signal is ended by canceling the body", async () => {
    for (const how of ["abort", "cancel", "early"]) {
      const cancelled = vi.fn();
      const request = requestTo("http://e");
      const fetch: FetchFunction = async () => {
        if (how === "early") request.abort("enough");
        return new Response(new ReadableStream({ cancel: cancelled }));
      };
      const opening = open(fetchTransport({ fetch }), request);
      if (how === "early") {
        expect(await errorOf(opening)).toBe("enough");
      } else {
        const stream = await opening;
        const reading = errorOf(stream.read());
        if (how === "abort") request.abort("enough");
        else stream.cancel("enough");
        expect(await reading).toBe("enough");
      }
      expect(cancelled).toHaveBeenCalledOnce();
    }
  });

  test("a body that ignores its cancellation is ended by the signal", async () => {
    const seen: { signal?: AbortSignal } = {};
    const reader = { read: () => new Promise(() => {}), cancel: () => Promise.reject(new Error("not here")) };
    const body = { getReader: () => reader };
    const fetch = answering({ status: 200, type: "basic", headers: new Headers(), body }, seen);
    const stream = await open(fetchTransport({ fetch }), requestTo("http://e"));
    const reading = errorOf(stream.read());
    stream.cancel("enough");
    expect(await reading).toBe("enough");
    expect(seen.signal?.reason).toBe("enough");
  });

  test("copies chunks, and leaves out empty chunks", async () => {
    const kept = Buffer.from("keep this");
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(0));
        controller.enqueue(kept);
        controller.close();
      },
    });
    const stream = await open(fetchTransport({ fetch: answering(new Response(body)) }), requestTo("http://e"));
    const piece = (await stream.read()) as Uint8Array;
    expect([piece.constructor, piece.byteOffset, piece.buffer.byteLength]).toEqual([Uint8Array, 0, 9]);
    piece.fill(0);
    expect(String(kept)).toBe("keep this");
    expect(await stream.read()).toBeUndefined();
  });

  test("an error code of a failed connection proves nothing after the head", async () => {
    const body = new ReadableStream({
      pull: () => Promise.reject(Object.assign(new Error("lost"), { code: "EHOSTUNREACH" })),
    });
    const stream = await open(fetchTransport({ fetch: answering(new Response(body)) }), requestTo("http://e"));
    expect(await errorOf(stream.read())).toMatchObject({ sent: "maybe", systemCode: "EHOSTUNREACH" });
  });

  test("the emulator's transport supports watches", async () => {
    const emulator = createEmulator({ token: "t", queues: { q: {} } });
    const query = "_watch_=true&_index_=0&_window_=5&_index_only_=false&_auto_commit_=false";
    const headers = [
      ["authorization", "t"],
      ["x-eas-queueservice-redis-uid", "u"],
      ["x-eas-queueservice-redis-gid", "eas"],
    ] as const;
    const watching = (more: Partial<TransportRequest> = {}) =>
      requestTo("http://e", { path: `/api/predict/q?${query}`, headers, ...more });
    const put = () =>
      emulator.fetch(
        new Request("http://e/api/predict/q", { method: "POST", body: "item", headers: { authorization: "t" } }),
      );
    const refused = await open(emulator.transport, watching({ headers: [] }));
    expect([refused.status, (await rest(refused)).length > 0]).toEqual([401, true]);
    const first = await open(emulator.transport, watching());
    expect(first.status).toBe(200);
    await put();
    expect(text(await first.read())).toContain("item");
    const reading = errorOf(first.read());
    expect(emulator.cutConnections()).toBe(1);
    expect(await reading).toMatchObject({ sent: "maybe", name: "TransportError" });
    for (const how of ["cancel", "abort"]) {
      const request = watching();
      const stream = await open(emulator.transport, request);
      const reading = errorOf(rest(stream));
      await turn();
      if (how === "cancel") stream.cancel("enough");
      else request.abort("enough");
      expect(await reading).toBe("enough");
      expect(emulator.cutConnections()).toBe(0);
    }
  });
});

/** Returns a transport that is closed when the test ends. */
function closing(transport: Transport): Transport {
  onTestFinished(() => transport.close());
  return transport;
}
