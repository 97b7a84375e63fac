import { once } from "node:events";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  EasDecodeError,
  EasHttpError,
  EasNetworkError,
  EasStreamError,
  EasTimeoutError,
  type PredictStream,
  type StreamRequest,
  StringRequest,
  type Transport,
} from "../../../../src/index.js";
import { nodeTransport } from "../../../../src/node.js";
import { clientOf, collect, errorOf, startServer, TOKEN, turn } from "../../../support/calls.js";
import { answer, raw, resetBeforeHeaders, resetInBody } from "../../../support/misbehaving-server.js";
import { type Exchange, inChunks, startStreamServer } from "../../../support/stream-server.js";

const encoder = new TextEncoder();

/** Opens a stream whose response the test writes. */
async function open(answer: (exchange: Exchange) => unknown, options = {}): Promise<PredictStream> {
  const server = await startStreamServer(answer);
  return clientOf(server, options).stream("hello");
}

/** Opens a stream of which only the response headers have arrived. */
async function openSilent(call = {}, options = {}) {
  const server = await startStreamServer(({ response }) => {
    response.writeHead(200);
    response.flushHeaders();
  });
  const client = clientOf(server, options);
  const stream = await client.stream("hello", call);
  const [exchange] = server.exchanges as [Exchange];
  return { client, stream, exchange };
}

