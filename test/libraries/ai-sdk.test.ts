import {
  APICallError,
  embed,
  embedMany,
  generateObject,
  generateText,
  Output,
  RetryError,
  rerank,
  stepCountIs,
  streamObject,
  streamText,
  tool,
} from "ai";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { createEas, type EasProvider } from "../../src/ai/index.js";
import { type RunningEmulator, startEmulator } from "../../src/emulator/index.js";
import { PredictClient } from "../../src/index.js";
import { clientOf, errorOf, TOKEN } from "../support/calls.js";
import { refusedOrigin } from "../support/misbehaving-server.js";
import { type Exchange, startStreamServer } from "../support/stream-server.js";

// Runs with both majors of the AI SDK: see test/libraries/run.mjs.

const MODEL = "eas-ngram";
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

let emulator: RunningEmulator;
let client: PredictClient;
let eas: EasProvider;
beforeAll(async () => {
  emulator = await startEmulator();
  client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "llm", token: emulator.token });
  eas = createEas({ client });
});
afterEach(() => emulator.reset());
afterAll(async () => {
  await client.close();
  await emulator.close();
});

/** Creates a provider for a server of the test. */
async function easFor(answer: (exchange: Exchange) => unknown) {
  const server = await startStreamServer(answer);
  return { server, eas: createEas({ client: clientOf(server) }), sent: () => bodiesOf(server.exchanges) };
}

const bodiesOf = (exchanges: readonly Exchange[]) => exchanges.map(({ body }) => JSON.parse(`${body}`));

const asJson =
  (value: unknown, status = 200, headers = {}) =>
  ({ response }: Pick<Exchange, "response">) => {
    const body = typeof value === "string" ? value : JSON.stringify(value);
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
  };

const chunk = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 1, model: "qwen", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;

const asEvents =
  (...events: string[]) =>
  ({ response }: Pick<Exchange, "response">) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of events) response.write(event);
    response.end();
  };

/** Reads all parts of a stream of the SDK. */
async function partsOf(model: ReturnType<EasProvider>, more = {}) {
  const onError = vi.fn();
  const stream = streamText({ model, prompt: "hi", maxRetries: 0, onError, ...more });
  const parts: any[] = [];
  try {
    for await (const part of stream.fullStream) parts.push(part);
  } catch (error) {
    // The text of each part, and the texts that are incomplete.
    expect(error).toBe(errorIn(parts));
    expect(await errorOf(Promise.resolve(stream.text))).toBe(error);
  }
  expect(onError.mock.calls.map(([{ error }]) => error)).toEqual(parts.filter(isError).map(({ error }) => error));
  return parts;
}

const isError = ({ type }: { type: string }) => type === "error";

const errorIn = (parts: any[]) => parts.find(isError)?.error;

