import fc from "fast-check";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningEmulator, startEmulator } from "../../../../src/emulator/index.js";

let emulator: RunningEmulator;
let openai: OpenAI;
beforeAll(async () => {
  emulator = await startEmulator();
  openai = new OpenAI({
    baseURL: `${emulator.endpoint}/api/predict/llm/v1`,
    apiKey: emulator.token,
    maxRetries: 0,
  });
});
afterAll(() => emulator.close());

const MODEL = "eas-ngram";
const post = async (path: string, body: object) => {
  const response = await fetch(`${emulator.endpoint}/api/predict/llm${path}`, {
    method: "POST",
    body: JSON.stringify({ model: MODEL, ...body }),
    headers: { authorization: emulator.token, "content-type": "application/json" },
  });
  return { status: response.status, body: (await response.json()) as any };
};
const embed = async (input: string | string[], more: object = {}) => {
  const { data } = await openai.embeddings.create({ model: MODEL, input, ...more });
  return data.map(({ embedding }) => embedding);
};
const product = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);

/** A text, a similar text, and a text about something else. */
const TRIPLES = [
  [
    "How does a queue keep requests?",
    "A queue keeps the requests until they are answered",
    "A lion was caught by hunters",
  ],
  ["The cat sat on the mat", "Cats sitting on a mat", "The stock exchange opened on a high"],
  ["weather forecast for Hangzhou", "Will it rain in Hangzhou? The forecast", "recipe for a chocolate cake"],
  ["杭州明天的天气", "明天杭州天气怎么样", "学而时习之，不亦说乎"],
  ["How do I deploy a model?", "Deployment of models", "How do I bake a cake?"],
] as const;

describe("embeddings", () => {
  test("returns unit vectors in order, with the usage, to the package openai, which requests base64", async () => {
    const input = ["hello world", "床前明月光", ""];
    const response = await openai.embeddings.create({ model: MODEL, input });
    expect(response).toMatchObject({ object: "list", model: MODEL, usage: { prompt_tokens: 7, total_tokens: 7 } });
    expect(response.data.map(({ index, object }) => [index, object])).toEqual(input.map((_, i) => [i, "embedding"]));
    for (const { embedding } of response.data) {
      expect(embedding).toHaveLength(512);
      expect(product(embedding, embedding)).toBeCloseTo(1, 5);
    }
    const floats = await post("/v1/embeddings", { input });
    expect(floats.body.data.map(({ embedding }: any) => embedding)).toEqual(
      response.data.map((each) => each.embedding),
    );
  });

  test("accepts a text, and lists of texts and token ids", async () => {
    const [one] = await embed("a queue");
    expect(await embed(["a queue", "a lion"])).toEqual([one, (await embed("a lion"))[0]]);
    const ids = await post("/v1/embeddings", { input: [1, 2, 3] });
    expect(ids.body).toMatchObject({ data: [{ index: 0 }], usage: { prompt_tokens: 3 } });
    const lists = await post("/v1/embeddings", { input: [[1, 2, 3], [4]] });
    expect(lists.body.data[0].embedding).toEqual(ids.body.data[0].embedding);
    expect(lists.body.data[1].embedding).not.toEqual(ids.body.data[0].embedding);
  });

  test.each(TRIPLES)("places %j closer to %j than to %j", async (...texts) => {
    for (const dimensions of [512, 256]) {
      const [text = [], similar = [], other = []] = await embed([...texts], { dimensions });
      expect(text).toHaveLength(dimensions);
      expect(product(text, similar)).toBeGreaterThan(product(text, other) + 0.1);
    }
  });

  test("returns the first dimensions, normalized, if fewer are requested", async () => {
    const [all = []] = await embed("a queue");
    const [few = []] = await embed("a queue", { dimensions: 8 });
    const length = Math.sqrt(product(all.slice(0, 8), all.slice(0, 8)));
    expect(few).toHaveLength(8);
    for (const [i, value] of few.entries()) expect(value).toBeCloseTo((all[i] ?? 0) / length, 5);
  });

  test("returns a unit vector for any text that depends only on the text", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 512 }), async (input, dimensions) => {
        const { status, body } = await post("/v1/embeddings", { input, dimensions });
        expect(status).toBe(200);
        const [{ embedding }] = body.data;
        expect(embedding).toHaveLength(dimensions);
        expect(product(embedding, embedding)).toBeCloseTo(1, 4);
        expect((await post("/v1/embeddings", { input, dimensions })).body.data).toEqual(body.data);
      }),
      { numRuns: 50 },
    );
  });

  test.each([
    ["no input", {}, "input"],
    ["an empty list", { input: [] }, "input"],
    ["a number", { input: 1 }, "input"],
    ["a list with an object", { input: ["a", {}] }, "input[1]"],
    ["a fractional id", { input: [1.5] }, "input"],
    ["a mix of texts and ids", { input: [1, "a"] }, "input"],
    ["an empty list of ids", { input: [[]] }, "input[0]"],
    ["too many texts", { input: Array.from({ length: 2049 }, () => "a") }, "input"],
    ["a text that exceeds the context", { input: "道".repeat(8193) }, "input"],
    ["no dimensions", { input: "a", dimensions: 0 }, "dimensions"],
    ["too many dimensions", { input: "a", dimensions: 513 }, "dimensions"],
    ["an unknown encoding", { input: "a", encoding_format: "hex" }, "encoding_format"],
  ])("refuses %s", async (_, request, param) => {
    const { status, body } = await post("/v1/embeddings", request);
    expect([status, body]).toEqual([
      400,
      { object: "error", message: expect.stringContaining(param), type: "BadRequestError", param, code: 400 },
    ]);
  });

  test("refuses an unknown model", async () => {
    expect((await post("/v1/embeddings", { model: "bge-m3", input: "a" })).status).toBe(404);
  });
});

