import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createEmulator, type Emulator, type LlmServiceOptions, llmService } from "../../../../src/emulator/index.js";

/** A request whose reply has 31 tokens of one character each. */
const chat = { model: "eas-ngram", messages: [{ role: "user", content: "学而时习之" }], temperature: 0 };

function emulatorWith(options?: LlmServiceOptions): Emulator {
  return createEmulator({ token: "t", services: { llm: llmService(options) } });
}

function open(core: Emulator, body: object, path = "/v1/chat/completions", signal?: AbortSignal): Promise<Response> {
  return core.fetch(
    new Request(`http://e/api/predict/llm${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { authorization: "t", "content-type": "application/json" },
      ...(signal && { signal }),
    }),
  );
}

/** The real function, saved before timers are faked. */
const { setImmediate } = globalThis;

/** Resolves when the given number of fake timers is active. Unlike `vi.waitFor`, it does not advance them. */
async function timersOf(count: number): Promise<void> {
  while (vi.getTimerCount() !== count) await new Promise((resolve) => setImmediate(resolve));
}

describe("tokensPerSecond", () => {
  beforeAll(async () => {
    // The model is trained before timers are faked.
    await open(emulatorWith(), chat);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Whether a promise has settled once all due tasks have run. */
  async function isSettled(promise: Promise<unknown>): Promise<boolean> {
    let settled = false;
    promise.then(
      () => (settled = true),
      () => (settled = true),
    );
    await vi.advanceTimersByTimeAsync(0);
    return settled;
  }

  test.each([
    ["all timers", undefined],
    ["setTimeout alone", ["setTimeout", "clearTimeout"]],
  ] as const)("delays each token of a stream: %s", async (_, toFake) => {
    // 100 s for each token: on a slow machine, some real time passes too.
    const core = emulatorWith({ tokensPerSecond: 0.01 });
    vi.useFakeTimers(toFake && { toFake: [...toFake] });
    const reader = (await open(core, { ...chat, max_tokens: 3, stream: true })).body!.getReader();
    // The chunk with the role needs no token.
    await reader.read();
    for (let token = 0; token < 3; token++) {
      const reading = reader.read();
      await timersOf(1);
      await vi.advanceTimersByTimeAsync(50_000);
      expect(await isSettled(reading)).toBe(false);
      await vi.advanceTimersByTimeAsync(50_001);
      const { value } = await reading;
      expect(new TextDecoder().decode(value)).toContain(`"content":"${"，不亦"[token]}"`);
    }
    await reader.cancel();
  });

  test("sends tokens immediately that were due while the reader was slow", async () => {
    const core = emulatorWith({ tokensPerSecond: 10 });
    vi.useFakeTimers();
    const reader = (await open(core, { ...chat, stream: true })).body!.getReader();
    await reader.read();
    const first = reader.read();
    await timersOf(1);
    await vi.advanceTimersByTimeAsync(1000);
    await first;
    for (let token = 1; token < 10; token++) expect(await isSettled(reader.read())).toBe(true);
    expect(await isSettled(reader.read())).toBe(false);
    await reader.cancel();
  });

  test.each([
    ["/v1/chat/completions", chat],
    ["/v1/messages", chat],
    ["/v1/completions", { model: "eas-ngram", prompt: "道可道" }],
    ["", { prompt: "道可道", max_new_tokens: 4 }],
  ])("delays a response of %s by the time of its tokens", async (path, request) => {
    const core = emulatorWith({ tokensPerSecond: 2 });
    vi.useFakeTimers();
    const answering = open(core, { ...request, max_tokens: 4 }, path);
    await timersOf(1);
    await vi.advanceTimersByTimeAsync(1990);
    expect(await isSettled(answering)).toBe(false);
    // The end of the reply is a step of its own.
    await vi.advanceTimersByTimeAsync(510);
    expect((await answering).status).toBe(200);
  });

  test("stops the reply and its timer when the caller disconnects", async () => {
    const core = emulatorWith({ tokensPerSecond: 0.001 });
    vi.useFakeTimers();
    const caller = new AbortController();
    const whole = open(core, chat, "/v1/chat/completions", caller.signal);
    const reader = (
      await open(core, { ...chat, stream: true }, "/v1/chat/completions", caller.signal)
    ).body!.getReader();
    await reader.read();
    const streamed = reader.read();
    await timersOf(2);
    caller.abort(new Error("gone"));
    await expect(whole).rejects.toThrow("gone");
    await expect(streamed).rejects.toThrow("gone");
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("models", () => {
  const core = emulatorWith({ models: ["qwen3-8b", "qwen3-8b-reasoning"] });

  test("are listed, and checked by name", async () => {
    const list = await core.fetch(
      new Request("http://e/api/predict/llm/v1/models", { headers: { authorization: "t" } }),
    );
    const { data } = (await list.json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(["qwen3-8b", "qwen3-8b-reasoning"]);
    const answer = (await (await open(core, { ...chat, model: "qwen3-8b" })).json()) as { model: string };
    expect(answer.model).toBe("qwen3-8b");
    expect((await open(core, chat)).status).toBe(404);
  });

  test("reason by default if their name ends with -reasoning", async () => {
    const reasoningOf = async (request: object) => {
      const { choices } = (await (await open(core, { ...chat, ...request })).json()) as any;
      return choices[0].message.reasoning_content;
    };
    expect(await reasoningOf({ model: "qwen3-8b" })).toBeNull();
    expect(await reasoningOf({ model: "qwen3-8b-reasoning" })).toContain("学而时习之");
    const off = { chat_template_kwargs: { enable_thinking: false } };
    expect(await reasoningOf({ model: "qwen3-8b-reasoning", ...off })).toBeNull();
  });
});

test("stops computing embeddings when the caller disconnects", async () => {
  const core = emulatorWith();
  const caller = new AbortController();
  const body = { model: "eas-ngram", input: Array.from({ length: 2048 }, () => "What is a queue?") };
  const answering = open(core, body, "/v1/embeddings", caller.signal);
  await vi.waitFor(() => expect(core.requests).toHaveLength(1));
  caller.abort(new Error("gone"));
  await expect(answering).rejects.toThrow("gone");
});

test("responds with nested errors, and 400 for a wrong content type, with errors: nested", async () => {
  const core = emulatorWith({ errors: "nested" });
  const unknown = await open(core, { ...chat, model: "other" });
  const message = "The model `other` does not exist.";
  expect([unknown.status, await unknown.json()]).toEqual([
    404,
    { error: { message, type: "NotFoundError", param: "model", code: 404 } },
  ]);
  const text = await core.fetch(
    new Request("http://e/api/predict/llm/v1/completions", {
      method: "POST",
      body: JSON.stringify({ model: "eas-ngram", prompt: "a" }),
      headers: { authorization: "t" },
    }),
  );
  expect([text.status, await text.json()]).toEqual([
    400,
    {
      error: {
        message: `["Unsupported Media Type: Only 'application/json' is allowed"]`,
        type: "Bad Request",
        param: null,
        code: 400,
      },
    },
  ]);
});

test.each([
  [{ tokensPerSecond: 0 }, "tokensPerSecond is 0: it must be a positive number"],
  [{ tokensPerSecond: Number.POSITIVE_INFINITY }, "tokensPerSecond is Infinity"],
  [{ tokensPerSecond: "20" }, 'tokensPerSecond is "20"'],
  [{ models: [] }, "models is an array: it must be a list of one or more names"],
  [{ models: "qwen" }, 'models is "qwen"'],
  [{ models: [""] }, "models is an array"],
  [{ errors: "old" }, 'errors is "old": it must be "flat" or "nested"'],
  [{ batchDelay: -1 }, "batchDelay is -1: it must be milliseconds from 0 to 2147483647"],
  [{ batchDelay: 2 ** 31 }, "batchDelay is 2147483648"],
  [{ tokenPerSecond: 1 }, 'llmService: unknown option "tokenPerSecond"; did you mean tokensPerSecond?'],
])("throws for the options %j", (options, message) => {
  expect(() => llmService(options as never)).toThrow(message);
  expect(() => llmService(options as never)).toThrow(expect.objectContaining({ code: "ERR_EAS_ARG_OPTION" }));
});
