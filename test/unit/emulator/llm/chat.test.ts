import { request } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import OpenAI, { APIError, BadRequestError, NotFoundError } from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createEmulator, llmService, type RunningEmulator, startEmulator } from "../../../../src/emulator/index.js";
import { NgramModel, tokenize } from "../../../../src/emulator/models/ngram.js";
import { StopText } from "../../../../src/emulator/services/llm/stop-text.js";

let emulator: RunningEmulator;
beforeAll(async () => {
  emulator = await startEmulator();
});
afterEach(() => emulator.reset());
afterAll(() => emulator.close());

const MODEL = "eas-ngram";
const CONFUCIUS = [{ role: "user", content: "学而时习之" }] as const;
const CONTINUED = "，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦君子乎？";
/** A request whose reply has 31 tokens of one character each. */
const chatRequest = { model: MODEL, messages: CONFUCIUS, temperature: 0 };
/** A request with a long reply. */
const long = { ...chatRequest, ignore_eos: true, max_tokens: 4000 };

const send = (path: string, body?: unknown, init: RequestInit = {}) =>
  fetch(`${emulator.endpoint}/api/predict/llm${path}`, {
    method: body === undefined ? "GET" : "POST",
    body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
    headers: { authorization: emulator.token, "content-type": "application/json" },
    ...init,
  });
const post = async (path: string, body: unknown) => {
  const response = await send(path, body);
  return { status: response.status, body: (await response.json()) as any };
};
const chat = (body: unknown, init?: RequestInit) => send("/v1/chat/completions", body, init);

/** Returns the data of all events of a body. */
async function eventsOf(response: Response): Promise<string[]> {
  const text = await response.text();
  expect(text).toMatch(/^(data: .*\n\n)+$/);
  return text
    .split("\n\n")
    .slice(0, -1)
    .map((event) => event.slice("data: ".length));
}