describe("rerank", () => {
  const documents = TRIPLES.map(([, similar]) => similar);

  test.each(["/rerank", "/v1/rerank", "/v2/rerank"])("%s returns the document about the query first", async (path) => {
    for (const [index, [query, similar]] of TRIPLES.entries()) {
      const { status, body } = await post(path, { query, documents });
      expect(status).toBe(200);
      expect(body.results[0]).toMatchObject({ index, document: { text: similar } });
      const scores = body.results.map(({ relevance_score }: any) => relevance_score);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
      for (const score of scores) expect(score).toSatisfy((value: number) => value >= 0 && value <= 1);
      expect(body.results.map((result: any) => result.index).sort()).toEqual([0, 1, 2, 3, 4]);
      expect(body.usage.total_tokens).toBeGreaterThan(0);
    }
  });

  test("scores the same text with 1, an unrelated text with 0, and keeps the order of equal scores", async () => {
    const request = { query: "queue", documents: ["道", "xyz", "queue"] };
    const { body } = await post("/v1/rerank", request);
    expect(body.results.map(({ index }: any) => index)).toEqual([2, 0, 1]);
    const [first, second, third] = body.results.map(({ relevance_score }: any) => relevance_score);
    expect(first).toBeCloseTo(1, 10);
    expect([second, third]).toEqual([0, 0]);
  });

  test("supports top_n, documents as objects, and results without documents", async () => {
    const { body } = await post("/v1/rerank", {
      query: "mat",
      documents: documents.map((text) => ({ text })),
      top_n: 1,
      return_documents: false,
    });
    expect(body.results).toEqual([{ index: 1, relevance_score: expect.any(Number) }]);
    expect((await post("/v1/rerank", { query: "mat", documents, top_n: 99 })).body.results).toHaveLength(5);
  });

  test.each([
    ["no query", { documents }, "query"],
    ["no documents", { query: "a" }, "documents"],
    ["an empty list", { query: "a", documents: [] }, "documents"],
    ["a document that is a number", { query: "a", documents: ["a", 1] }, "documents[1]"],
    ["a fractional top_n", { query: "a", documents, top_n: 0.5 }, "top_n"],
    ["too many documents", { query: "a", documents: Array.from({ length: 2049 }, () => "a") }, "documents"],
  ])("refuses %s", async (_, request, param) => {
    const { status, body } = await post("/v1/rerank", request);
    expect([status, body.param]).toEqual([400, param]);
    expect(body.message).toContain(param);
  });
});
