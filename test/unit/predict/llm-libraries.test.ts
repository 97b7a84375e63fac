import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../src/emulator/index.js";
import { PredictClient, type PredictClientOptions } from "../../../src/index.js";
import { errorOf } from "../../support/calls.js";

const MODEL = "eas-ngram";
const QUESTION = [{ role: "user" as const, content: "学而时习之，" }];

let emulator: RunningEmulator;
let client: PredictClient;

beforeEach(async () => {
  emulator = await startEmulator();
  client = clientWith({});
});
afterEach(async () => {
  await client.close();
  await emulator.close();
});

function clientWith(options: PredictClientOptions): PredictClient {
  return new PredictClient({ endpoint: emulator.endpoint, serviceName: "llm", token: emulator.token, ...options });
}

/** Makes the next calls fail immediately, with a header that shortens the library's delay. */
const fail = (status: number, times: number) =>
  emulator.fault({
    status,
    times,
    headers: { "retry-after-ms": "1", "retry-after": "0" },
    body: '{"error":{"message":"busy"}}',
  });

const calls = () => emulator.requests.map(({ method, url }) => `${method} ${url}`);

describe("the npm package openai", () => {
  const openai = (options = {}) => new OpenAI({ ...client.openai(), ...options });

  test("lists models with the raw token", async () => {
    const { data } = await openai().models.list();
    expect(data.map(({ id }) => id)).toEqual([MODEL]);
    expect(calls()).toEqual(["GET /api/predict/llm/v1/models"]);
    expect(emulator.requests[0]?.auth).toBe("token");
    expect(emulator.requests[0]?.headers.get("authorization")).toBe(emulator.token);
  });

  test('sends Bearer if the auth of the client is "bearer"', async () => {
    const bearer = clientWith({ auth: "bearer" });
    await new OpenAI(bearer.openai()).models.list();
    expect(emulator.requests[0]?.headers.get("authorization")).toBe(`Bearer ${emulator.token}`);
    await bearer.close();
  });

  test("refuses an invalid auth immediately", () => {
    const client = clientWith({});
    expect(() => client.openai({ auth: "basic" as never })).toThrow(/^auth must be one of/);
    expect(() => client.anthropic({ auth: "basic" as never })).toThrow(/^auth must be one of/);
  });

  test("never contains the token", () => {
    const seen = new Set<unknown>();
    const walk = (value: unknown): void => {
      if (typeof value === "string") expect(value).not.toContain(emulator.token);
      if (typeof value !== "object" || value === null || seen.has(value)) return;
      seen.add(value);
      for (const each of Object.values(value)) walk(each);
    };
    walk(openai());
  });

  test("completes a chat with and without streaming", async () => {
    const asked = { model: MODEL, messages: QUESTION, max_tokens: 24, temperature: 0 };
    const whole = await openai().chat.completions.create(asked);
    const text = whole.choices[0]?.message.content ?? "";
    expect(text).toMatch(/\p{Script=Han}/u);
    expect(whole.usage?.completion_tokens).toBeGreaterThan(0);
    const pieces: string[] = [];
    const stream = await openai().chat.completions.create({ ...asked, stream: true });
    for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content ?? "");
    expect(pieces.join("")).toBe(text);
    expect(pieces.filter((piece) => piece !== "").length).toBeGreaterThan(5);
  });

  test("throws its own errors for refused requests", async () => {
    const unknown = openai().chat.completions.create({ model: "unknown", messages: QUESTION });
    expect(await errorOf(unknown)).toBeInstanceOf(OpenAI.NotFoundError);
    const wrong = new OpenAI(clientWith({ token: "wrong-token" }).openai());
    const error = await errorOf(wrong.models.list());
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error.message).not.toContain("wrong-token");
  });

  test("retries by itself, without additional retries of the client", async () => {
    fail(503, 2);
    await openai({ maxRetries: 2 }).models.list();
    expect(calls()).toHaveLength(3);
    fail(500, 10);
    expect(await errorOf(openai({ maxRetries: 1 }).models.list())).toBeInstanceOf(OpenAI.InternalServerError);
    expect(calls()).toHaveLength(5);
    fail(429, 1);
    expect(await errorOf(openai({ maxRetries: 0 }).models.list())).toBeInstanceOf(OpenAI.APIError);
    expect(calls()).toHaveLength(6);
  });

  test("reports a failed connection", async () => {
    emulator.fault({ reset: "before-headers", times: 10 });
    const error = await errorOf(openai({ maxRetries: 0 }).models.list());
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError);
    expect(calls()).toHaveLength(1);
    expect(JSON.stringify([error.message, `${error.cause}`])).not.toContain(emulator.token);
  });

  test("can be aborted before and during the response", async () => {
    emulator.fault({ stall: "before-headers" });
    const first = new AbortController();
    const asking = errorOf(openai().models.list({ signal: first.signal }));
    await vi.waitFor(() => expect(calls()).toHaveLength(1));
    first.abort();
    expect(await asking).toBeInstanceOf(OpenAI.APIUserAbortError);
    // A field of vLLM that makes the model generate up to max_tokens.
    const more = { ignore_eos: true, max_tokens: 4000 };
    const stream = await openai().chat.completions.create({ model: MODEL, messages: QUESTION, stream: true, ...more });
    let count = 0;
    for await (const chunk of stream) {
      expect(chunk.object).toBe("chat.completion.chunk");
      if (++count === 5) stream.controller.abort();
    }
    // At most the data that was already in transit.
    expect(count).toBeLessThan(1000);
    // Each request released its slot, so that the client still has free slots.
    for (let i = 0; i < 60; i++) await openai().models.list();
  });

  test("throws its own error for an error within a stream", async () => {
    emulator.fault({ failure: 'data: {"error":{"message":"out of memory","code":500}}\n\n', chunks: 3 });
    const stream = await openai().chat.completions.create({ model: MODEL, messages: QUESTION, stream: true });
    const reading = (async () => {
      for await (const _ of stream);
    })();
    expect(await errorOf(reading)).toBeInstanceOf(OpenAI.APIError);
  });
});