describe("PredictClient.stream", () => {
  test("is ended by the caller's signal if a transport copies the request", async () => {
    let arrive!: (closed: Promise<unknown>) => void;
    const arrived = new Promise<{ readonly closed: Promise<unknown> }>((resolve) => {
      arrive = (closed) => resolve({ closed });
    });
    const server = await startStreamServer(({ response }) => arrive(once(response, "close")));
    const node = nodeTransport();
    const stream = (request: StreamRequest) => {
      const { signal } = request;
      return (node.stream as NonNullable<Transport["stream"]>)({ ...request, signal, onDispatch: () => {} });
    };
    onTestFinished(() => node.close());
    const controller = new AbortController();
    const client = clientOf(server, { transport: { ...node, stream } });
    const failed = errorOf(client.stream("hello", { signal: controller.signal }));
    const { closed } = await arrived;
    controller.abort("enough");
    expect(await failed).toBe("enough");
    await closed;
  });

  test("resolves when the response headers arrive", async () => {
    const { stream, exchange } = await openSilent();
    expect(stream.status).toBe(200);
    expect(stream.attempts).toBe(1);
    expect(stream.endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(exchange.body.toString()).toBe("hello");
    expect(exchange.request.method).toBe("POST");
    exchange.response.end("all of it");
    expect(await stream.text()).toBe("all of it");
  });

  test('sends the raw token, and Bearer if auth is "bearer"', async () => {
    const server = await startStreamServer(({ response }) => response.end());
    await (await clientOf(server).stream("a")).bytes();
    await (await clientOf(server, { auth: "bearer" }).stream("a")).bytes();
    await (await clientOf(server, { auth: "signature" }).stream("a")).bytes();
    const sent = server.exchanges.map(({ request }) => request.headers.authorization);
    expect(sent).toEqual([TOKEN, `Bearer ${TOKEN}`, expect.stringMatching(/^EAS /)]);
  });

  test("accepts request objects, paths, queries and headers, and null for a GET", async () => {
    const server = await startStreamServer(({ response }) => response.end());
    const client = clientOf(server);
    await (await client.stream(new StringRequest("x"), { path: "/v1/chat", headers: { "x-a": "1" } })).bytes();
    await (await client.stream(null, { path: "events", query: { since: 3 } })).bytes();
    const [post, get] = server.exchanges as [Exchange, Exchange];
    expect([post.request.url, post.request.headers["x-a"]]).toEqual(["/api/predict/svc/v1/chat", "1"]);
    expect([get.request.method, get.request.url, get.body.length]).toEqual([
      "GET",
      "/api/predict/svc/events?since=3",
      0,
    ]);
  });

  test("yields bytes when they arrive", async () => {
    const { stream, exchange } = await openSilent();
    const pieces = stream[Symbol.asyncIterator]();
    for (const text of ["one", "two", "three"]) {
      exchange.response.write(text);
      const { value } = await pieces.next();
      expect(new TextDecoder().decode(value as Uint8Array)).toBe(text);
    }
    exchange.response.end();
    expect(await pieces.next()).toEqual({ done: true, value: undefined });
  });

  test("can be read once", async () => {
    const stream = await open(inChunks("x", 1));
    await stream.text();
    for (const again of [() => stream.text(), () => stream.bytes()]) {
      expect(await errorOf(again())).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
    }
    for (const again of [
      () => stream.lines(),
      () => stream.events(),
      () => stream.json(),
      () => stream[Symbol.asyncIterator](),
    ]) {
      expect(again).toThrow(/read it once/);
    }
  });

  test("serializes its input before it returns", async () => {
    const server = await startStreamServer(({ response }) => response.end());
    let serialized = 0;
    const promise = clientOf(server).stream({
      toBinary: () => {
        serialized++;
        return encoder.encode("x") as never;
      },
      parseResponse: (body) => body,
    });
    expect(serialized).toBe(1);
    await (await promise).bytes();
  });

  test("decompresses gzip incrementally", async () => {
    const text = "压缩".repeat(10_000);
    const stream = await open(inChunks(gzipSync(text), 100, { "content-encoding": "gzip" }));
    expect(await stream.text()).toBe(text);
    const broken = await open(inChunks(gzipSync(text).subarray(0, 50), 100, { "content-encoding": "gzip" }));
    expect(await errorOf(broken.text())).toBeInstanceOf(EasDecodeError);
    const other = await open(inChunks("x", 1, { "content-encoding": "br" }));
    expect(await errorOf(other.text())).toMatchObject({ code: "ERR_EAS_DECODE", format: "content-encoding" });
  });

  test("rejects text() and bytes() above maxResponseBytes", async () => {
    const stream = await open(inChunks("x".repeat(2000), 100), { maxResponseBytes: 1000 });
    expect(await errorOf(stream.text())).toMatchObject({ code: "ERR_EAS_DECODE", format: "body" });
    const iterated = await open(inChunks("x".repeat(2000), 100), { maxResponseBytes: 1000 });
    expect((await collect(iterated)).reduce((sum, { length }) => sum + length, 0)).toBe(2000);
  });

  test.each([
    ["idleTimeout", { idleTimeout: 0 }],
    ["idleTimeout", { idleTimeout: Number.POSITIVE_INFINITY }],
    ["timeout", { timeout: -1 }],
    ["signal", { signal: {} as AbortSignal }],
  ])("refuses an invalid %s before anything is sent", async (name, call) => {
    const server = await startStreamServer(({ response }) => response.end());
    const error = await errorOf(clientOf(server).stream("x", call));
    expect(error.message).toContain(name);
    expect(server.exchanges).toEqual([]);
  });
});

describe("ending a stream early", () => {
  test("leaving the loop ends the request", async () => {
    const { stream, exchange } = await openSilent();
    exchange.response.write("first");
    for await (const piece of stream) {
      expect(new TextDecoder().decode(piece)).toBe("first");
      break;
    }
    await exchange.closed;
    expect(exchange.response.writableFinished).toBe(false);
  });

  test.each(["lines", "events", "json"] as const)("leaving the loop over %s() ends the request", async (kind) => {
    const { stream, exchange } = await openSilent();
    exchange.response.write(kind === "events" ? "data: 1\n\n" : "1\n");
    for await (const value of stream[kind]()) {
      expect(value).toBeDefined();
      break;
    }
    await exchange.closed;
  });

  test("an abort rejects with the caller's reason, and ends the request", async () => {
    const controller = new AbortController();
    const { stream, exchange } = await openSilent({ signal: controller.signal });
    const text = errorOf(stream.text());
    await turn();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await text).toBe(reason);
    await exchange.closed;
  });

  test("an abort between two reads is not lost", async () => {
    const controller = new AbortController();
    const { stream, exchange } = await openSilent({ signal: controller.signal });
    exchange.response.write("first");
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await errorOf(pieces.next())).toBe(reason);
  });

  test("an abort before the head rejects stream() itself", async () => {
    const controller = new AbortController();
    const server = await startStreamServer(() => {});
    const opening = errorOf(clientOf(server).stream("x", { signal: controller.signal }));
    await vi.waitFor(() => expect(server.exchanges).toHaveLength(1));
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await opening).toBe(reason);
    await server.exchanges[0]?.closed;
    const aborted = AbortSignal.abort(reason);
    expect(await errorOf(clientOf(server).stream("x", { signal: aborted }))).toBe(reason);
    expect(server.exchanges).toHaveLength(1);
  });

  test("leaves no listener on the caller's signal", async () => {
    const controller = new AbortController();
    const remove = vi.spyOn(controller.signal, "removeEventListener");
    const add = vi.spyOn(controller.signal, "addEventListener");
    const stream = await open(inChunks("x", 1));
    await stream.text();
    const server = await startStreamServer(inChunks("abc", 1));
    await (await clientOf(server).stream("x", { signal: controller.signal })).text();
    expect(add.mock.calls.length).toBeGreaterThan(0);
    expect(remove.mock.calls.length).toBe(add.mock.calls.length);
  });

  test("cancel() rejects pending reads with the reason", async () => {
    const { stream, exchange } = await openSilent();
    const text = errorOf(stream.text());
    await turn();
    const reason = new Error("no more");
    stream.cancel(reason);
    expect(await text).toBe(reason);
    await exchange.closed;
    const { stream: unread, exchange: other } = await openSilent();
    unread.cancel();
    await other.closed;
    expect(await errorOf(unread.text())).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
  });

  test("close() of the client cuts off the stream", async () => {
    const { client, stream } = await openSilent();
    const text = errorOf(stream.text());
    await client.close();
    const error = await text;
    expect(error).toBeInstanceOf(EasNetworkError);
    expect(error.message).toContain("closed");
  });

  test("idleTimeout rejects without data, but not because of a slow reader", async () => {
    const { stream, exchange } = await openSilent({ idleTimeout: 50 });
    exchange.response.write("first");
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    exchange.response.write("second");
    // The timer is stopped, because no read is pending.
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await pieces.next()).done).toBe(false);
    const error = await errorOf(pieces.next());
    expect(error).toBeInstanceOf(EasTimeoutError);
    expect(error).toMatchObject({ phase: "idle", timeout: 50, retryable: true });
    await exchange.closed;
  });

  test("reads waiting data after the event loop was blocked before idleTimeout rejects", async () => {
    const { stream, exchange } = await openSilent({ idleTimeout: 500 });
    const pieces = stream[Symbol.asyncIterator]();
    for (let round = 0; round < 3; round++) {
      const piece = pieces.next();
      // The data waits in the kernel's buffer while the event loop is blocked.
      await new Promise<void>((resolve) => exchange.response.write("data", () => resolve()));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
      expect((await piece).done).toBe(false);
    }
    exchange.response.end();
    expect((await pieces.next()).done).toBe(true);
  });

  test("timeout limits the headers only, and totalTimeout the whole call", async () => {
    const { stream, exchange } = await openSilent({ timeout: 50 });
    await new Promise((resolve) => setTimeout(resolve, 80));
    exchange.response.end("late");
    expect(await stream.text()).toBe("late");
    const silent = await startStreamServer(() => {});
    expect(await errorOf(clientOf(silent).stream("x", { timeout: 50 }))).toMatchObject({
      phase: "headers",
      timeout: 50,
    });
    const { stream: short, exchange: other } = await openSilent({ totalTimeout: 50 });
    other.response.write("part");
    expect(await errorOf(short.text())).toMatchObject({ phase: "total", timeout: 50, received: "part" });
  });

  test("a broken connection rejects with a typed error and the received text", async () => {
    const { stream, exchange } = await openSilent();
    exchange.response.write("data: 1\n\ndata: 2\n\n");
    const events = stream.events();
    await events.next();
    await events.next();
    exchange.response.destroy();
    const error = await errorOf(events.next());
    expect(error).toBeInstanceOf(EasNetworkError);
    expect(error).toMatchObject({ received: "data: 1\n\ndata: 2\n\n", retryable: true, attempts: 1 });
  });

  test("an invalid body that echoes the token does not leak it", async () => {
    const { stream, exchange } = await openSilent();
    exchange.response.write(`token ${TOKEN}`);
    const text = errorOf(stream.text());
    await turn();
    exchange.response.destroy();
    expect(((await text) as { received?: string }).received).toBe("token ***");
  });

  test("the received text does not start with a part of a token", async () => {
    const { stream, exchange } = await openSilent();
    const kept = 1024 * 1024;
    // The text is truncated within the token.
    exchange.response.write(`${"x".repeat(1000)}${TOKEN}${"y".repeat(kept - 6)}\n`);
    const lines = stream.lines();
    await lines.next();
    const error = errorOf(lines.next());
    exchange.response.destroy();
    const { received = "" } = (await error) as { received?: string };
    expect(received.length).toBeLessThanOrEqual(kept);
    expect(received).not.toContain(TOKEN.slice(-5));
  });
});

