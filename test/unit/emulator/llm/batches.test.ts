import fc from "fast-check";
import OpenAI, { toFile } from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  createEmulator,
  type Emulator,
  type LlmServiceOptions,
  llmService,
  type RunningEmulator,
  startEmulator,
} from "../../../../src/emulator/index.js";
import { FileStore } from "../../../../src/emulator/services/llm/batches/files.js";

let emulator: RunningEmulator;
let count = 0;
beforeAll(async () => {
  emulator = await startEmulator();
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(() => emulator.close());

const MODEL = "eas-ngram";
const CHAT = "/v1/chat/completions";
const ENDED = ["completed", "failed", "cancelled"];

/** Creates a client of a new service, which has no files yet. */
function fresh(options?: LlmServiceOptions): OpenAI {
  const name = `llm${++count}`;
  emulator.addService(name, llmService(options));
  return clientOf(`${emulator.endpoint}/api/predict/${name}/v1`, emulator);
}

function clientOf(baseURL: string, core: Emulator, withFetch = false): OpenAI {
  const fetch = (url: RequestInfo | URL, init?: RequestInit) => core.fetch(new Request(url, init));
  return new OpenAI({ baseURL, apiKey: core.token, maxRetries: 0, ...(withFetch && { fetch: fetch as never }) });
}

const line = (custom_id: string, body: object, url = CHAT) => JSON.stringify({ custom_id, method: "POST", url, body });
const chat = (content: string, more: object = {}) => ({
  model: MODEL,
  messages: [{ role: "user", content }],
  temperature: 0,
  ...more,
});
const upload = (openai: OpenAI, text: string, name = "input.jsonl") =>
  toFile(new TextEncoder().encode(text), name).then((file) => openai.files.create({ file, purpose: "batch" }));
const create = async (openai: OpenAI, text: string, endpoint = CHAT) => {
  const { id } = await upload(openai, text);
  return openai.batches.create({ input_file_id: id, endpoint: endpoint as never, completion_window: "24h" });
};
const ended = async (openai: OpenAI, id: string) => {
  for (;;) {
    const batch = await openai.batches.retrieve(id);
    if (ENDED.includes(batch.status)) return batch;
  }
};
const linesOf = async (openai: OpenAI, id: string | null | undefined) => {
  const text = await (await openai.files.content(id as string)).text();
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((each) => JSON.parse(each));
};

describe("files", () => {
  test("can be uploaded, described, read, listed and deleted", async () => {
    const openai = fresh();
    const text = `${line("1", chat("你好"))}\n`;
    const file = await upload(openai, text);
    expect(file).toEqual({
      bytes: new TextEncoder().encode(text).length,
      created_at: expect.any(Number),
      filename: "input.jsonl",
      id: expect.stringMatching(/^batch_input_[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/),
      object: "file",
      purpose: "batch",
    });
    expect(await openai.files.retrieve(file.id)).toEqual(file);
    expect(await (await openai.files.content(file.id)).text()).toBe(text);
    const { data } = await openai.files.list();
    expect(data).toEqual([file]);
    expect(await openai.files.delete(file.id)).toEqual({ id: file.id, object: "file", deleted: true });
    expect((await openai.files.list()).data).toEqual([]);
    await expect(openai.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
    await expect(openai.files.content(file.id)).rejects.toMatchObject({ status: 404 });
    await expect(openai.files.delete(file.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  test("keep bytes and names of every kind unchanged", async () => {
    const openai = fresh();
    const name = fc.string({ unit: fc.constantFrom("a", "文", " ", ";", "=", ".", "é"), minLength: 1, maxLength: 8 });
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom("--", "\r\n--x--\r\n", "\n\n").map((text) => new TextEncoder().encode(text)),
    );
    await fc.assert(
      fc.asyncProperty(content, name, async (bytes, filename) => {
        const file = await openai.files.create({ file: await toFile(bytes, filename), purpose: "batch" });
        expect([file.bytes, file.filename]).toEqual([bytes.length, filename]);
        const read = await (await openai.files.content(file.id)).arrayBuffer();
        expect(new Uint8Array(read)).toEqual(bytes);
        await openai.files.delete(file.id);
      }),
      { numRuns: 50 },
    );
  });

  test("are listed in pages that the package openai follows", async () => {
    const openai = fresh();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await upload(openai, `${i}`)).id);
    const read = async (query: object) => {
      const found: string[] = [];
      for await (const { id } of openai.files.list(query)) found.push(id);
      return found;
    };
    expect(await read({})).toEqual([...ids].reverse());
    expect(await read({ limit: 2 })).toEqual([...ids].reverse());
    expect(await read({ limit: 2, order: "asc" })).toEqual(ids);
    expect(await read({ order: "asc", after: ids[2] })).toEqual(ids.slice(3));
    expect(await read({ purpose: "batch_output" })).toEqual([]);
    const page = await openai.files.list({ limit: 4 });
    expect([page.data.length, page.has_more]).toEqual([4, true]);
    for (const query of [{ limit: 0 }, { limit: 1.5 }, { order: "up" }, { after: "batch_input_x" }]) {
      await expect(openai.files.list(query as never)).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    }
  });

  test("are separate for each service", async () => {
    const { id } = await upload(fresh(), "x");
    await expect(fresh().files.retrieve(id)).rejects.toMatchObject({ status: 404 });
  });

  test("are refused with another purpose, without a form, or without a file in the form", async () => {
    const openai = fresh();
    const file = await toFile(new TextEncoder().encode("x"), "x");
    await expect(openai.files.create({ file, purpose: "assistants" })).rejects.toThrow(/purpose is "assistants"/);
    const post = async (body: BodyInit, headers: Record<string, string> = {}) => {
      const response = await fetch(`${emulator.endpoint}/api/predict/llm/v1/files`, {
        method: "POST",
        body,
        headers: { authorization: `Bearer ${emulator.token}`, ...headers },
      });
      return [response.status, ((await response.json()) as any).error.message];
    };
    const form = new FormData();
    form.set("purpose", "batch");
    expect(await post(form)).toEqual([400, "file is missing: the form must have a file"]);
    form.set("file", "text");
    expect((await post(form))[1]).toContain("file is missing");
    for (const type of ["application/json", "multipart/form-data", "multipart/form-data; boundary=x"]) {
      expect(await post("{}", { "content-type": type })).toEqual([400, expect.stringContaining(type)]);
    }
  });

  test("are refused when the store is full", () => {
    const store = new FileStore();
    const megabytes = (count: number) => ({ length: count * 1024 ** 2 }) as Uint8Array;
    const add = (content: Uint8Array) => store.add("batch_input", content, "x", "batch");
    expect(() => add(megabytes(201))).toThrow(/has 210763776 bytes: the maximum is 209715200/);
    const first = add(megabytes(200));
    add(megabytes(200));
    expect(() => add(megabytes(113))).toThrow(/the store is full/);
    store.delete(first.id);
    add(megabytes(113));
    for (let i = 2; i < 1000; i++) add(megabytes(0));
    expect(() => add(megabytes(0))).toThrow(expect.objectContaining({ status: 413 }));
  });
});

describe("the token", () => {
  test.each([
    ["GET", "/v1/files"],
    ["POST", "/v1/files"],
    ["GET", "/v1/files/x"],
    ["DELETE", "/v1/files/x"],
    ["GET", "/v1/files/x/content"],
    ["GET", "/v1/batches"],
    ["POST", "/v1/batches"],
    ["GET", "/v1/batches/x"],
    ["POST", "/v1/batches/x/cancel"],
  ])("%s %s accepts it only as Bearer", async (method, path) => {
    const ask = (authorization: string) =>
      fetch(`${emulator.endpoint}/api/predict/llm${path}`, { method, headers: { authorization } });
    const raw = await ask(emulator.token);
    expect([raw.status, await raw.json()]).toEqual([
      401,
      {
        error: {
          message: "the token must be sent as Authorization: Bearer <token>",
          type: "invalid_request_error",
          param: null,
          code: 401,
        },
      },
    ]);
    expect((await ask(`Bearer ${emulator.token}`)).status).not.toBe(401);
    expect((await ask("Bearer other")).status).toBe(401);
  });

  test("responds with 404 and 405 to other paths and methods", async () => {
    const ask = async (method: string, path: string) => {
      const headers = { authorization: `Bearer ${emulator.token}` };
      const response = await fetch(`${emulator.endpoint}/api/predict/llm${path}`, { method, headers });
      return [response.status, response.headers.get("allow")];
    };
    expect(await ask("DELETE", "/v1/files")).toEqual([405, "GET, POST"]);
    expect(await ask("POST", "/v1/files/x")).toEqual([405, "GET, DELETE"]);
    expect(await ask("DELETE", "/v1/batches/x")).toEqual([405, "GET"]);
    expect(await ask("GET", "/v1/files/x/other")).toEqual([404, null]);
    expect(await ask("GET", "/v1/files/*")).toEqual([404, null]);
  });
});

describe("batches", () => {
  test("respond to each line like the endpoint, in the order of the lines", async () => {
    const openai = fresh();
    const prompts = ["学而时习之", "What is a queue?", "白日依山尽"];
    const batch = await create(openai, prompts.map((prompt, i) => line(`r${i}`, chat(prompt))).join("\n"));
    expect(batch).toMatchObject({
      id: expect.stringMatching(/^batch_[\da-f-]{36}$/),
      object: "batch",
      endpoint: CHAT,
      status: "validating",
      completion_window: "24h",
      output_file_id: null,
      errors: null,
    });
    const done = await ended(openai, batch.id);
    expect(done).toMatchObject({ status: "completed", request_counts: { total: 3, completed: 3, failed: 0 } });
    expect(done.error_file_id).toBeNull();
    expect(done.completed_at).toBeGreaterThanOrEqual(done.created_at);
    const lines = await linesOf(openai, done.output_file_id);
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(["r0", "r1", "r2"]);
    for (const [i, { response, error }] of lines.entries()) {
      expect([response.status_code, error]).toEqual([200, null]);
      const whole = await openai.chat.completions.create(chat(prompts[i] as string) as never);
      expect(response.body.choices).toEqual((whole as any).choices);
      expect(response.body.usage).toEqual((whole as any).usage);
    }
    const outputs = (await openai.files.list({ purpose: "batch_output" })).data;
    expect(outputs).toMatchObject([{ id: done.output_file_id, purpose: "batch_output" }]);
  });

  test.each([
    ["/v1/embeddings", { model: MODEL, input: "a" }],
    ["/v1/completions", { model: MODEL, prompt: "a" }],
    ["/v1/rerank", { model: MODEL, query: "a", documents: ["a"] }],
  ])("support %s", async (endpoint, body) => {
    const openai = fresh();
    const done = await ended(openai, (await create(openai, line("1", body, endpoint), endpoint)).id);
    const [answered] = await linesOf(openai, done.output_file_id);
    expect(answered).toMatchObject({ custom_id: "1", response: { status_code: 200, body: { model: MODEL } } });
  });

  test("write failed requests to the error file", async () => {
    const openai = fresh();
    const input = [
      line("good", chat("你好")),
      line("model", chat("你好", { model: "other" })),
      line("stream", chat("你好", { stream: true })),
    ];
    const done = await ended(openai, (await create(openai, input.join("\n"))).id);
    expect(done).toMatchObject({ status: "completed", request_counts: { total: 3, completed: 1, failed: 2 } });
    expect(await linesOf(openai, done.output_file_id)).toMatchObject([{ custom_id: "good" }]);
    expect(await linesOf(openai, done.error_file_id)).toMatchObject([
      { custom_id: "model", response: { status_code: 404, body: { message: "The model `other` does not exist." } } },
      { custom_id: "stream", response: { status_code: 400 } },
    ]);
  });

  test("fail with the invalid lines of the input file", async () => {
    const openai = fresh();
    const input = [
      "{",
      "",
      "[]",
      JSON.stringify({ method: "POST", url: CHAT, body: {} }),
      line("a", {}),
      line("a", {}),
      JSON.stringify({ custom_id: "b", method: "GET", url: CHAT, body: {} }),
      line("c", {}, "/v1/embeddings"),
      JSON.stringify({ custom_id: "d", method: "POST", url: CHAT }),
    ];
    const done = await ended(openai, (await create(openai, input.join("\n"))).id);
    expect(done).toMatchObject({ status: "failed", output_file_id: null, failed_at: expect.any(Number) });
    expect(done.errors?.data?.map(({ code, line, param }) => [code, line, param])).toEqual([
      ["invalid_json_line", 1, null],
      ["invalid_json_line", 3, null],
      ["missing_required_parameter", 4, "custom_id"],
      ["duplicate_custom_id", 6, "custom_id"],
      ["invalid_method", 7, "method"],
      ["invalid_url", 8, "url"],
      ["missing_required_parameter", 9, "body"],
    ]);
    const empty = await ended(openai, (await create(openai, "\n")).id);
    expect(empty.errors?.data).toMatchObject([{ code: "empty_file" }]);
    const many = Array.from({ length: 50_001 }, (_, i) => line(`${i}`, {})).join("\n");
    const full = await ended(openai, (await create(openai, many)).id);
    expect(full.errors?.data).toMatchObject([{ code: "too_many_tasks" }]);
  });

  test("pass through all states", async () => {
    const core = createEmulator({ services: { llm: llmService({ batchDelay: 1000, tokensPerSecond: 1 }) } });
    const openai = clientOf("http://e/api/predict/llm/v1", core, true);
    // Load and train the model first.
    await openai.embeddings.create({ model: MODEL, input: "a" });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const { id } = await create(openai, line("1", chat("学而时习之", { max_tokens: 2 })));
    const states: string[] = [];
    for (let i = 0; i < 100; i++) {
      const { status } = await openai.batches.retrieve(id);
      if (states.at(-1) !== status) states.push(status);
      await vi.advanceTimersByTimeAsync(250);
    }
    expect(states).toEqual(["validating", "pending", "in_progress", "finalize", "completed"]);
  });

  test("keep the responses so far when they are canceled", async () => {
    const openai = fresh({ tokensPerSecond: 100 });
    const input = [line("short", chat("你好", { max_tokens: 1 })), line("long", chat("道", { ignore_eos: true }))];
    const { id } = await create(openai, input.join("\n"));
    for (;;) if ((await openai.batches.retrieve(id)).request_counts?.completed === 1) break;
    const cancelling = await openai.batches.cancel(id);
    expect(cancelling).toMatchObject({ status: "cancelling", cancelling_at: expect.any(Number) });
    const done = await ended(openai, id);
    expect(done).toMatchObject({ status: "cancelled", request_counts: { total: 2, completed: 1, failed: 0 } });
    expect(await linesOf(openai, done.output_file_id)).toMatchObject([{ custom_id: "short" }]);
    await expect(openai.batches.cancel(id)).rejects.toBeInstanceOf(OpenAI.ConflictError);
  });

  test.each([
    ["state", { batchDelay: 2_000_000 }, 2_000_000],
    ["token", { tokensPerSecond: 0.001 }, 900_000],
  ])("do not keep a process alive while they wait for a %s", async (_, options, least) => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    try {
      const openai = fresh(options);
      const { id } = await create(openai, line("1", chat("你好")));
      // Other timers, such as those of the package openai, are shorter.
      const waits = () => timers.mock.results.filter((_, i) => (timers.mock.calls[i]?.[1] ?? 0) >= least);
      await vi.waitFor(() => expect(waits()).toHaveLength(1));
      expect(waits()[0]?.value.hasRef()).toBe(false);
      await openai.batches.cancel(id);
    } finally {
      timers.mockRestore();
    }
  });

  test("can be canceled before they start", async () => {
    const openai = fresh({ batchDelay: 2 ** 31 - 1 });
    const { id } = await create(openai, line("1", chat("你好")));
    await openai.batches.cancel(id);
    expect(await ended(openai, id)).toMatchObject({ status: "cancelled", output_file_id: null });
  });

  test("are listed in pages, newest first", async () => {
    const openai = fresh();
    const { id: input_file_id } = await upload(openai, line("1", chat("你好")));
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const metadata = { i: String(i) };
      const request = { input_file_id, endpoint: CHAT, completion_window: "24h", metadata } as const;
      ids.push((await openai.batches.create(request)).id);
    }
    const listed: OpenAI.Batch[] = [];
    for await (const batch of openai.batches.list({ limit: 2 })) listed.push(batch);
    expect(listed.map(({ id }) => id)).toEqual([...ids].reverse());
    expect(listed[0]?.metadata).toEqual({ i: "4" });
    for (const id of ids) await ended(openai, id);
  });

  test.each([
    ["an unknown file", { input_file_id: "batch_input_x" }, 404],
    ["no file", { input_file_id: undefined }, 400],
    ["an unknown endpoint", { endpoint: "/v1/moderations" }, 400],
    ["another window", { completion_window: "1h" }, 400],
    ["metadata that is a string", { metadata: "a" }, 400],
  ])("are refused with %s", async (_, body, status) => {
    const openai = fresh();
    const { id } = await upload(openai, line("1", chat("你好")));
    const request = { input_file_id: id, endpoint: CHAT, completion_window: "24h", ...body };
    const creating = openai.batches.create(request as never);
    await expect(creating).rejects.toMatchObject({ status, type: "invalid_request_error" });
  });

  test("are not found by an unknown id", async () => {
    await expect(fresh().batches.retrieve("batch_x")).rejects.toThrow("No batch found with id 'batch_x'.");
    await expect(fresh().batches.cancel("batch_x")).rejects.toMatchObject({ status: 404 });
  });
});