describe("chat", () => {
  const asked = { prompt: "学而时习之", temperature: 0, maxOutputTokens: 16 };

  test("completes a chat with and without streaming, with the usage", async () => {
    const whole = await generateText({ model: eas(MODEL), ...asked });
    expect(whole.text).toMatch(/\p{Script=Han}/u);
    expect(whole.usage.outputTokens).toBeGreaterThan(0);
    const stream = streamText({ model: eas.chat(MODEL), ...asked });
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    expect(text).toBe(whole.text);
    expect(await stream.usage).toMatchObject({
      inputTokens: whole.usage.inputTokens,
      outputTokens: whole.usage.outputTokens,
    });
    expect(emulator.requests.map(({ headers }) => headers.get("authorization"))).toEqual([
      emulator.token,
      emulator.token,
    ]);
  });

  test("the provider has all models of the SDK's provider and does not contain the token", () => {
    for (const model of [eas("m"), eas.languageModel("m"), eas.chatModel("m"), eas.completionModel("m")]) {
      expect(model.modelId).toBe("m");
      expect(model.provider).toMatch(/^eas\./);
    }
    expect(eas.embeddingModel("m").provider).toBe("eas.embedding");
    expect(eas.rerankingModel("m").specificationVersion).toBe(eas("m").specificationVersion);
    expect(JSON.stringify([eas("m"), eas.embeddingModel("m"), eas.rerankingModel("m")])).not.toContain(emulator.token);
  });

  test("a completion", async () => {
    const { text } = await generateText({ model: eas.completionModel(MODEL), ...asked });
    expect(text).toMatch(/\p{Script=Han}/u);
  });

  test("reasoning, with and without streaming", async () => {
    const providerOptions = { eas: { chat_template_kwargs: { enable_thinking: true } } };
    const question = { prompt: "What is a queue?", temperature: 0, maxOutputTokens: 60, providerOptions };
    const whole = await generateText({ model: eas(MODEL), ...question });
    expect(whole.reasoningText).toContain("What is a queue?");
    const stream = streamText({ model: eas(MODEL), ...question });
    expect(await stream.reasoningText).toBe(whole.reasoningText);
    expect(await stream.text).toBe(whole.text);
  });

  const tools = {
    add: tool({
      description: "Adds two numbers",
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      execute: ({ a, b }) => a + b,
    }),
  };

  test("tools, with and without streaming", async () => {
    const question = { prompt: "Add 2 and 3", tools, stopWhen: stepCountIs(5) };
    const whole = await generateText({ model: eas(MODEL), ...question });
    expect(whole.steps).toHaveLength(2);
    expect(whole.text).toBe("The result of the tool is: 5");
    const stream = streamText({ model: eas(MODEL), ...question });
    expect(await stream.text).toBe(whole.text);
    expect((await stream.steps)[0]?.toolCalls).toMatchObject([{ toolName: "add", input: { a: 2, b: 3 } }]);
  });

  test("structured output with a schema", async () => {
    const schema = z.object({ name: z.string(), servings: z.number().int().min(1).max(12) });
    const question = { prompt: 'A dessert, "Tiramisu", for 4' };
    const { object } = await generateObject({ model: eas(MODEL), schema, ...question });
    expect(object).toEqual({ name: "Tiramisu", servings: 4 });
    const { output } = await generateText({ model: eas(MODEL), output: Output.object({ schema }), ...question });
    expect(output).toEqual(object);
    const stream = streamObject({ model: eas(MODEL), schema, ...question });
    for await (const _ of stream.partialObjectStream);
    expect(await stream.object).toEqual(object);
  });

  test("sends fields of the engine and topK", async () => {
    const { eas, sent } = await easFor(
      asJson({ id: "1", choices: [{ message: { role: "assistant", content: "yes" }, finish_reason: "stop" }] }),
    );
    const { warnings } = await generateText({
      model: eas("qwen"),
      prompt: "hi",
      topK: 20,
      providerOptions: { eas: { min_p: 0.1, chat_template_kwargs: { enable_thinking: false } } },
    });
    expect(sent()).toMatchObject([
      { model: "qwen", top_k: 20, min_p: 0.1, chat_template_kwargs: { enable_thinking: false } },
    ]);
    expect(warnings).toEqual([]);
  });

  test("supports a client that is configured later", async () => {
    const later = new PredictClient();
    const model = createEas({ client: later, auth: "bearer" })(MODEL);
    const error = await errorOf(generateText({ model, prompt: "hi" }));
    expect(error).toMatchObject({ statusCode: 400, isRetryable: false });
    expect(error.message).toContain("serviceName");
    later.setEndpoint(emulator.endpoint).setServiceName("llm").setToken(emulator.token);
    expect((await generateText({ model, ...asked })).text).toMatch(/./);
    expect(emulator.requests[0]?.headers.get("authorization")).toBe(`Bearer ${emulator.token}`);
    await later.close();
  });
});