describe("retries of a stream", () => {
  test("does not retry after the response has started", async () => {
    const server = await startServer();
    server.play(resetInBody);
    const stream = await clientOf(server).stream("x");
    expect(await errorOf(stream.text())).toBeInstanceOf(EasNetworkError);
    expect(server.requests).toHaveLength(1);
  });

  test.each([429, 450])("retries after status %d", async (status) => {
    const server = await startServer();
    server.play(answer(status), answer(200, {}, "ok"));
    const stream = await clientOf(server).stream("x");
    expect(await stream.text()).toBe("ok");
    expect(stream.attempts).toBe(2);
  });

  test('retries after 503 with "no healthy upstream", and not after another 503', async () => {
    const server = await startServer();
    server.play(answer(503, {}, "no healthy upstream"), answer(200, {}, "ok"), answer(503, {}, "overload"));
    expect(await (await clientOf(server).stream("x")).text()).toBe("ok");
    expect(await errorOf(clientOf(server).stream("x"))).toMatchObject({ status: 503, attempts: 1 });
  });

  test.each([
    ["a connection that died", resetBeforeHeaders],
    ["500", answer(500)],
    ["504", answer(504)],
    ["what is no HTTP", raw("nonsense\r\n\r\n")],
  ])("does not retry after %s", async (_, behaviour) => {
    const server = await startServer();
    server.play(behaviour);
    const error = await errorOf(clientOf(server).stream("x"));
    expect(error.attempts).toBe(1);
    expect(server.requests).toHaveLength(1);
  });

  test("rejects with EasHttpError and the body for an error status", async () => {
    const server = await startServer();
    server.play(answer(404, { "content-type": "application/json" }, '{"detail":"Not Found"}'));
    const error = (await errorOf(clientOf(server).stream("x"))) as unknown as EasHttpError;
    expect(error).toBeInstanceOf(EasHttpError);
    expect(new TextDecoder().decode(error.body)).toBe('{"detail":"Not Found"}');
  });
});

