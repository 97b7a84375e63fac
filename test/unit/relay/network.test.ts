import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import OpenAI from "openai";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EmulatorOptions, startEmulator } from "../../../src/emulator/index.js";
import { EasHttpError, PredictClient, type PredictClientOptions, QueueClient } from "../../../src/index.js";
import { createRelay, type RelayOptions } from "../../../src/relay/index.js";
import { errorOf } from "../../support/calls.js";
import { listen, listenRelay, memoryService, serviceClient } from "../../support/relay.js";

const TOKEN = "relay-token-51ad";

async function start(options: EmulatorOptions = {}) {
  const emulator = await startEmulator({ token: TOKEN, queues: { jobs: {} }, ...options });
  onTestFinished(() => emulator.close());
  return emulator;
}

/** The client of a page, which has no token. */
function pageClient(options: PredictClientOptions): PredictClient {
  const client = new PredictClient(options);
  onTestFinished(() => void client.close());
  return client;
}

/** The client of a relay whose service is the test's own server. */
function clientOf(customUrl: string): PredictClient {
  return pageClient({ customUrl, token: TOKEN });
}

describe("relay between a page's client and the emulator", () => {
  test("serves one service as customUrl", async () => {
    const emulator = await start();
    const relay = await listenRelay({
      client: serviceClient(emulator, "echo"),
      base: "/eas",
      allow: [{ paths: ["/*"] }],
    });
    const client = pageClient({ customUrl: `${relay}/eas` });
    expect(String(await client.predict("你好"))).toBe("你好");
    await client.predict("x", { path: "/v1/模型", query: { a: "1&2" } });
    expect(emulator.requests.map(({ url }) => url)).toEqual([
      "/api/predict/echo",
      "/api/predict/echo/v1/%E6%A8%A1%E5%9E%8B?a=1%262",
    ]);
    expect(emulator.requests.map(({ auth }) => auth)).toEqual(["token", "token"]);
    expect(emulator.requests[0]?.headers.get("content-length")).toBe("6");
  });

  test("serves several services as endpoint", async () => {
    const emulator = await start({ services: { "group.model-v3": () => "42" } });
    const relay = await listenRelay({
      services: { model: serviceClient(emulator, "group.model-v3"), echo: serviceClient(emulator, "echo") },
      allow: [{ paths: ["/model"] }],
    });
    const response = await pageClient({ endpoint: relay, serviceName: "model" }).predict("x");
    expect(response.json()).toBe(42);
    const error = await errorOf(pageClient({ endpoint: relay, serviceName: "echo" }).predict("x"));
    expect(error).toBeInstanceOf(EasHttpError);
    expect([error.status, new TextDecoder().decode(error.body)]).toEqual([
      403,
      '{"error":"this relay does not allow POST on this path"}',
    ]);
    expect(emulator.requests.map(({ service }) => service)).toEqual(["group.model-v3"]);
  });

  test("serves a queue, a watch over HTTP and its commits", async () => {
    const emulator = await start();
    const relay = await listenRelay({
      services: { q: serviceClient(emulator, "jobs") },
      base: "/eas",
      allow: [{ paths: ["/q"], operations: ["put", "watch", "commit", "take"], gid: "eas" }],
    });
    const queue = new QueueClient({ endpoint: `${relay}/eas`, queueName: "q", logger: null });
    onTestFinished(() => void queue.close());
    const { index, requestId } = await queue.put("one", { tags: { a: "1" } });
    expect(requestId).toBeDefined();
    await queue.put("two");
    const texts: string[] = [];
    for await (const frame of queue.watch(0, 2, { transport: "http" })) {
      texts.push(frame.text());
      if (texts.length === 1) expect([frame.index, frame.tags.a]).toEqual([index, "1"]);
      await frame.commit();
      if (texts.length === 2) break;
    }
    expect(texts).toEqual(["one", "two"]);
    expect(emulator.queue("jobs")?.input.length).toBe(0);
    await queue.put("three");
    expect((await queue.get()).map((frame) => frame.text())).toEqual(["three"]);
  });

  test("ends a watch over WebSocket instead of reconnecting indefinitely", async () => {
    const emulator = await start();
    const relay = await listenRelay({
      services: { jobs: serviceClient(emulator, "jobs") },
      allow: [{ paths: ["/jobs"], operations: ["watch", "commit"], gid: "*" }],
    });
    const queue = new QueueClient({ endpoint: relay, queueName: "jobs", logger: null });
    onTestFinished(() => void queue.close());
    expect(await errorOf(queue.watch(0, 1, { transport: "websocket" }).next())).toMatchObject({ status: 403 });
    expect(emulator.requests).toEqual([]);
  });

  test("closes the service's watch when the page closes its own", async () => {
    const emulator = await start();
    const relay = await listenRelay({
      services: { jobs: serviceClient(emulator, "jobs") },
      allow: [{ paths: ["/jobs"], operations: ["put", "watch", "commit"], gid: "*" }],
    });
    const queue = new QueueClient({ endpoint: relay, queueName: "jobs", logger: null });
    onTestFinished(() => void queue.close());
    await queue.put("x");
    const watcher = queue.watch(0, 1, { transport: "http" });
    await (await watcher.next()).value?.commit();
    const watches = () => {
      let count = 0;
      emulator.cutConnections(() => {
        count++;
        return false;
      });
      return count;
    };
    expect(watches()).toBe(1);
    await watcher.close();
    // Polled, because the emulator has no event for it.
    while (watches() > 0) await new Promise((go) => setTimeout(go));
  });

  test("hides a wrong token from the page", async () => {
    const emulator = await start();
    const errors: unknown[] = [];
    const wrong = serviceClient({ endpoint: emulator.endpoint, token: "wrong-token-77" }, "echo");
    const relay = await listenRelay({
      client: wrong,
      allow: [{ paths: ["/"] }],
      onError: (error) => errors.push(error),
    });
    const error = await errorOf(pageClient({ customUrl: relay, retryCount: 0 }).predict("x"));
    expect(error.status).toBe(502);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ status: 401 });
    expect(JSON.stringify([error, errors])).not.toContain("wrong-token-77");
  });

  test("passes the caller's own token only to authorize", async () => {
    const emulator = await start();
    const relay = await listenRelay({
      client: serviceClient(emulator, "echo"),
      allow: [{ paths: ["/"] }],
      authorize: ({ headers }) => headers.get("authorization") === "session-1",
    });
    expect(String(await pageClient({ customUrl: relay, token: "session-1" }).predict("x"))).toBe("x");
    expect(await errorOf(pageClient({ customUrl: relay, token: "session-2" }).predict("x"))).toMatchObject({
      status: 403,
    });
    expect(emulator.requests.map(({ headers }) => headers.get("authorization"))).toEqual([TOKEN]);
  });

  test("serves the npm package openai, whole and streamed", async () => {
    const emulator = await start();
    const relay = await listenRelay({
      client: serviceClient(emulator, "llm"),
      base: "/eas",
      allow: [{ paths: ["/v1/chat/completions"] }, { methods: ["GET"], paths: ["/v1/models"] }],
      authorize: ({ headers }) => headers.get("authorization") === "Bearer session-1",
    });
    const openai = new OpenAI({ baseURL: `${relay}/eas/v1`, apiKey: "session-1" });
    const [model] = (await openai.models.list()).data;
    const asked = {
      model: String(model?.id),
      messages: [{ role: "user" as const, content: "学而时习之，" }],
      temperature: 0,
    };
    const whole = (await openai.chat.completions.create(asked)).choices[0]?.message.content;
    let streamed = "";
    for await (const { choices } of await openai.chat.completions.create({ ...asked, stream: true })) {
      streamed += choices[0]?.delta.content ?? "";
    }
    expect(streamed).toBe(whole);
    expect(streamed).not.toBe("");
    await expect(openai.embeddings.create({ model: "m", input: "x" })).rejects.toMatchObject({
      status: 403,
      message: expect.stringContaining("this relay does not allow POST on this path"),
    });
  });

  test("returns 404 for a service that does not exist", async () => {
    const { port } = await new Promise<{ port: number }>((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => {
        const address = server.address() as { port: number };
        server.close(() => resolve(address));
      });
    });
    const relay = await listenRelay({ client: clientOf(`http://127.0.0.1:${port}`), allow: [{ paths: ["/"] }] });
    const response = await fetch(relay, { method: "POST", body: "x" });
    expect([response.status, await response.text()]).toEqual([
      502,
      '{"error":"the relay got no response from the service"}',
    ]);
  });
});

