import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { WebSocketServer } from "ws";
import { EasDecodeError, type PredictClient } from "../../../src/index.js";
import { clientOf, collect, errorOf, startServer, TOKEN } from "../../support/calls.js";
import { answer, raw, stallBeforeHeaders } from "../../support/misbehaving-server.js";
import { openEmulatorQueue, queueClientOf } from "../../support/queues.js";

// The first error loads the explanations of statuses, which takes longer than the timeouts of some tests.
beforeAll(() => import("../../../src/call/lazy.js"));

// Errors report the response of the service, even if it is incomplete, and never contain the token.

describe("the last error is the cause of a timeout", () => {
  test("of the whole call", async () => {
    const server = await startServer();
    server.play(answer(500, {}, "out of memory"));
    server.always(stallBeforeHeaders);
    const error = await errorOf(clientOf(server, { timeout: 10_000, totalTimeout: 3_000 }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total", attempts: 2 });
    expect(error.message).toContain("out of memory");
    expect(error.cause).toMatchObject({ code: "ERR_EAS_HTTP", status: 500 });
  });

  test("of an attempt", async () => {
    const server = await startServer();
    server.play(answer(500, {}, "out of memory"));
    server.always(stallBeforeHeaders);
    const error = await errorOf(clientOf(server, { timeout: 400, retryCount: 1 }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "headers", attempts: 2 });
    expect(error.cause).toMatchObject({ code: "ERR_EAS_HTTP", status: 500 });
  });

  test("an error without a cause has no property cause", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const error = await errorOf(clientOf(server, { timeout: 50, retryCount: 0 }).predict("x"));
    expect(Object.hasOwn(error, "cause")).toBe(false);
  });

  test("of ready(): the last response of the service", async () => {
    const server = await startServer();
    server.play(answer(503, {}, "no healthy upstream"));
    server.always(stallBeforeHeaders);
    const error = await errorOf(clientOf(server, { timeout: 3_600_000 }).ready({ timeout: 1_500 }));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total", timeout: 1_500 });
    expect(error.message).toMatch(/not ready within 1500 ms.*last response: no healthy upstream/);
    expect(error.cause).toMatchObject({ status: 503 });
  });
});

describe("an error in a stream that is nested too deeply", () => {
  const nested = `{"error":${'{"a":'.repeat(60_000)}1${"}".repeat(60_000)}}`;

  test.each<[string, string, (client: PredictClient) => Promise<unknown>]>([
    ["json()", nested, async (client) => collect((await client.stream("x")).json())],
    ["events()", `event: error\ndata: ${nested}\n\n`, async (client) => collect((await client.stream("x")).events())],
  ])("%s is an EasError, not a RangeError", async (_, body, read) => {
    const server = await startServer();
    server.always(answer(200, {}, body));
    const error = await errorOf(read(clientOf(server)));
    expect(["ERR_EAS_DECODE", "ERR_EAS_STREAM"]).toContain(error.code);
    expect(error.name).not.toBe("RangeError");
  });
});

describe("the token in the reason of a close", () => {
  const before = "x".repeat(123 - TOKEN.length + 5);

  test.each([
    ["whole", `denied: ${TOKEN}`, "denied: ***"],
    // A reason has at most 123 bytes.
    ["cut by the limit", `${before}${TOKEN}`.slice(0, 123), `${before}***`],
  ])("%s", async (_, reason, shown) => {
    const server = createServer();
    const accepting = new WebSocketServer({ server });
    accepting.on("connection", (peer) => peer.close(1008, reason));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const client = clientOf({ origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    const socket = await client.connect("ws");
    expect(await socket.closed).toMatchObject({ code: 1008, reason: shown });
    const error = await errorOf(collect(socket));
    expect(`${error.message} ${(error as { reason?: string }).reason}`).not.toContain(TOKEN.slice(0, 6));
  });
});

describe("a response without a length, delimited by the end of the connection", () => {
  /** Result of a get of three items from the emulator. */
  async function answerOfThree(): Promise<Buffer> {
    const { client, emulator } = await openEmulatorQueue();
    for (const text of ["a", "b", "c"]) await client.put(text);
    const query = "_index_=0&_length_=3&_timeout_=0s&_raw_=false&_auto_delete_=false";
    const headers = { authorization: TOKEN, accept: "application/vnd.google.protobuf" };
    const response = await fetch(`${emulator.endpoint}/api/predict/q?${query}`, { headers });
    return Buffer.from(await response.arrayBuffer());
  }

  const undelimited = (body: Buffer) =>
    ({
      on: "request",
      run: (socket) => void socket.end(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), body])),
    }) as ReturnType<typeof raw>;

  test("a deleting get with fewer items than requested fails with maybeTaken", async () => {
    const server = await startServer();
    server.always(undelimited(await answerOfThree()));
    const error = await errorOf(queueClientOf(server).get({ length: 5 }));
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error).toMatchObject({ maybeTaken: true, attempts: 1 });
    expect(error.message).toMatch(/no Content-Length.*it contains \d+, \d+, \d+ of up to 5 items\./);
    expect(server.requests).toHaveLength(1);
  });

  test("accepts the requested number of items", async () => {
    const server = await startServer();
    server.always(undelimited(await answerOfThree()));
    expect(await queueClientOf(server).get({ length: 3 })).toHaveLength(3);
  });

  test("accepts fewer items for a get that does not delete", async () => {
    const server = await startServer();
    server.always(undelimited(await answerOfThree()));
    expect(await queueClientOf(server).get({ length: 5, autoDelete: false })).toHaveLength(3);
  });

  test("accepts fewer items with a Content-Length or chunked encoding", async () => {
    const body = await answerOfThree();
    const server = await startServer();
    const chunked = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`;
    server.play(
      raw(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body])),
      raw(Buffer.concat([Buffer.from(chunked), body, Buffer.from("\r\n0\r\n\r\n")])),
    );
    for (let i = 0; i < 2; i++) expect(await queueClientOf(server).get({ length: 5 })).toHaveLength(3);
  });
});