describe("slots and memory of streams", () => {
  test("a stream occupies a slot until it ends, fails or is canceled", async () => {
    const ends: ((how: "end" | "destroy") => void)[] = [];
    const server = await startStreamServer(({ response }) => {
      response.writeHead(200);
      response.flushHeaders();
      ends.push((how) => response[how]());
    });
    const client = clientOf(server, { maxConnectionCount: 2 });
    const first = await client.stream("1");
    let second: PredictStream | undefined;
    const opening = client.stream("2").then((stream) => {
      second = stream;
      return stream;
    });
    await turn();
    expect(server.exchanges).toHaveLength(1);
    expect(second).toBeUndefined();
    ends[0]?.("end");
    await first.text();
    await opening;
    ends[1]?.("destroy");
    await errorOf((second as PredictStream).text());
    const third = await client.stream("3");
    third.cancel();
    const fourth = await client.stream("4");
    fourth.cancel();
  });

  test("a slow reader causes backpressure", async () => {
    let written = 0;
    const server = await startStreamServer(async ({ response, closed }) => {
      response.writeHead(200);
      const block = Buffer.alloc(65_536);
      for (let i = 0; i < 1600; i++) {
        written += block.length;
        if (!response.write(block)) {
          await Promise.race([new Promise<void>((resolve) => response.once("drain", resolve)), closed]);
        }
        if (response.destroyed) return;
      }
      response.end();
    });
    const stream = await clientOf(server).stream("x");
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    // The server can write until all buffers in between are full.
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(written).toBeLessThan(50 * 1024 * 1024);
    let read = 0;
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) read += next.value.length;
    expect(read).toBeGreaterThan(1590 * 65_536);
  });
});

describe("an error event within a stream", () => {
  const failing = (text: string) => open(inChunks(`data: {"n":1}\n\n${text}\n\n`, 7));

  test.each([
    ['data: {"error":{"message":"out of memory","type":"server_error","code":500}}', "out of memory", 500],
    ['data: {"error":"bad"}', "bad", undefined],
    ['data: {"object":"error","message":"context too long","code":400}', undefined, undefined],
    ["event: error\ndata: it broke", "it broke", undefined],
    ['event: error\ndata: {"code":503,"message":"overloaded"}', undefined, undefined],
  ])("%s", async (text, said, status) => {
    const events = (await failing(text)).events();
    expect((await events.next()).value?.json()).toEqual({ n: 1 });
    const error = (await errorOf(events.next())) as unknown as EasStreamError;
    if (said === undefined) return expect(error).toBeInstanceOf(EasStreamError);
    expect(error).toBeInstanceOf(EasStreamError);
    expect(error.message).toContain(said);
    expect(error.status).toBe(status);
    expect(error.received).toContain('{"n":1}');
    expect(error.code).toBe("ERR_EAS_STREAM");
    return undefined;
  });

  test("ignores an empty field error", async () => {
    const stream = await failing('data: {"error":null}\n\ndata: {"error":""}\n\ndata: the word "error"');
    expect(await collect(stream.events())).toHaveLength(4);
  });

  test("redacts the token in error events", async () => {
    const events = (await failing(`data: {"error":"token ${TOKEN}"}`)).events();
    await events.next();
    const error = (await errorOf(events.next())) as unknown as EasStreamError;
    expect(JSON.stringify([error.message, error.data, error.received])).not.toContain(TOKEN);
  });

  test("counts as an error among JSON values only if error is its single field", async () => {
    const values = (await open(inChunks('{"a":1,"error":"x"}\n{"error":"y"}\n', 5))).json();
    expect((await values.next()).value).toEqual({ a: 1, error: "x" });
    expect(await errorOf(values.next())).toBeInstanceOf(EasStreamError);
  });
});
