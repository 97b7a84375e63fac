import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { createGzip, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { EasDecodeError, PredictClient } from "../../../../src/index.js";
import { endOfEvents } from "../../../../src/predict/stream/stream-end.js";
import { clientOf, errorOf, turn } from "../../../support/calls.js";
import { type Exchange, startStreamServer } from "../../../support/stream-server.js";

// Edge cases at the end of streams, found in a review.

const silent = ({ response }: Exchange) => {
  response.writeHead(200);
  response.flushHeaders();
};

async function rawServer(answer: (socket: Socket) => void) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => answer(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { origin: `http://127.0.0.1:${(server.address() as { port: number }).port}` };
}

describe("leaving a stream early", () => {
  test("before the first value ends the request", async () => {
    const server = await startStreamServer(silent);
    const stream = await clientOf(server).stream("x");
    await stream.events().return();
    await server.exchanges[0]?.closed;
  });

  test("while a read waits ends both", async () => {
    const server = await startStreamServer(silent);
    const events = (await clientOf(server).stream("x")).events();
    const next = events.next();
    await turn();
    await events.return();
    expect(await next).toEqual({ done: true, value: undefined });
    await server.exchanges[0]?.closed;
  });

  test("a compressed stream ends at [DONE] without an error and releases its connection", async () => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      const packer = createGzip();
      packer.pipe(response);
      packer.write("data: 1\n\ndata: [DONE]\n\n");
      packer.flush();
    });
    const told: string[] = [];
    const hooks = { response: () => told.push("response"), error: () => told.push("error") };
    const stream = await clientOf(server, { hooks }).stream("x");
    for await (const { data } of stream.events()) expect(data).toBe("1");
    await server.exchanges[0]?.closed;
    expect(told).toEqual(["response"]);
  });
});

test.each(["[DONE] ", " [DONE]", "  [DONE]\t", "[DONE]"])(
  "events() ends at %j, with or without white space",
  async (data) => {
    const server = await startStreamServer(({ response }) => void response.end(`data: {"a":1}\n\ndata: ${data}\n\n`));
    const values: unknown[] = [];
    for await (const event of (await clientOf(server).stream("x")).events()) values.push(event.json());
    expect(values).toEqual([{ a: 1 }]);
  },
);

test("json() of an event without data reports that it is empty", async () => {
  const server = await startStreamServer(({ response }) => void response.end("data:\n\n"));
  const events = (await clientOf(server).stream("x")).events();
  const { value } = await events.next();
  expect(value?.data).toBe("");
  expect(() => value?.json()).toThrow("empty event");
});

describe("close() of a client with streams", () => {
  test("ends an open stream and a stream that waits for a slot", async () => {
    const server = await startStreamServer(silent);
    const client = clientOf(server, { maxConnectionCount: 1 });
    const first = errorOf((await client.stream("a")).text());
    const second = errorOf(client.stream("b").then((stream) => stream.text()));
    await turn();
    await client.close();
    expect((await first).message).toMatch(/closed/);
    expect((await second).message).toMatch(/closed/);
  });

  test("ends a stream that was just requested", async () => {
    const server = await startStreamServer(silent);
    const client = clientOf(server);
    const opened = errorOf(client.stream("x").then((stream) => stream.text()));
    await client.close();
    expect((await opened).message).toMatch(/closed/);
  });
});

describe("compressed streams", () => {
  const packed = (body: Buffer, coding = "gzip") =>
    startStreamServer(({ response }) => {
      response.writeHead(200, { "content-encoding": coding });
      response.end(body);
    });

  test.each([
    ["an empty one", Buffer.alloc(0), "gzip", ""],
    ["identity", Buffer.from("hi"), "identity", "hi"],
    ["identity beside gzip", gzipSync("hi"), "gzip, identity", "hi"],
  ])("%s", async (_, body, coding, text) => {
    const server = await packed(body, coding);
    expect(await (await clientOf(server).stream("x")).text()).toBe(text);
    expect(await (await clientOf(server).fetch("/")).text()).toBe(text);
  });

  test("an abort takes effect while much data is still compressed", async () => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      response.write(gzipSync("x".repeat(50_000_000)));
    });
    const controller = new AbortController();
    const reason = new Error("enough");
    const stream = await clientOf(server).stream("x", { signal: controller.signal });
    let length = 0;
    const reading = (async () => {
      for await (const piece of stream) {
        length += piece.length;
        controller.abort(reason);
        await turn();
      }
    })();
    expect(await errorOf(reading)).toBe(reason);
    expect(length).toBeLessThan(5_000_000);
  });

  test("a body that cannot be decompressed releases its connection, for fetch too", async () => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      response.write("this is no gzip");
    });
    const response = await clientOf(server).fetch("/");
    expect(await errorOf(response.text())).toBeInstanceOf(EasDecodeError);
    await server.exchanges[0]?.closed;
  });
});

describe("client.fetch", () => {
  test("refuses a status that a Response cannot have, and releases its slot", async () => {
    const server = await rawServer((socket) => socket.write("HTTP/1.1 999 Odd\r\ncontent-length: 5\r\n\r\nhello"));
    const client = clientOf(server, { maxConnectionCount: 1 });
    for (let i = 0; i < 2; i++) expect(await errorOf(client.fetch("/"))).toBeInstanceOf(EasDecodeError);
  });

  test("refuses a body for GET, and a Request whose body was read", async () => {
    const client = new PredictClient({ endpoint: "http://gateway.example", serviceName: "svc" });
    expect(await errorOf(client.fetch("/", { body: "x" }))).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
    const used = new Request("http://gateway.example/api/predict/svc/x", { method: "POST", body: "hello" });
    await used.text();
    expect(await errorOf(client.fetch(used))).toBeInstanceOf(TypeError);
  });

  test("cancels a stream body that was never read", async () => {
    const cancelled: string[] = [];
    const body = (name: string) => new ReadableStream<Uint8Array>({ cancel: () => void cancelled.push(name) });
    const client = new PredictClient({
      endpoint: "http://gateway.example",
      serviceName: "svc",
      token: () => new Promise<string>(() => {}),
    });
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = errorOf(client.fetch("/", { method: "POST", body: body("waiting"), signal: controller.signal }));
    await turn();
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    const aborted = client.fetch("/", { method: "POST", body: body("aborted"), signal: AbortSignal.abort(reason) });
    expect(await errorOf(aborted)).toBe(reason);
    await turn();
    expect(cancelled).toEqual(["waiting", "aborted"]);
  });

  test("an early response ends the request body", async () => {
    const server = await rawServer((socket) =>
      socket.end("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig"),
    );
    let end: (() => void) | undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        controller.enqueue(new Uint8Array(1000));
      },
      cancel: () => end?.(),
    });
    const response = await clientOf(server).fetch("/", { method: "POST", body });
    expect([response.status, await response.text()]).toEqual([413, "big"]);
    await ended;
  });
});

test("cancel() after [DONE] keeps isComplete", async () => {
  const server = await startStreamServer(({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\ndata: [DONE]\n\n");
  });
  const stream = await clientOf(server).stream("x");
  for await (const { data } of stream.events()) expect(data).toBe("1");
  stream.cancel();
  expect(stream.isComplete).toBe(true);
  await server.exchanges[0]?.closed;
});

test("isComplete is undefined if only the end of a long line is kept", () => {
  const whole = `data: ${JSON.stringify({ text: "x".repeat(100) })}`;
  expect(endOfEvents(whole.slice(-50), false)).toEqual({ isComplete: undefined });
  expect(endOfEvents(`${whole.slice(-50)}\nBad Request`, false).isComplete).toBe(false);
});