describe("embeddings and reranking", () => {
  const values = ["猫在垫子上", "The cat is on the mat", "Interest rates went up"];

  test("embeds one text and several texts", async () => {
    const { embeddings, usage } = await embedMany({ model: eas.embeddingModel(MODEL), values });
    expect(embeddings).toHaveLength(3);
    expect(usage.tokens).toBeGreaterThan(0);
    const { embedding } = await embed({ model: eas.textEmbeddingModel(MODEL), value: values[1] as string });
    expect(embedding).toEqual(embeddings[1]);
  });

  test("rerank returns the best document first", async () => {
    const documents = ["a queue", "the cat on the mat", "rates"];
    const { ranking, rerankedDocuments } = await rerank({
      model: eas.rerankingModel(MODEL),
      query: "cat mat",
      documents,
      topN: 2,
    });
    expect(rerankedDocuments[0]).toBe(documents[1]);
    expect(ranking).toHaveLength(2);
    expect(ranking[0]).toMatchObject({ originalIndex: 1, document: documents[1] });
  });

  test("rerank sends objects as JSON, fields of the engine and headers, and sorts", async () => {
    const results = [
      { index: 0, relevance_score: 0.1 },
      { index: 1, relevance_score: 0.9 },
    ];
    const { eas, server, sent } = await easFor(asJson({ id: "rerank-1", model: "bge", results }));
    const documents = [{ text: "a" }, { text: "b" }];
    const { ranking, response } = await rerank({
      model: eas.rerankingModel("bge"),
      query: "q",
      documents,
      headers: { "x-own": "1" },
      providerOptions: { eas: { truncate_prompt_tokens: 5 } },
    });
    expect(ranking.map(({ originalIndex, score }) => [originalIndex, score])).toEqual([
      [1, 0.9],
      [0, 0.1],
    ]);
    expect(response).toMatchObject({ id: "rerank-1", modelId: "bge" });
    expect(sent()).toEqual([
      { model: "bge", query: "q", documents: ['{"text":"a"}', '{"text":"b"}'], truncate_prompt_tokens: 5 },
    ]);
    expect(server.exchanges[0]?.request.headers).toMatchObject({ "x-own": "1", authorization: TOKEN });
  });

  test.each([
    ["no list", '{"data": []}'],
    ["a list of others", '{"results": [{"index": "0"}]}'],
    ["a list of null", '{"results": [null]}'],
    ["not JSON", "<html>"],
  ])("rerank rejects a response with %s", async (_, body) => {
    const { eas } = await easFor(asJson(body));
    const error = await errorOf(rerank({ model: eas.rerankingModel("m"), query: "q", documents: ["a"] }));
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ statusCode: 200, isRetryable: false, responseBody: body });
    expect(error.message).toContain("relevance_score");
  });
});

/** Each kind of call, by name. */
const CALLS: Record<string, (eas: EasProvider, more?: object) => Promise<unknown>> = {
  generateText: (eas, more) => generateText({ model: eas("m"), prompt: "x", maxRetries: 0, ...more }),
  embedMany: (eas, more) => embedMany({ model: eas.embeddingModel("m"), values: ["x"], maxRetries: 0, ...more }),
  rerank: (eas, more) =>
    rerank({ model: eas.rerankingModel("m"), query: "q", documents: ["x"], maxRetries: 0, ...more }),
};

describe.each(Object.entries(CALLS))("errors of %s", (_name, call) => {
  test.each([
    [
      400,
      false,
      { object: "error", message: "max_tokens is too large", code: 400 },
      /^max_tokens is too large \(EAS: /,
    ],
    [401, false, "no token", /^Unauthorized: the token is missing.*no token$/],
    [404, false, { detail: "Not Found" }, /^Not Found \(EAS: the service /],
    [408, false, "", /^Request Timeout: .*keepalive/],
    [429, true, { error: { message: "busy" } }, /^busy \(EAS: /],
    [450, true, "queue full", /^Queue Full: /],
    [500, true, { error: { message: "CUDA" } }, /^CUDA \(EAS: /],
    [503, true, "no healthy upstream", /^Service Unavailable: no instance is ready/],
    [504, false, "", /^Gateway Timeout: /],
  ])("%i: isRetryable %s", async (status, isRetryable, body, message) => {
    const { eas } = await easFor(asJson(body, status, { "x-own": "1" }));
    const error = await errorOf(call(eas));
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ statusCode: status, isRetryable, responseHeaders: { "x-own": "1" } });
    expect(error.message).toMatch(message);
    expect(JSON.stringify(error)).not.toContain(TOKEN);
  });

  test("the SDK retries only retryable errors", async () => {
    const { eas, server } = await easFor(asJson("full", 450, { "retry-after-ms": "1" }));
    const error = await errorOf(call(eas, { maxRetries: 1 }));
    expect(RetryError.isInstance(error)).toBe(true);
    expect(server.exchanges).toHaveLength(2);
    const final = await easFor(asJson("bad", 400));
    expect(APICallError.isInstance(await errorOf(call(final.eas, { maxRetries: 1 })))).toBe(true);
    expect(final.server.exchanges).toHaveLength(1);
  });

  test("a service that does not exist", async () => {
    const nowhere = new PredictClient({ endpoint: await refusedOrigin(), serviceName: "svc", token: TOKEN });
    const error = await errorOf(call(createEas({ client: nowhere })));
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ isRetryable: true, cause: { code: "ERR_EAS_NETWORK" } });
    expect(error.message).toContain("127.0.0.1");
    await nowhere.close();
  });

  test("a response that is cut off", async () => {
    const { eas } = await easFor(({ response }) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": 100 });
      response.write('{"id": "1", ', () => response.destroy());
    });
    const error = await errorOf(call(eas));
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ cause: { code: "ERR_EAS_NETWORK" } });
    expect(error.message).toBe((error.cause as Error).message);
  });

  test("an abort", async () => {
    const { eas, server } = await easFor(() => {});
    const controller = new AbortController();
    const failed = errorOf(call(eas, { abortSignal: controller.signal }));
    await vi.waitFor(() => expect(server.exchanges).toHaveLength(1));
    controller.abort();
    expect((await failed).name).toBe("AbortError");
    await server.exchanges[0]?.closed;
  });
});