/** An emulator without a network, whose bodies have one chunk for each chunk of the service, without read-ahead. */
function inMemory() {
  const core = createEmulator({ token: "t" });
  const open = (body: unknown, init: RequestInit = {}, path = "/v1/chat/completions") =>
    core.fetch(
      new Request(`http://e/api/predict/llm${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { authorization: "t", "content-type": "application/json" },
        ...init,
      }),
    );
  return { core, open };
}

async function chunksOf(response: Response): Promise<string[]> {
  const chunks: string[] = [];
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    chunks.push(new TextDecoder("utf-8", { fatal: true }).decode(chunk));
  }
  return chunks;
}

describe("with the package openai", () => {
  const openai = () =>
    new OpenAI({ baseURL: `${emulator.endpoint}/api/predict/llm/v1`, apiKey: emulator.token, maxRetries: 0 });

  test("lists models", async () => {
    const models = await openai().models.list();
    expect(models.data.map(({ id, object }) => [id, object])).toEqual([[MODEL, "model"]]);
  });

  test("responds to a chat", async () => {
    const response = await openai().chat.completions.create({ model: MODEL, messages: [...CONFUCIUS], temperature: 0 });
    expect(response).toMatchObject({ object: "chat.completion", model: MODEL });
    expect(response.choices).toMatchObject([
      { index: 0, message: { role: "assistant", content: CONTINUED }, finish_reason: "stop" },
    ]);
    expect(response.usage).toEqual({ prompt_tokens: 5, completion_tokens: 31, total_tokens: 36 });
    expect(emulator.requests).toMatchObject([{ auth: "bearer", status: 200, service: "llm" }]);
  });

  test("streams a chat", async () => {
    const stream = await openai().chat.completions.create({
      model: MODEL,
      messages: [...CONFUCIUS],
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const usage = chunks.pop();
    expect(usage).toMatchObject({ choices: [], usage: { completion_tokens: 31, total_tokens: 36 } });
    expect(chunks.every((chunk) => chunk.usage === null && chunk.id === usage?.id)).toBe(true);
    expect(chunks.shift()?.choices[0]).toMatchObject({ delta: { role: "assistant" }, finish_reason: null });
    expect(chunks.pop()?.choices[0]).toMatchObject({ delta: {}, finish_reason: "stop" });
    expect(chunks.map(({ choices }) => choices[0]?.delta.content)).toEqual([...CONTINUED]);
  });

  test("works with the stream helpers, also if a stream is abandoned", async () => {
    const runner = openai().chat.completions.stream({ model: MODEL, messages: [...CONFUCIUS], temperature: 0 });
    expect(await runner.finalContent()).toBe(CONTINUED);
    const left = await openai().chat.completions.create({ ...long, messages: [...CONFUCIUS], stream: true } as any);
    let count = 0;
    for await (const _ of left as any) if (++count === 5) break;
    expect(count).toBe(5);
  });

  test("responds to a completion, streamed or not", async () => {
    const request = { model: MODEL, prompt: "What is a queue?", temperature: 0, max_tokens: 8 };
    const whole = await openai().completions.create(request);
    expect(whole.choices).toMatchObject([
      { text: " A queue keeps requests that are not answered", finish_reason: "length" },
    ]);
    const parts: string[] = [];
    let end: string | null | undefined;
    for await (const { choices } of await openai().completions.create({ ...request, stream: true })) {
      if (choices[0]?.text) parts.push(choices[0].text);
      end = choices[0]?.finish_reason;
    }
    expect([parts.length, parts.join(""), end]).toEqual([8, whole.choices[0]?.text, "length"]);
  });

  test("reports errors", async () => {
    const create = (body: object) =>
      openai()
        .chat.completions.create({ ...chatRequest, ...body } as never)
        .catch((error: unknown) => error);
    const unknown = await create({ model: "gpt-4o" });
    expect(unknown).toBeInstanceOf(NotFoundError);
    // The package reads only the form of later releases of vLLM.
    expect(unknown).toMatchObject({ status: 404, type: undefined });
    expect(await create({ messages: [] })).toBeInstanceOf(BadRequestError);
    emulator.addService("later", llmService({ errors: "nested" }));
    const later = new OpenAI({ baseURL: `${emulator.endpoint}/api/predict/later/v1`, apiKey: emulator.token });
    const request = { ...chatRequest, messages: [...CONFUCIUS], model: "gpt-4o" };
    const nested = await later.chat.completions.create(request).catch((error: unknown) => error);
    expect(nested).toMatchObject({ status: 404, type: "NotFoundError", param: "model" });
    expect((nested as Error).message).toContain("The model `gpt-4o` does not exist.");
    const hot = later.chat.completions.create({ ...request, model: MODEL, temperature: 3 });
    await expect(hot).rejects.toMatchObject({ status: 400, param: "temperature" });
  });

  test("reports an error in the middle of a stream", async () => {
    const failure = 'data: {"error": {"message": "out of memory", "type": "InternalServerError", "code": 500}}\n\n';
    emulator.fault({ failure, chunks: 4 });
    const stream = await openai().chat.completions.create({ ...long, messages: [...CONFUCIUS], stream: true } as any);
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of stream as any) seen.push(chunk.choices[0].delta.content);
    })();
    await expect(reading).rejects.toBeInstanceOf(APIError);
    await expect(reading).rejects.toThrow("out of memory");
    expect(seen).toEqual(["", "，", "不", "亦"]);
  });
});

describe("the interface of OpenAI", () => {
  test("streams the role, one event for each token, the finish reason, and [DONE]", async () => {
    const response = await chat({ ...chatRequest, stream: true });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("content-length")).toBeNull();
    const events = await eventsOf(response);
    expect(events.pop()).toBe("[DONE]");
    const chunks = events.map((event) => JSON.parse(event));
    expect(chunks).toHaveLength(33);
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({ id: chunks[0].id, object: "chat.completion.chunk", model: MODEL });
      expect(chunk).not.toHaveProperty("usage");
    }
    expect(chunks[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.slice(1, -1).map(({ choices }) => choices[0])).toEqual(
      [...CONTINUED].map((content) => ({ index: 0, delta: { content }, logprobs: null, finish_reason: null })),
    );
    expect(chunks[32].choices).toEqual([{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }]);
  });

  test("streams the same text as without streaming, and reports its usage", async () => {
    for (const request of [
      { content: "What is a queue?", temperature: 0 },
      { content: "请介绍一下你自己。", seed: 7, temperature: 1, max_tokens: 40 },
      { content: "Tell me a story.", seed: 8, top_p: 0.9, top_k: 50 },
    ]) {
      const { content, ...rest } = request;
      const messages = [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Hello!" },
        { role: "user", content: [{ type: "text", text: content }] },
      ];
      const { body } = await post("/v1/chat/completions", { model: MODEL, messages, ...rest });
      const text = body.choices[0].message.content;
      const prompt = ["Be brief.", "Hello", "Hello!", content].map((each) => tokenize(each).length);
      expect(body.usage.prompt_tokens).toBe(prompt.reduce((a, b) => a + b));
      const events = await eventsOf(
        await chat({ model: MODEL, messages, ...rest, stream: true, stream_options: { include_usage: true } }),
      );
      const chunks = events.slice(0, -1).map((event) => JSON.parse(event));
      expect(chunks.pop().usage).toEqual(body.usage);
      const contents = chunks.map(({ choices }) => choices[0].delta.content ?? "").filter((each) => each !== "");
      expect(contents.join("")).toBe(text);
      expect(contents).toHaveLength(body.usage.completion_tokens);
      expect(text).not.toMatch(/^\s/);
    }
  });

  test("trims the leading space of a message, but not of a completion", async () => {
    const messages = [{ role: "user", content: "What is a queue?" }];
    const message = await post("/v1/chat/completions", { model: MODEL, messages, temperature: 0, max_tokens: 2 });
    expect(message.body.choices[0]).toMatchObject({ message: { content: "A queue" }, finish_reason: "length" });
    const prompt = "What is a queue?";
    const completion = await post("/v1/completions", { model: MODEL, prompt, temperature: 0, max_tokens: 2 });
    expect(completion.body.choices[0]).toEqual({ index: 0, text: " A queue", logprobs: null, finish_reason: "length" });
  });

  test("limits completions to 16 tokens by default, and chats to the context", async () => {
    const endless = { model: MODEL, temperature: 0, ignore_eos: true };
    const completion = await post("/v1/completions", { ...endless, prompt: "道" });
    expect(completion.body.usage.completion_tokens).toBe(16);
    const messages = [{ role: "user", content: "道".repeat(8000) }];
    const message = await post("/v1/chat/completions", { ...endless, messages });
    expect(message.body.usage).toEqual({ prompt_tokens: 8000, completion_tokens: 192, total_tokens: 8192 });
    expect(message.body.choices[0].finish_reason).toBe("length");
  });

  test.each([
    ["at a sequence of one token", "？", "，不亦说乎"],
    ["at a sequence of several tokens", "乎？有朋", "，不亦说"],
    ["at a sequence whose prefix occurs before it", ["亦乐乎", "不亦乐乎？人"], "，不亦说乎？有朋自远方来，不"],
    ["not at a partial sequence", ["亦说乎！"], CONTINUED],
    ["at a sequence at the end of the text", "君子乎？", "，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦"],
  ])("stops %s", async (_, stop, text) => {
    const { body } = await post("/v1/chat/completions", { ...chatRequest, stop });
    expect(body.choices[0]).toMatchObject({ message: { content: text }, finish_reason: "stop" });
    const events = await eventsOf(await chat({ ...chatRequest, stop, stream: true }));
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event).choices[0]);
    expect(chunks.map(({ delta }) => delta.content ?? "").join("")).toBe(text);
    expect(chunks.at(-1).finish_reason).toBe("stop");
  });

  test("sends a held-back partial stop sequence when max_tokens is reached", async () => {
    const { body } = await post("/v1/chat/completions", { ...chatRequest, stop: "说乎！", max_tokens: 4 });
    expect(body.choices[0]).toMatchObject({ message: { content: "，不亦说" }, finish_reason: "length" });
  });

  test("treats null like an absent field", async () => {
    const nulls = {
      max_tokens: null,
      stop: null,
      seed: null,
      n: null,
      tools: null,
      stream: null,
      stream_options: null,
    };
    const { status, body } = await post("/v1/chat/completions", {
      ...chatRequest,
      ...nulls,
      top_p: null,
      logprobs: null,
    });
    expect([status, body.choices[0].message.content]).toEqual([200, CONTINUED]);
  });

  test.each([
    ["no JSON", "{", null],
    ["an array", [], null],
    ["no messages", { model: MODEL }, "messages"],
    ["empty messages", { model: MODEL, messages: [] }, "messages"],
    ["messages that are not objects", { model: MODEL, messages: ["hello"] }, "messages[0]"],
    ["an unknown role", { model: MODEL, messages: [{ role: "robot", content: "" }] }, "messages[0].role"],
    ["no content", { model: MODEL, messages: [{ role: "user" }] }, "messages[0].content"],
    ["a number for content", { model: MODEL, messages: [{ role: "user", content: 1 }] }, "messages[0].content"],
    [
      "a picture",
      { model: MODEL, messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
      "messages[0].content[0].type",
    ],
    [
      "a text part without text",
      { model: MODEL, messages: [{ role: "user", content: [{ type: "text" }] }] },
      "messages[0].content[0].text",
    ],
    ["a temperature above 2", { ...chatRequest, temperature: 2.1 }, "temperature"],
    ["a temperature that is a string", { ...chatRequest, temperature: "1" }, "temperature"],
    ["top_p of 0", { ...chatRequest, top_p: 0 }, "top_p"],
    ["a fractional top_k", { ...chatRequest, top_k: 0.5 }, "top_k"],
    ["no tokens", { ...chatRequest, max_tokens: 0 }, "max_tokens"],
    ["too many tokens", { ...chatRequest, max_completion_tokens: 8188 }, "max_completion_tokens"],
    ["a fractional seed", { ...chatRequest, seed: 0.5 }, "seed"],
    ["an empty stop sequence", { ...chatRequest, stop: ["a", ""] }, "stop"],
    ["stream that is not a boolean", { ...chatRequest, stream: "yes" }, "stream"],
    ["stream_options without stream", { ...chatRequest, stream_options: {} }, "stream_options"],
    ["stream_options that is a string", { ...chatRequest, stream: true, stream_options: "usage" }, "stream_options"],
    [
      "include_usage that is not a boolean",
      { ...chatRequest, stream: true, stream_options: { include_usage: 1 } },
      "include_usage",
    ],
    ["two replies with greedy sampling", { ...chatRequest, n: 2 }, "n"],
    ["nine answers", { ...chatRequest, temperature: 1, n: 9 }, "n"],
    ["logprobs", { ...chatRequest, logprobs: true }, "logprobs"],
    ["top_logprobs", { ...chatRequest, top_logprobs: 5 }, "top_logprobs"],
    ["tools that are not functions", { ...chatRequest, tools: [{}] }, "tools[0].type"],
    ["an unknown response format", { ...chatRequest, response_format: { type: "xml" } }, "response_format.type"],
    ["a grammar", { ...chatRequest, guided_grammar: "root ::= x" }, "guided_grammar"],
    [
      "a prompt that exceeds the context",
      { ...chatRequest, messages: [{ role: "user", content: "道".repeat(8192) }] },
      null,
    ],
  ])("refuses %s with 400", async (_, request, param) => {
    const { status, body } = await post("/v1/chat/completions", request);
    expect([status, body]).toEqual([
      400,
      { object: "error", message: expect.any(String), type: "BadRequestError", param, code: 400 },
    ]);
    if (param !== null) expect(body.message).toContain(param);
  });

  test("refuses completions without a prompt, or with several prompts", async () => {
    for (const prompt of [undefined, 1, [], ["a", "b"], [1, 2]]) {
      const { status, body } = await post("/v1/completions", { model: MODEL, prompt });
      expect([status, body.param]).toEqual([400, "prompt"]);
    }
    const one = await post("/v1/completions", { model: MODEL, prompt: ["道可道"], temperature: 0, max_tokens: 4 });
    expect(one.body.choices[0].text).toBe("，非常道");
  });

  test("responds with 404 to unknown models and paths, and 405 to other methods", async () => {
    for (const model of ["other", "", undefined, 7]) {
      const { status, body } = await post("/v1/completions", { model, prompt: "a" });
      const message = `The model \`${typeof model === "string" ? model : ""}\` does not exist.`;
      expect([status, body]).toEqual([
        404,
        { object: "error", message, type: "NotFoundError", param: "model", code: 404 },
      ]);
    }
    for (const path of ["/v2", "/v1/chat", "/v1/models/other", "/__proto__", "/constructor"]) {
      expect(await post(path, {})).toEqual({ status: 404, body: { detail: "Not Found" } });
    }
    const wrong = await send("/v1/chat/completions");
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await wrong.json()).toEqual({ detail: "Method Not Allowed" });
    expect((await post("/v1/models", {})).status).toBe(405);
    expect((await send("/v1/models", undefined, { method: "DELETE" })).status).toBe(405);
    expect((await send("/health")).status).toBe(200);
    expect((await send("/v1/models/")).status).toBe(200);
    expect((await send("/v1/models", undefined, { headers: {} })).status).toBe(401);
  });

  test.each(["application/octet-stream", "text/plain;charset=UTF-8", "application/jsonp", ""])(
    "refuses a body with the content type %j, like vLLM",
    async (type) => {
      const body = new TextEncoder().encode(JSON.stringify({ model: MODEL, prompt: "a" }));
      const { status, json } = await new Promise<{ status: number; json: string }>((resolve, reject) => {
        const { authorization, ...rest } = { authorization: emulator.token, ...(type && { "content-type": type }) };
        const url = `${emulator.endpoint}/api/predict/llm/v1/completions`;
        const asked = request(url, { method: "POST", headers: { authorization, ...rest } }, async (response) => {
          let json = "";
          for await (const chunk of response) json += chunk;
          resolve({ status: response.statusCode ?? 0, json });
        });
        asked.on("error", reject).end(body);
      });
      expect(status).toBe(415);
      expect(JSON.parse(json)).toEqual({ detail: "Unsupported Media Type: Only 'application/json' is allowed" });
    },
  );

  test("accepts a JSON content type with parameters, case-insensitively", async () => {
    const headers = { authorization: emulator.token, "content-type": "Application/JSON; charset=utf-8" };
    const response = await send("/v1/completions", { model: MODEL, prompt: "a", max_tokens: 1 }, { headers });
    expect(response.status).toBe(200);
  });
});

