import { gzipSync } from "node:zlib";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import {
  createEmulator,
  type EmulatorHandler,
  type LlmGatewayGeneration,
  type LlmGatewayOptions,
  llmGateway,
  startEmulator,
} from "../../../../src/emulator/index.js";

const CHAT_PATH = "/v1/chat/completions";
const MESSAGES = [{ role: "user", content: "abc" }];
const GENERATIONS = ["2026-01", "2026-04"] as const;
const encoder = new TextEncoder();

/** Creates a gateway without a network. */
function start(generation: LlmGatewayGeneration, engine?: EmulatorHandler, options: LlmGatewayOptions = {}) {
  const gateway = llmGateway(generation, { ...(engine && { engine }), ...options });
  const emulator = createEmulator({ token: "", services: { gateway } });
  const send = (path: string, init: RequestInit = {}) =>
    emulator.fetch(
      new Request(`http://e/api/predict/gateway${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        ...init,
      }),
    );
  const chat = (fields: object = {}, init: RequestInit = {}) =>
    send(CHAT_PATH, { body: JSON.stringify({ model: "eas-ngram", messages: MESSAGES, ...fields }), ...init });
  const [engineOfGateway] = gateway.engines;
  return { gateway, emulator, send, chat, engine: engineOfGateway as NonNullable<typeof engineOfGateway> };
}

const statusAndText = async (answer: Response | Promise<Response>) => {
  const response = await answer;
  return [response.status, await response.text()];
};

/** Creates a body that the test writes. */
function writableBody() {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let isCancelled = false;
  const pulls: (() => void)[] = [];
  const body = new ReadableStream<Uint8Array>(
    {
      start(own) {
        controller = own;
      },
      pull: () => new Promise<void>((resolve) => pulls.push(resolve)),
      cancel() {
        isCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return {
    body,
    /** Writes a text once the gateway reads. */
    async write(text: string) {
      await this.wanted();
      const taken = pulls.shift();
      controller.enqueue(encoder.encode(text));
      taken?.();
    },
    /** Resolves when the gateway has read the written text and waits for more. */
    async wanted() {
      while (pulls.length === 0) await turn();
    },
    async end() {
      await this.wanted();
      controller.close();
    },
    get isCancelled() {
      return isCancelled;
    },
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const completion = (text: string, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ id: "cmpl-1", object: "text_completion", created: 1, model: "m", choices: [{ index: 0, text, finish_reason }] })}\n\n`;
const DONE = "data: [DONE]\n\n";
const events = (...texts: string[]) =>
  new Response(texts.join(""), { headers: { "content-type": "text/event-stream" } });

describe.each(GENERATIONS)("the gateway of %s", (generation) => {
  test("delays the response headers until the first event with data, ignoring comments", async () => {
    const engine = writableBody();
    const { chat } = start(generation, () => new Response(engine.body));
    let isAnswered = false;
    const answer = chat({ stream: true }).then((response) => {
      isAnswered = true;
      return response;
    });
    await engine.write(": ping\n\n");
    await engine.wanted();
    expect(isAnswered).toBe(false);
    await engine.write(completion("a"));
    const reader = (await answer).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toMatch(/^data: \{.*\}\n\n$/);
    const next = reader?.read();
    await engine.write(": ping\n\n");
    await engine.end();
    expect((await next)?.done).toBe(true);
  });

  test("ends a stream at an event that exceeds maxEventBytes", async () => {
    const large = completion("x".repeat(500));
    const { chat } = start(generation, () => events(completion("a"), large, DONE), { maxEventBytes: 500 });
    const text = await (await chat({ stream: true })).text();
    expect(text).toMatch(generation === "2026-01" ? /^data: .*\n\nBad Request\n$/ : /^data: .*\n\n$/);
  });

  test("ends a stream that is silent for longer than readTimeout", async () => {
    let isCancelled = false;
    const silent = new ReadableStream({
      start: (controller) => controller.enqueue(encoder.encode(completion("a"))),
      cancel() {
        isCancelled = true;
      },
    });
    const { chat } = start(generation, () => new Response(silent), { readTimeout: 20 });
    const text = await (await chat({ stream: true })).text();
    expect(text).toMatch(generation === "2026-01" ? /^data: .*\n\nBad Request\n$/ : /^data: .*\n\n$/);
    expect(isCancelled).toBe(true);
  });

  test("times out if an engine does not respond, and does not retry", async () => {
    const { chat, engine, gateway } = start(generation, () => "", { headerTimeout: 20 });
    engine.fault({ stall: "before-headers" });
    const [status, text] = await statusAndText(chat());
    expect(status).toBe(400);
    expect(text).toContain(": net/http: timeout awaiting response headers");
    expect(gateway.engineCalls).toHaveLength(1);
  });

  test("retries a request that broke before the response headers", async () => {
    const times = generation === "2026-01" ? 4 : 3;
    const { chat, engine, gateway } = start(generation, () => events(completion("a"), DONE));
    engine.fault({ reset: "before-headers", times: times - 1 });
    expect((await chat({ stream: true })).status).toBe(200);
    expect(gateway.engineCalls).toHaveLength(times);
    engine.fault({ end: "before-headers", times });
    const [status, text] = await statusAndText(chat());
    const error = `Post "http://127.0.0.1:8000${generation === "2026-01" ? CHAT_PATH : "/v1/completions"}": EOF`;
    const whole =
      generation === "2026-01"
        ? `${error}\n`
        : `network error for request to http://127.0.0.1:8000/v1/completions: ${error}`;
    expect([status, text]).toEqual([400, whole]);
    expect(gateway.engineCalls).toHaveLength(2 * times);
  });

  test("reports that a stopped engine refuses connections, until it is started", async () => {
    const { chat, engine, send } = start(generation, () => events(completion("a"), DONE), { enginePort: 9199 });
    await engine.stop();
    const path = generation === "2026-01" ? CHAT_PATH : "/v1/completions";
    const error = `Post "http://127.0.0.1:9199${path}": dial tcp 127.0.0.1:9199: connect: connection refused`;
    const models = await statusAndText(send("/v1/models", { method: "GET" }));
    if (generation === "2026-01") {
      expect(await statusAndText(chat())).toEqual([400, `${error}\n`]);
      expect(models[0]).toBe(400);
    } else {
      const text = `network error for request to http://127.0.0.1:9199${path}: ${error}`;
      expect(await statusAndText(chat())).toEqual([400, text]);
      expect(await statusAndText(chat({ stream: true }))).toEqual([400, `data: ${text}\n\ndata: [DONE]\n\n`]);
      expect(models).toEqual([502, "failed to forward request\n"]);
    }
    await engine.start();
    expect((await chat({ stream: true })).status).toBe(200);
  });

  test("breaks the responses in progress when an engine stops", async () => {
    const body = writableBody();
    const { chat, engine } = start(generation, () => new Response(body.body));
    const answer = chat({ stream: true });
    await body.write(completion("a"));
    const response = await answer;
    await engine.stop();
    expect(await response.text()).toMatch(generation === "2026-01" ? /\n\nBad Request\n$/ : /^data: .*\n\n$/);
  });

  test("responds with an error if no engine is listed", async () => {
    const { chat, engine, send } = start(generation, () => events(completion("a"), DONE));
    engine.isListed = false;
    const answer = await statusAndText(chat());
    const models = await statusAndText(send("/v1/models", { method: "GET" }));
    const unknown = '{"error": {"code": 503, "message": "no available inference worker"}}';
    if (generation === "2026-01") {
      expect(answer).toEqual([404, "no backend endpoint found\n"]);
      expect(models).toEqual([404, "no backend endpoint found\n"]);
    } else {
      expect(answer).toEqual([503, unknown]);
      expect(await statusAndText(chat({ stream: true }))).toEqual([503, `data: ${unknown}\n\n${DONE}`]);
      expect(models).toEqual([503, "failed to get endpoint\n"]);
    }
    const none = start(generation, undefined, { engines: 0 });
    expect((await none.chat()).status).toBe(answer[0]);
  });

  test("follows redirects", async () => {
    const { chat, gateway } = start(generation, ({ path, query }) =>
      path === "/moved"
        ? events(completion(query.get("q") ?? ""), DONE)
        : Response.redirect("http://127.0.0.1:8000/moved?q=x", 307),
    );
    const response = await chat({ stream: true });
    expect(await response.text()).toContain('"x"');
    expect(gateway.engineCalls.map(({ method, path }) => [method, path]).at(-1)).toEqual(["POST", "/moved"]);
  });

  test("refuses headers that exceed one megabyte", async () => {
    const { chat, gateway } = start(generation);
    const response = await chat({}, { headers: { "x-large": "x".repeat(1_100_000) } });
    expect([response.status, response.headers.get("connection"), await response.text()]).toEqual([
      431,
      "close",
      "431 Request Header Fields Too Large",
    ]);
    expect(gateway.engineCalls).toEqual([]);
  });

  test("has a health check that does not need an engine", async () => {
    const { send } = start(generation, undefined, { engines: 0 });
    expect(await statusAndText(send("/healthz", { method: "GET" }))).toEqual([200, ""]);
  });

  test("holds requests while its engines are busy, and forwards them in order", async () => {
    const bodies = [writableBody(), writableBody(), writableBody()];
    let called = 0;
    const { chat } = start(generation, () => new Response(bodies[called++]?.body), { concurrency: 1 });
    const first = chat({ stream: true });
    const second = chat({ stream: true });
    await bodies[0]?.write(completion("a"));
    const response = await first;
    expect(called).toBe(1);
    await Promise.all([bodies[0]?.end(), response.text()]);
    await bodies[1]?.write(completion("b"));
    expect(called).toBe(2);
    const abort = new AbortController();
    const third = chat({ stream: true }, { signal: abort.signal });
    await turn();
    abort.abort();
    await expect(third).rejects.toThrow();
    await Promise.all([bodies[1]?.end(), second.then((r) => r.text())]);
    expect(called).toBe(2);
  });

  test("distributes requests to its engines by weight", async () => {
    const ports: (string | undefined)[] = [];
    const { chat, gateway } = start(generation, () => "{", { engines: 3 });
    const [a, b, c] = gateway.engines;
    if (a && b && c) [a.weight, b.weight, c.isListed] = [200, 100, false];
    for (const engine of gateway.engines) engine.fault({ status: 500, body: String(engine.port), times: 9 });
    for (let i = 0; i < 6; i++) ports.push((await (await chat()).text()).trim());
    expect(ports.filter((port) => port === "8000")).toHaveLength(4);
    expect(ports.filter((port) => port === "8001")).toHaveLength(2);
  });

  test("hides faults of the engine, and applies faults of the emulator to itself", async () => {
    const { chat, engine, emulator } = start(generation);
    engine.fault({ status: 429, body: "busy", headers: { "retry-after": "3" } });
    const hidden = await chat();
    expect([hidden.status, hidden.headers.get("retry-after")]).toEqual([429, null]);
    emulator.fault({ status: 429, body: "busy", headers: { "retry-after": "3" } });
    expect((await chat()).headers.get("retry-after")).toBe("3");
  });

  test("forwards errors of the engine's handler as responses", async () => {
    const { chat } = start(generation, () => {
      throw new Error("no such tensor");
    });
    const [status, text] = await statusAndText(chat());
    expect([status, String(text).trim()]).toEqual([400, "no such tensor"]);
  });

  test("serves the demo model to the package openai by default", async () => {
    const emulator = await startEmulator({ services: { gateway: llmGateway(generation) } });
    try {
      const openai = new OpenAI({
        baseURL: `${emulator.endpoint}/api/predict/gateway/v1`,
        apiKey: emulator.token,
        maxRetries: 0,
      });
      const request = {
        model: "eas-ngram",
        messages: [{ role: "user" as const, content: "学而时习之" }],
        temperature: 0,
      };
      const whole = await openai.chat.completions.create(request);
      let streamed = "";
      for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) {
        streamed += chunk.choices[0]?.delta.content ?? "";
      }
      expect(streamed).toBe(whole.choices[0]?.message.content);
      expect(streamed).toMatch(/^，不亦说乎/);
      expect((await openai.models.list()).data.map(({ id }) => id)).toEqual(["eas-ngram"]);
    } finally {
      await emulator.close();
    }
  });
});

describe("the gateway of 2026-01", () => {
  const echo: EmulatorHandler = ({ method, path, query, headers }) =>
    new Response(JSON.stringify({ method, path: `${path}?${query}`, headers: Object.fromEntries(headers) }), {
      headers: { "content-type": "application/json", "x-more": "1", connection: "keep-alive" },
    });

  test("forwards all paths and methods, with additional headers", async () => {
    const { send } = start("2026-01", echo);
    const response = await send("/any/path?a=1", {
      method: "PUT",
      headers: { te: "trailers", "x-forwarded-for": "10.0.0.1" },
    });
    const { method, path, headers } = (await response.json()) as any;
    expect([method, path]).toEqual(["PUT", "/any/path?a=1"]);
    expect(headers).toMatchObject({
      "x-forwarded-for": "10.0.0.1, 127.0.0.1",
      "x-proxy-server": "llm-gateway",
      "accept-encoding": "gzip",
    });
    expect(headers).not.toHaveProperty("te");
    expect([response.headers.get("x-more"), response.headers.get("connection")]).toEqual(["1", null]);
  });

  test("decompresses only responses for which it requested gzip itself", async () => {
    const engine: EmulatorHandler = () =>
      new Response(new Uint8Array(gzipSync("{}")), { headers: { "content-encoding": "gzip" } });
    const { send } = start("2026-01", engine);
    expect(await (await send("/", { body: "{}" })).text()).toBe("{}");
    const raw = await send("/", { body: "{}", headers: { "accept-encoding": "gzip" } });
    expect(raw.headers.get("content-encoding")).toBe("gzip");
  });

  // Messages of the gateway's JSON parser, github.com/valyala/fastjson 1.6.4.
  test.each<[body: string | Uint8Array<ArrayBuffer>, error: string]>([
    ["hello", `cannot parse JSON: cannot parse number: unexpected char: "h"; unparsed tail: "hello"`],
    [
      '------WebKitFormBoundary7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n------',
      String.raw`unexpected tail: "WebKitFormBoundary7MA4YWxkTrZu0gW\r\nConte...sition: form-data; name=\"a\"\r\n\r\n1\r\n------"`,
    ],
    [
      '\ufeff{"a":1}',
      String.raw`cannot parse JSON: cannot parse number: unexpected char: "\xef"; unparsed tail: "\ufeff{\"a\":1}"`,
    ],
    ['{"a":1', `cannot parse JSON: cannot parse object: unexpected end of object; unparsed tail: ""`],
    [
      new Uint8Array([0x1f, 0x8b, 8, 0]),
      String.raw`cannot parse JSON: cannot parse number: unexpected char: "\x1f"; unparsed tail: "\x1f\x8b\b\x00"`,
    ],
  ])("refuses the body %j, which is not JSON", async (body, error) => {
    const { send, gateway } = start("2026-01");
    const response = await send("/upload", { body });
    expect([response.status, await response.text()]).toEqual([400, `${error}\n`]);
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(gateway.engineCalls).toEqual([]);
  });

  test("quotes megabytes of invalid UTF-8", async () => {
    const body = new Uint8Array(5_000_000).fill(0xff);
    body[0] = "t".charCodeAt(0);
    const escaped = (count: number) => String.raw`\xff`.repeat(count);
    const { send } = start("2026-01");
    const text = await (await send("/", { body })).text();
    const expected = `cannot parse JSON: unexpected value found: "t${escaped(body.length - 1)}"; unparsed tail: "t${escaped(39)}...${escaped(40)}"\n`;
    // Not `toBe`, which would print megabytes of text.
    expect(text === expected).toBe(true);
  }, 60_000);

  test.each([
    [{ stream: true }, true],
    [{ stream: "true" }, true],
    [{ stream: "TRUE" }, true],
    [{ stream: 1 }, false],
    [{ nested: { stream: true } }, false],
    [[{ stream: true }], false],
  ])("detects whether %j requests a stream: %s", async (body, isStream) => {
    const { send } = start("2026-01", () => events(": ping\n\n", DONE));
    const text = await (await send("/", { body: JSON.stringify(body) })).text();
    expect(text).toBe(isStream ? DONE : `: ping\n\n${DONE}`);
  });

  test("forwards the model list of any engine, including errors and headers", async () => {
    const { send, engine } = start("2026-01", echo);
    engine.fault({ status: 503, body: "loading", headers: { "retry-after": "3" } });
    const response = await send("/v1/models", { method: "GET" });
    expect([response.status, response.headers.get("retry-after"), await response.text()]).toEqual([
      503,
      "3",
      "loading",
    ]);
    // Only for this exact URL.
    engine.fault({ status: 503, body: "loading", headers: { "retry-after": "3" } });
    expect((await send("/v1/models?a=1", { method: "GET" })).headers.get("retry-after")).toBeNull();
  });

  test.each([
    [{ holdTimeout: 10 }, "too many requests\n"],
    [{ queueLength: 0 }, "requests buffer queue overflow\n"],
  ])("responds with 429 to requests that it does not hold: %j", async (limit, text) => {
    const body = writableBody();
    const { chat, gateway } = start("2026-01", () => new Response(body.body), { concurrency: 1, ...limit });
    const first = chat({ stream: true });
    await body.write(completion("a"));
    expect(await statusAndText(chat())).toEqual([429, text]);
    await Promise.all([body.end(), first.then((response) => response.text())]);
    expect(gateway.engineCalls).toHaveLength(1);
  });

  test("does not notify the engine of a disconnected client until it sends an event", async () => {
    const body = writableBody();
    let signal: AbortSignal | undefined;
    const { chat } = start("2026-01", (call) => {
      ({ signal } = call);
      return new Response(body.body);
    });
    const abort = new AbortController();
    const answer = chat({ stream: true }, { signal: abort.signal });
    await body.write(completion("a"));
    const response = await answer;
    abort.abort();
    await response.body?.cancel();
    await body.write(": ping\n\n");
    await body.wanted();
    expect([body.isCancelled, signal?.aborted]).toEqual([false, false]);
    await body.write(completion("b"));
    while (!body.isCancelled) await turn();
    expect(signal?.aborted).toBe(true);
  });

  test("releases an engine if the client disconnects before the response headers", async () => {
    const body = writableBody();
    const { chat } = start("2026-01", () => new Response(body.body), { concurrency: 1 });
    const abort = new AbortController();
    const answer = chat({ stream: true }, { signal: abort.signal });
    // Handle the rejection immediately: it occurs while the engine still sends.
    const rejected = expect(answer).rejects.toThrow();
    await body.write(": ping\n\n");
    abort.abort();
    await body.write(completion("a"));
    await rejected;
    while (!body.isCancelled) await turn();
  });
});

describe("the gateway of 2026-04", () => {
  test.each([
    ["/", "GET"],
    ["/v1/embeddings", "POST"],
    ["/v1/messages", "POST"],
    ["/api/chat", "POST"],
  ])("responds with 404 to %s", async (path, method) => {
    const { send, gateway } = start("2026-04");
    expect(await statusAndText(send(path, { method }))).toEqual([404, "404 page not found\n"]);
    expect(gateway.engineCalls).toEqual([]);
  });

  test("serves metrics", async () => {
    const [status, text] = await statusAndText(start("2026-04").send("/metrics", { method: "GET" }));
    expect([status, text]).toEqual([200, expect.stringContaining("gateway_current_requests 0\n")]);
  });

  test.each<object>([
    { stream: "true" },
    { stop: "x" },
    { messages: "x" },
    { messages: [] },
    { messages: [{ role: "user", content: 1 }] },
    { max_tokens: "5" },
    { response_format: { type: "json_schema", json_schema: { name: "x", schema: {} } } },
  ])("refuses a chat with %j", async (fields) => {
    expect(await statusAndText(start("2026-04").chat(fields))).toEqual([400, "Invalid OpenAI request\n"]);
  });

  test("refuses bodies that are not JSON", async () => {
    const { send } = start("2026-04");
    for (const body of ["hello", "", "\ufeff{}"]) {
      expect(await statusAndText(send(CHAT_PATH, { body }))).toEqual([400, "Invalid OpenAI request\n"]);
    }
  });

  test("requests a stream of text from the engine, with only some of the fields", async () => {
    const { chat, gateway } = start("2026-04", () => events(completion("a"), DONE));
    await chat({ temperature: 0, top_k: 5, tools: [], frequency_penalty: 1, presence_penalty: 0.5, max_tokens: 7 });
    const [call] = gateway.engineCalls;
    expect([call?.method, call?.path]).toEqual(["POST", "/v1/completions"]);
    expect(JSON.parse(new TextDecoder().decode(call?.body))).toEqual({
      request_id: expect.any(String),
      model: "eas-ngram",
      prompt: "abc",
      max_tokens: 7,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      temperature: 0,
      frequency_penalty: 0.5,
      presence_penalty: 0.5,
    });
  });

  test("ends a chat at max_tokens", async () => {
    const { chat } = start("2026-04", () => events(completion(" one"), completion(" two"), completion(" three"), DONE));
    const { choices, usage } = (await (await chat({ max_tokens: 2 })).json()) as any;
    expect([choices[0].message.content, usage.completion_tokens]).toEqual([" one two", 2]);
  });

  test("splits a last chunk with text, and escapes characters that are special in HTML", async () => {
    const { chat } = start("2026-04", () => events(completion("<b>", "stop"), DONE));
    const text = await (await chat({ stream: true })).text();
    expect(text).toContain(String.raw`"content":"\u003cb\u003e"`);
    const chunks = text
      .split("\n\n")
      .slice(0, -2)
      .map((event) => JSON.parse(event.slice(6)).choices[0]);
    expect(chunks.map(({ delta, finish_reason }) => [delta.content, finish_reason])).toEqual([
      ["<b>", ""],
      ["", "stop"],
    ]);
  });

  test("rebuilds completions, streamed or not", async () => {
    const { send } = start("2026-04", () => events(completion("a"), completion("b", "stop"), DONE));
    const complete = async (fields: object) =>
      (await send("/v1/completions", { body: JSON.stringify({ model: "m", prompt: "x", ...fields }) })).text();
    const logprobs = '{"tokens":null,"token_logprobs":null,"top_logprobs":null,"text_offset":null}';
    expect(await complete({})).toBe(
      `{"id":"chatcmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":"ab","index":0,"finish_reason":"stop","logprobs":${logprobs}}],"usage":null,"system_fingerprint":""}`,
    );
    expect((await complete({ stream: true })).split("\n\n")[0]).toBe(
      `data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":"a","index":0,"finish_reason":"","logprobs":${logprobs}}],"usage":null,"system_fingerprint":""}`,
    );
  });

  test("drops an error event at the start of a stream", async () => {
    const { chat } = start("2026-04", () => events('data: {"error":{"message":"died"}}\n\n', DONE));
    expect(await (await chat({ stream: true })).text()).toBe(DONE);
  });

  test("notifies the engine immediately when the client disconnects", async () => {
    const body = writableBody();
    const { chat } = start("2026-04", () => new Response(body.body));
    const abort = new AbortController();
    const answer = chat({ stream: true }, { signal: abort.signal });
    await body.write(completion("a"));
    const response = await answer;
    abort.abort();
    while (!body.isCancelled) await turn();
    await response.body?.cancel();
    const other = writableBody();
    const cancelled = start("2026-04", () => new Response(other.body)).chat({ stream: true });
    await other.write(completion("a"));
    await (await cancelled).body?.cancel();
    while (!other.isCancelled) await turn();
  });
});

describe("llmGateway", () => {
  test.each<[LlmGatewayOptions, string]>([
    [{ engines: -1 }, "engines of llmGateway is -1: it must be an integer from 0 to 1000"],
    [{ enginePort: 0 }, "enginePort of llmGateway is 0: it must be an integer from 1 to 65535"],
    [{ readTimeout: Number.POSITIVE_INFINITY }, "readTimeout of llmGateway is Infinity: it must"],
    [{ concurrency: 0 }, "concurrency of llmGateway is 0: it must"],
    [{ engine: 1 as never }, "engine of llmGateway is 1: it must be a service or its handler"],
    [{ countTokens: 1 as never }, "countTokens of llmGateway is 1: it must be a function"],
    [{ now: 1 as never }, "now of llmGateway is 1: it must be a function"],
  ])("throws for the options %j", (options, message) => {
    expect(() => llmGateway("2026-01", options)).toThrow(message);
  });

  test("throws for an unknown generation", () => {
    expect(() => llmGateway("2025-01" as never)).toThrow(
      'the generation of llmGateway is "2025-01": it must be "2026-01" or "2026-04"',
    );
  });
});