describe("streams that fail", () => {
  const begun = [chunk({ role: "assistant", content: "hel" }), chunk({ content: "lo" })];

  test.each<[string, (exchange: Exchange) => unknown]>([
    ["end without a reason and [DONE]", asEvents(...begun)],
    ["end with the line of the LLM gateway", asEvents(...begun, "Bad Request\n")],
    ["end in an event", asEvents(...begun, 'data: {"choices":[{"del')],
    [
      "are reset",
      ({ response }) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(begun.join(""), () => response.destroy());
      },
    ],
  ])("are errors if they %s", async (_, answer) => {
    const { eas } = await easFor(answer);
    const parts = await partsOf(eas("m"));
    // The SDK's own pipes drop buffered parts when the body fails.
    const texts = parts.filter(({ type }) => type === "text-delta").map(({ text }) => text);
    expect("hello".startsWith(texts.join(""))).toBe(true);
    const error = errorIn(parts);
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error.cause.code).toMatch(/^ERR_EAS_(STREAM|NETWORK)$/);
    expect(error.message).toBe(error.cause.message);
    expect(parts.at(-1)).toMatchObject({ type: "error" });
  });

  test("a complete stream ends without an error", async () => {
    for (const events of [
      [...begun, chunk({}, "stop"), "data: [DONE]\n\n"],
      [...begun, chunk({}, "length"), "data: [DONE]"],
    ]) {
      const { eas } = await easFor(asEvents(...events));
      const parts = await partsOf(eas("m"));
      expect(errorIn(parts)).toBeUndefined();
      expect(parts.at(-1)).toMatchObject({ type: "finish" });
    }
  });

  test("an error event is an Error with the message of the service", async () => {
    const event = 'data: {"error":{"message":"out of memory","type":"InternalServerError","code":500}}\n\n';
    const { eas } = await easFor(asEvents(...begun, event, "data: [DONE]\n\n"));
    const error = errorIn(await partsOf(eas("m")));
    expect(error).toBeInstanceOf(Error);
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ message: "out of memory", statusCode: 500, isRetryable: false });
  });

  test("a web page receives the error", async () => {
    const { eas } = await easFor(asEvents(...begun));
    const stream = streamText({ model: eas("m"), prompt: "hi", onError: () => {} });
    const chunks: string[] = [];
    const reading = (async () => {
      for await (const piece of stream.toUIMessageStreamResponse().body as any) chunks.push(`${piece}`);
    })();
    await errorOf(reading);
    expect(Buffer.from(chunks.join(",").split(",").map(Number)).toString()).toContain('"type":"error"');
  });

  test("an error before the stream is a part", async () => {
    const { eas } = await easFor(asJson("no healthy upstream", 503));
    const error = errorIn(await partsOf(eas("m")));
    expect(error).toMatchObject({ statusCode: 503, isRetryable: true });
    expect(error.message).toMatch(/^Service Unavailable: no instance is ready/);
  });

  test("an abort ends the request", async () => {
    const { eas, server } = await easFor(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const event of begun) response.write(event);
    });
    const controller = new AbortController();
    const { fullStream } = streamText({ model: eas("m"), prompt: "hi", abortSignal: controller.signal });
    const types: string[] = [];
    for await (const { type } of fullStream) {
      types.push(type);
      if (type === "text-delta") controller.abort();
    }
    expect(types.at(-1)).toBe("abort");
    await server.exchanges[0]?.closed;
  });
});

describe("createEas refuses", () => {
  test.each<[string, object, RegExp]>([
    ["no client", {}, /client/],
    ["a client that is none", { client: "http://x" }, /client/],
    ["options that it does not have", { client: new PredictClient(), token: "x" }, /token/],
  ])("%s", (_, options, message) => {
    expect(() => createEas(options as never)).toThrow(message);
  });
});