describe("EAS's legacy form", () => {
  const partsOf = async (response: Response) => {
    const parts = (await response.text()).split("\0");
    expect(parts.pop()).toBe("");
    return parts.map((part) => JSON.parse(part));
  };

  test.each([[true], ["True"]])(
    "streams JSON objects that end with NUL: use_stream_chat %o",
    async (use_stream_chat) => {
      const response = await send("", { prompt: "学而时习之", temperature: 0, use_stream_chat });
      const parts = await partsOf(response);
      expect(parts).toEqual([...CONTINUED].map((_, i) => ({ response: CONTINUED.slice(0, i + 1) })));
    },
  );

  test("responds with one JSON object without streaming, and with plain text to the oldest clients", async () => {
    const one = await post("/", { prompt: "学而时习之", temperature: 0, use_stream_chat: "False" });
    expect(one).toEqual({ status: 200, body: { response: CONTINUED } });
    const oldest = await send("", { input_ids: "学而时习之", temperature: 0 });
    expect(await oldest.text()).toBe(CONTINUED);
  });

  test("accepts the fields that clients send", async () => {
    const response = await send("", {
      prompt: "学而时习之",
      system_prompt: "You are a scholar.",
      history: [["你好", "你好！"]],
      use_stream_chat: true,
      max_new_tokens: 5,
      temperature: 0.001,
      top_k: 0,
      top_p: 0.1,
      stop_sequences: ["？"],
      stop: null,
    });
    expect((await partsOf(response)).at(-1)).toEqual({ response: "，不亦说乎" });
  });

  test("refuses invalid fields", async () => {
    for (const body of [{}, { prompt: 1 }, { prompt: "a", history: ["a"] }, { prompt: "a", system_prompt: 1 }, "["]) {
      expect((await post("", body)).status).toBe(400);
    }
    expect((await send("")).status).toBe(405);
  });
});