describe("streams", () => {
  /** A service that echoes each chunk of the body and records when one of its connections has closed. */
  async function echoService() {
    let closed!: () => void;
    const gone = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const seen: string[] = [];
    const origin = await listen((incoming, outgoing) => {
      outgoing.flushHeaders();
      incoming.on("data", (chunk) => {
        seen.push(String(chunk));
        outgoing.write(chunk);
      });
      incoming.on("end", () => outgoing.end());
      incoming.on("error", () => {});
      outgoing.on("close", closed);
    });
    return { origin, gone, seen };
  }

  const allow: RelayOptions["allow"] = [{ paths: ["/"] }];

  /** A call whose body the test writes chunk by chunk. */
  function open(url: string, headers: Record<string, string> = {}) {
    const call = httpRequest(url, { method: "POST", headers });
    onTestFinished(() => void call.destroy());
    call.on("error", () => {});
    const answered = new Promise<IncomingMessage>((resolve, reject) =>
      call.on("response", resolve).on("error", reject),
    );
    answered.catch(() => {});
    return { call, answered };
  }

  test("forwards both directions at once, chunk by chunk", async () => {
    const { origin } = await echoService();
    const { call, answered } = open(await listenRelay({ client: clientOf(origin), allow }));
    // Clients send the head of a call together with the first chunk of its body.
    call.write("first");
    const response = await answered;
    const pieces = response[Symbol.asyncIterator]();
    for (const text of ["first", "second", "第三"]) {
      if (text !== "first") call.write(text);
      expect(String((await pieces.next()).value)).toBe(text);
    }
    call.end();
    expect((await pieces.next()).done).toBe(true);
    expect(response.complete).toBe(true);
  });

  test("aborts the call if the caller disconnects before the response", async () => {
    let arrived!: () => void;
    const begun = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    let closed!: () => void;
    const gone = new Promise<void>((resolve) => {
      closed = resolve;
    });
    const origin = await listen((_incoming, outgoing) => {
      outgoing.on("close", closed);
      arrived();
    });
    const { call } = open(await listenRelay({ client: clientOf(origin), allow }));
    call.end("x");
    await begun;
    call.destroy();
    await gone;
  });

  test("aborts the call if the caller disconnects during its body, which the service sees as incomplete", async () => {
    let begin!: () => void;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let close!: (complete: boolean) => void;
    const closed = new Promise<boolean>((resolve) => {
      close = resolve;
    });
    const origin = await listen((incoming) => {
      incoming.on("data", begin).on("error", () => {});
      incoming.on("close", () => close(incoming.complete));
    });
    const { call } = open(await listenRelay({ client: clientOf(origin), allow }));
    call.write("half");
    await begun;
    call.destroy();
    expect(await closed).toBe(false);
  });

  test("aborts the call if the caller disconnects during the response", async () => {
    const { origin, gone } = await echoService();
    const { call, answered } = open(await listenRelay({ client: clientOf(origin), allow }));
    call.write("x");
    (await answered).once("data", () => call.destroy());
    await gone;
  });

  test("breaks off the response if the service does", async () => {
    const errors: unknown[] = [];
    const origin = await listen((_incoming, outgoing) => {
      outgoing.write("half", () => outgoing.destroy());
    });
    const relay = await listenRelay({ client: clientOf(origin), allow, onError: (error) => errors.push(error) });
    const response = await fetch(relay, { method: "POST", body: "x" });
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    expect(errors).toHaveLength(1);
  });

  test("returns 413 and aborts the call if a chunked body grows too large", async () => {
    let closed!: () => void;
    const gone = new Promise<void>((resolve) => {
      closed = resolve;
    });
    let begin!: () => void;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let received = 0;
    const origin = await listen((incoming) => {
      incoming.on("data", (chunk) => {
        received += chunk.length;
        begin();
      });
      incoming.on("error", () => {});
      incoming.on("close", closed);
    });
    const { call, answered } = open(await listenRelay({ client: clientOf(origin), allow, maxBytes: 10 }));
    call.write("12345");
    await begun;
    call.write("678901");
    const response = await answered;
    expect(response.statusCode).toBe(413);
    expect(String((await response[Symbol.asyncIterator]().next()).value)).toBe(
      '{"error":"the body is larger than 10 bytes"}',
    );
    await gone;
    expect(received).toBeLessThanOrEqual(10);
  });

  test("returns 413, sends nothing and keeps the connection if the Content-Length is too large", async () => {
    const { origin, seen } = await echoService();
    const relay = await listenRelay({ client: clientOf(origin), allow, maxBytes: 10 });
    const socket = connect(Number(new URL(relay).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    const body = "x".repeat(100_000);
    const head = "POST / HTTP/1.1\r\nhost: relay.example\r\ncontent-length:";
    socket.write(`${head} ${body.length}\r\n\r\n${body}${head} 1\r\nconnection: close\r\n\r\ny`);
    let text = "";
    for await (const chunk of socket) text += chunk;
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 413", "HTTP/1.1 200"]);
    expect(seen).toEqual(["y"]);
  });

  test("applies the backpressure of a slow reader to the service", async () => {
    let made = 0;
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          controller.enqueue(new Uint8Array(64 * 1024));
          if (++made === 4096) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const { client } = memoryService(({ path }) => new Response(path === "" ? endless : "ok"));
    const relay = await listenRelay({ client, allow: [{ paths: ["/*"] }] });
    const { call, answered } = open(relay);
    call.end("x");
    const response = await answered;
    // Without backpressure, the other calls would have to wait until the whole response is buffered.
    for (let i = 0; i < 20; i++) expect(await (await fetch(`${relay}/other`, { method: "POST" })).text()).toBe("ok");
    expect(made).toBeLessThan(1000);
    let length = 0;
    for await (const chunk of response) length += chunk.length;
    expect([made, length]).toEqual([4096, 4096 * 64 * 1024]);
  });
});

describe("nodeListener", () => {
  test("the relay itself accepts a Request of any runtime", async () => {
    const emulator = await start();
    const relay = createRelay({ client: serviceClient(emulator, "echo"), allow: [{ paths: ["/"] }] });
    const response = await relay(new Request("https://my.site/", { method: "POST", body: "x" }));
    expect(await response.text()).toBe("x");
  });

  test.each([
    ["another host in the request line", "http://evil.example/", 404],
    ["another host, without a scheme", "//evil.example/", 404],
    ["a target that is not a path", "*", 404],
    ["a path with dot segments", "/a/../../", 403],
    ["the service", "/", 200],
  ])("%s", async (_, target, status) => {
    const emulator = await start();
    const relay = await listenRelay({
      client: serviceClient(emulator, "echo"),
      base: target === "/" || target.startsWith("/a") ? "" : "/eas",
      allow: target === "/" ? [{ paths: ["/"] }] : [{ methods: ["GET"], paths: ["/*"] }],
    });
    const socket = connect(Number(new URL(relay).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.write(`POST ${target} HTTP/1.1\r\nhost: relay.example\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx`);
    let text = "";
    for await (const chunk of socket) text += chunk;
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(emulator.requests).toHaveLength(status === 200 ? 1 : 0);
  });
});