describe("the AI SDK", () => {
  const model = () => createOpenAICompatible({ name: "eas", ...client.openai() })(MODEL);

  test("generates text", async () => {
    const { text, usage } = await generateText({
      model: model(),
      prompt: "床前明月光，",
      temperature: 0,
      maxOutputTokens: 20,
    });
    expect(text).toMatch(/\p{Script=Han}/u);
    expect(usage.outputTokens).toBeGreaterThan(0);
    expect(calls()).toEqual(["POST /api/predict/llm/v1/chat/completions"]);
    expect(emulator.requests[0]?.headers.get("authorization")).toBe(emulator.token);
  });

  test("streams text", async () => {
    const asked = { model: model(), prompt: "床前明月光，", temperature: 0, maxOutputTokens: 20 };
    const { text } = await generateText(asked);
    const pieces: string[] = [];
    for await (const piece of streamText(asked).textStream) pieces.push(piece);
    expect(pieces.join("")).toBe(text);
    expect(pieces.length).toBeGreaterThan(5);
  });

  test("retries by itself, without additional retries of the client", async () => {
    fail(503, 1);
    await generateText({ model: model(), prompt: "x", maxRetries: 1, maxOutputTokens: 2 });
    expect(calls()).toHaveLength(2);
    fail(400, 1);
    expect(await errorOf(generateText({ model: model(), prompt: "x", maxRetries: 2 }))).toBeInstanceOf(APICallError);
    expect(calls()).toHaveLength(3);
  });

  test.each([
    [401, "no token", /^Unauthorized: the token is missing.*no token/],
    [404, "", /^Not Found: the service is not ready/],
    [503, "no healthy upstream", /^Service Unavailable: no instance is ready.*no healthy upstream/],
    [450, "queue", /^Queue Full: .*queue/],
  ])("shows the reason of a plain-text error with status %i", async (status, body, message) => {
    emulator.fault({ status, body, headers: { "content-type": "text/plain" } });
    const error = await errorOf(generateText({ model: model(), prompt: "x", maxRetries: 0 }));
    expect(error).toBeInstanceOf(APICallError);
    expect(error.message).toMatch(message);
    emulator.fault({ status, body, headers: { "content-type": "text/plain" } });
    const errors: unknown[] = [];
    const { fullStream } = streamText({ model: model(), prompt: "x", maxRetries: 0, onError: () => {} });
    for await (const part of fullStream) if (part.type === "error") errors.push(part.error);
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringMatching(message) })]);
  });

  test("can be aborted", async () => {
    const controller = new AbortController();
    const { fullStream } = streamText({
      model: model(),
      prompt: "Once upon a time",
      maxOutputTokens: 4000,
      abortSignal: controller.signal,
      providerOptions: { eas: { ignore_eos: true } },
    });
    const kinds: string[] = [];
    for await (const { type } of fullStream) {
      kinds.push(type);
      if (kinds.length === 8) controller.abort();
    }
    expect(kinds.at(-1)).toBe("abort");
  });
});

const JSON_TYPE = { "content-type": "application/json" };

describe("PredictClient.stream", () => {
  test("reads events, and the older form with NUL", async () => {
    const body = { model: MODEL, messages: QUESTION, stream: true, max_tokens: 24, temperature: 0 };
    const stream = await client.stream(JSON.stringify(body), { path: "/v1/chat/completions", headers: JSON_TYPE });
    let text = "";
    for await (const event of stream.events()) {
      text += event.json<OpenAI.ChatCompletionChunk>().choices[0]?.delta.content ?? "";
    }
    const whole = await new OpenAI(client.openai()).chat.completions.create({ ...body, stream: false });
    expect(text).toBe(whole.choices[0]?.message.content);

    const older = await client.stream(
      JSON.stringify({ prompt: "学而时习之，", use_stream_chat: true, temperature: 0 }),
    );
    const answers: string[] = [];
    for await (const { response } of older.json<{ response: string }>()) answers.push(response);
    expect(answers.length).toBeGreaterThan(3);
    for (const [i, answer] of answers.entries()) expect(answers[i + 1] ?? answer).toContain(answer);
  });

  test("rejects with EasStreamError and the received text for an error within a stream", async () => {
    emulator.fault({ failure: 'data: {"error":{"message":"out of memory","code":500}}\n\n', chunks: 3 });
    const body = { model: MODEL, messages: QUESTION, stream: true };
    const stream = await client.stream(JSON.stringify(body), { path: "/v1/chat/completions", headers: JSON_TYPE });
    const reading = (async () => {
      for await (const _ of stream.events());
    })();
    const error = await errorOf(reading);
    expect(error).toMatchObject({ code: "ERR_EAS_STREAM", status: 500 });
    expect((error as { received?: string }).received).toContain("chat.completion.chunk");
  });

  test("rejects with a typed error for a broken connection", async () => {
    emulator.fault({ reset: "in-body", chunks: 3 });
    const body = { model: MODEL, messages: QUESTION, stream: true };
    const stream = await client.stream(JSON.stringify(body), { path: "/v1/chat/completions", headers: JSON_TYPE });
    expect(await errorOf(stream.text())).toMatchObject({ code: "ERR_EAS_NETWORK", retryable: true });
  });
});