describe("streams", () => {
  test("send one chunk for each token", async () => {
    const { open } = inMemory();
    const chunks = await chunksOf(await open({ ...chatRequest, stream: true }));
    expect(chunks).toHaveLength(34);
    expect(chunks.every((chunk) => /^data: .*\n\n$/.test(chunk))).toBe(true);
    const older = await chunksOf(await open({ prompt: "学而时习之", temperature: 0, use_stream_chat: true }, {}, ""));
    expect(older).toHaveLength(31);
  });

  test("compute tokens only when they are read, and none after cancellation", async () => {
    const { open } = inMemory();
    const computed = vi.spyOn(NgramModel.prototype, "distribution");
    const turns = async () => {
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 0));
    };
    try {
      const response = await open({ ...long, stream: true });
      await turns();
      expect(computed).not.toHaveBeenCalled();
      const reader = response.body!.getReader();
      // The chunk with the role needs no token.
      for (let i = 0; i < 4; i++) await reader.read();
      await turns();
      expect(computed).toHaveBeenCalledTimes(3);
      await reader.cancel();
      await turns();
      expect(computed).toHaveBeenCalledTimes(3);
    } finally {
      computed.mockRestore();
    }
  });

  test("end at the caller's signal at every point, as do responses that are not streamed", async () => {
    const { core, open } = inMemory();
    for (const count of [0, 1, 2, 10]) {
      const caller = new AbortController();
      const reader = (await open({ ...long, stream: true }, { signal: caller.signal })).body!.getReader();
      for (let i = 0; i < count; i++) await reader.read();
      // With and without a read in progress.
      const waiting = count < 2 ? undefined : reader.read();
      caller.abort(new Error("gone"));
      if (waiting !== undefined) await expect(waiting).rejects.toThrow("gone");
      await expect(reader.read()).rejects.toThrow("gone");
    }
    const caller = new AbortController();
    const whole = open(long, { signal: caller.signal });
    await vi.waitFor(() => expect(core.requests).toHaveLength(5));
    caller.abort(new Error("gone"));
    await expect(whole).rejects.toThrow("gone");
    expect(core.requests[4]?.status).toBe(0);
  });

  test("receive the caller's abort even if the request is garbage-collected", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const { core, open } = inMemory();
    const caller = new AbortController();
    let signal: AbortSignal | undefined;
    core.addService("holds", (call) => {
      signal = call.signal;
      return "";
    });
    const request = () =>
      new Request("http://e/api/predict/holds", {
        method: "POST",
        headers: { authorization: "t" },
        signal: caller.signal,
      });
    await core.fetch(request());
    core.reset();
    const reader = (await open({ ...long, stream: true }, { signal: caller.signal })).body!.getReader();
    await reader.read();
    // Objects that become garbage only after a turn are collected in a later iteration.
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    caller.abort(new Error("gone"));
    expect(signal?.aborted).toBe(true);
    await expect(reader.read()).rejects.toThrow("gone");
  });

  test("are canceled when the caller disconnects from the server", async () => {
    const core = createEmulator({ token: "t" });
    const cancelled: unknown[] = [];
    const watched = async (request: Request) => {
      const { body, ...response } = await core.fetch(request);
      const reader = body!.getReader();
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      };
      const cancel = async (reason: unknown) => {
        await reader.cancel(reason);
        cancelled.push(await reader.read());
      };
      return new Response(new ReadableStream({ pull, cancel }, { highWaterMark: 0 }), response);
    };
    const server = await startEmulator({ emulator: { ...core, fetch: watched } });
    try {
      for (const path of ["/v1/chat/completions", ""]) {
        const caller = new AbortController();
        const response = await fetch(`${server.endpoint}/api/predict/llm${path}`, {
          method: "POST",
          body: JSON.stringify({ ...long, prompt: "道", use_stream_chat: true, max_new_tokens: 4000, stream: true }),
          headers: { authorization: "t", "content-type": "application/json" },
          signal: caller.signal,
        });
        const reader = response.body!.getReader();
        await reader.read();
        caller.abort();
        await expect(reader.read()).rejects.toThrow();
      }
      await vi.waitFor(() => expect(cancelled).toHaveLength(2));
      expect(cancelled).toEqual([{ done: true }, { done: true }]);
    } finally {
      await server.close();
    }
  });

  test("do not affect each other when they run concurrently", async () => {
    const prompts = ["学而时习之", "What is a queue?", "白日依山尽", "The lion", "什么是词元？"];
    const ask = async (content: string) => {
      const { body } = await post("/v1/chat/completions", {
        model: MODEL,
        messages: [{ role: "user", content }],
        temperature: 0,
      });
      return body.choices[0].message.content;
    };
    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await ask(prompt));
    expect(await Promise.all(prompts.map(ask))).toEqual(alone);
    expect(new Set(alone).size).toBe(prompts.length);
  });
});

describe("faults in a streamed body", () => {
  const endless = (onCancel: () => void = () => {}) => {
    let count = 0;
    return new ReadableStream<Uint8Array>(
      {
        pull: (controller) => controller.enqueue(new TextEncoder().encode(`${count++};`)),
        cancel: onCancel,
      },
      { highWaterMark: 0 },
    );
  };
  async function readAll(response: Response) {
    let text = "";
    try {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += new TextDecoder().decode(chunk);
      }
      return { text };
    } catch (error) {
      return { text, error };
    }
  }

  test.each([
    ["2 by default", undefined, "0;1;"],
    ["0", 0, ""],
    ["5", 5, "0;1;2;3;4;"],
  ])("reset the connection after chunks: %s", async (_, chunks, text) => {
    let isCancelled = false;
    emulator.addService("endless", () => new Response(endless(() => (isCancelled = true))));
    for (const name of ["over HTTP", "in memory"]) {
      isCancelled = false;
      emulator.fault({ reset: "in-body", ...(chunks === undefined ? {} : { chunks }) });
      const request = new Request(`${emulator.endpoint}/api/predict/endless`, {
        method: "POST",
        headers: { authorization: emulator.token },
      });
      // With 0 chunks, the connection may break before the client has read the headers.
      const response = await (name === "in memory" ? emulator.fetch(request) : fetch(request)).catch(() => undefined);
      const { text: read, error } = response === undefined ? { text: "", error: true } : await readAll(response);
      expect(error).toBeTruthy();
      // Data that was sent before a reset may be lost, as on any network.
      expect(text.startsWith(read)).toBe(true);
      if (name === "in memory") expect(read).toBe(text);
      await vi.waitFor(() => expect(isCancelled).toBe(true));
    }
  });

  test("stall after some chunks, and notice when the caller disconnects", async () => {
    let isCancelled = false;
    emulator.addService("endless", () => new Response(endless(() => (isCancelled = true))));
    emulator.fault({ stall: "in-body", chunks: 3 });
    const response = await fetch(`${emulator.endpoint}/api/predict/endless`, {
      method: "POST",
      headers: { authorization: emulator.token },
    });
    const reader = response.body!.getReader();
    let text = "";
    while (text.length < 6) text += new TextDecoder().decode((await reader.read()).value);
    expect(text).toBe("0;1;2;");
    const more = reader.read();
    expect(await Promise.race([more, new Promise((resolve) => setImmediate(resolve, "nothing"))])).toBe("nothing");
    await reader.cancel();
    await vi.waitFor(() => expect(isCancelled).toBe(true));
  });

  test("append a text to a streamed body, a shorter body, and a body with a length", async () => {
    let isCancelled = false;
    emulator.addService("endless", () => new Response(endless(() => (isCancelled = true))));
    const ask = async (service: string, body = "") => {
      const response = await fetch(`${emulator.endpoint}/api/predict/${service}`, {
        method: "POST",
        body,
        headers: { authorization: emulator.token },
      });
      return [response.status, await response.text()];
    };
    emulator.fault({ failure: "!", chunks: 1, times: 3 });
    expect(await ask("endless")).toEqual([200, "0;!"]);
    expect(isCancelled).toBe(true);
    emulator.addService("empty", () => new Response(null));
    expect(await ask("empty")).toEqual([200, "!"]);
    expect(await ask("echo", "12345678")).toEqual([200, "1234!"]);
    expect(await ask("echo", "12345678")).toEqual([200, "12345678"]);
  });

  test("throw for an invalid number of chunks", () => {
    for (const chunks of [-1, 0.5, Number.NaN, "2"]) {
      expect(() => emulator.fault({ reset: "in-body", chunks: chunks as number })).toThrow(
        expect.objectContaining({ name: "RangeError", code: "ERR_EAS_ARG_OPTION" }),
      );
    }
  });

  test("break the stream of the service llm after some tokens", async () => {
    const { core, open } = inMemory();
    core.fault({ reset: "in-body", chunks: 3 });
    const { text, error } = await readAll(await open({ ...long, stream: true }));
    expect(text.split("\n\n")).toHaveLength(4);
    expect(error).toMatchObject({ code: "ECONNRESET" });
    // A body with fewer chunks breaks at its end.
    core.fault({ reset: "in-body", chunks: 1000 });
    const late = await readAll(await open({ ...chatRequest, stream: true }));
    expect([late.text.endsWith("data: [DONE]\n\n"), late.error]).toEqual([true, expect.any(Error)]);
  });
});

test("StopText finds stop sequences however the text is split", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "道"), maxLength: 12 });
  const stop = fc.string({ unit: fc.constantFrom("a", "b", "道"), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 6 }), fc.array(stop, { maxLength: 3 }), (chunks, stops) => {
      const search = new StopText(stops);
      let out = "";
      for (const chunk of chunks) {
        out += search.push(chunk);
        if (search.found !== undefined) break;
      }
      if (search.found === undefined) out += search.rest();
      const read = chunks.map((_, i) => chunks.slice(0, i + 1).join(""));
      const whole = read.find((text) => stops.some((each) => text.includes(each)));
      const ends = stops.map((each) => whole?.indexOf(each) ?? -1).filter((at) => at !== -1);
      const end = Math.min(...ends);
      expect(out).toBe(whole === undefined ? chunks.join("") : whole.slice(0, end));
      if (whole === undefined) expect(search.found).toBeUndefined();
      else expect(stops.filter((each) => whole.startsWith(each, end))).toContain(search.found);
    }),
    { numRuns: 2000 },
  );
});
