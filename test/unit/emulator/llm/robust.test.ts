import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createEmulator } from "../../../../src/emulator/index.js";

const core = createEmulator({ token: "t" });

async function post(path: string, body: string): Promise<{ status: number; type: string | null; text: string }> {
  const request = new Request(`http://e/api/predict/llm${path}`, {
    method: "POST",
    body,
    headers: { authorization: "Bearer t", "content-type": "application/json" },
  });
  const response = await core.fetch(request);
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

const model = "eas-ngram";
const schema = {
  type: "object",
  properties: {
    city: { type: "string", enum: ["Oslo", "Rome"] },
    days: { type: "integer", minimum: 1, maximum: 9, multipleOf: 2 },
    list: { type: "array", items: { $ref: "#/$defs/a" }, minItems: 2, maxItems: 3 },
    either: { anyOf: [{ type: "null" }, { type: "string", minLength: 1, maxLength: 5, format: "date" }] },
  },
  required: ["city"],
  $defs: { a: { allOf: [{ type: "number" }, { exclusiveMinimum: 0, exclusiveMaximum: 1 }] } },
};
const tools = [{ type: "function", function: { name: "weather", description: "The weather", parameters: schema } }];
const messages = [
  { role: "user", content: "The weather in Rome" },
  { role: "assistant", tool_calls: [{ id: "1", type: "function", function: { name: "weather", arguments: "{}" } }] },
  { role: "tool", tool_call_id: "1", content: [{ type: "text", text: "sunny" }] },
  { role: "user", content: "And the weather tomorrow?" },
];

/** Requests that succeed with status 200. */
const REQUESTS: Readonly<Record<string, object>> = {
  "/v1/chat/completions": {
    model,
    messages,
    tools,
    tool_choice: "auto",
    parallel_tool_calls: true,
    response_format: { type: "json_schema", json_schema: { name: "a", schema } },
    chat_template_kwargs: { enable_thinking: true },
    stream: true,
    stream_options: { include_usage: true },
    stop: ["a"],
    temperature: 1,
    n: 2,
    max_tokens: 50,
  },
  "/v1/completions": { model, prompt: ["What is a queue?"], max_tokens: 5, temperature: 1, top_p: 0.5, top_k: 3 },
  "/v1/messages": {
    model,
    max_tokens: 50,
    system: [{ type: "text", text: "a" }],
    messages: [
      { role: "user", content: "The weather" },
      { role: "assistant", content: [{ type: "tool_use", id: "1", name: "weather", input: {} }] },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "1", content: [{ type: "text", text: "b" }] }] },
    ],
    tools: [{ name: "weather", description: "c", input_schema: schema }],
    tool_choice: { type: "any" },
    thinking: { type: "enabled", budget_tokens: 1024 },
    stop_sequences: ["x"],
    stream: true,
  },
  "/v1/messages/count_tokens": { model, messages: [{ role: "user", content: "a" }] },
  "/v1/embeddings": { model, input: ["a", "b"], encoding_format: "base64", dimensions: 3 },
  "/v1/rerank": { model, query: "a", documents: ["a", { text: "b" }], top_n: 1, return_documents: false },
  "": { prompt: "a", history: [["b", "c"]], max_new_tokens: 5, use_stream_chat: "True", system_prompt: "d" },
};
const PATHS = Object.keys(REQUESTS);

/** Yields the path of every value inside a JSON value. */
function placesOf(value: unknown, place: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [place];
  return [place, ...Object.entries(value).flatMap(([name, inner]) => placesOf(inner, [...place, name]))];
}

/** Returns a copy with another value at a path. */
function changed(value: any, [name, ...rest]: readonly string[], to: unknown): unknown {
  if (name === undefined) return to;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  copy[name] = changed(value[name], rest, to);
  return copy;
}

describe("a request to", () => {
  test.each(PATHS)("%j succeeds unchanged", async (path) => {
    expect(await post(path, JSON.stringify(REQUESTS[path]))).toMatchObject({ status: 200 });
  });

  test.each(PATHS)("%j succeeds or gets an error of the interface with any value at any path", async (path) => {
    const request = REQUESTS[path] as object;
    const odd = fc.constantFrom<unknown>(undefined, null, true, -1, 0.5, 1e300, "", "a", [], {}, [[]], [{}], {
      type: "a",
      // `String` of it throws.
      toString: false,
    });
    const change = fc.tuple(fc.constantFrom(...placesOf(request)), fc.oneof(odd, fc.jsonValue({ maxDepth: 3 })));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        let body: unknown = request;
        for (const [place, to] of changes) {
          try {
            body = changed(body, place, to);
          } catch {
            // An earlier change has removed the path.
          }
        }
        const { status, type, text } = await post(path, JSON.stringify(body) ?? "");
        if (status === 200) return;
        expect([400, 404]).toContain(status);
        expect(type).toBe("application/json");
        const error = JSON.parse(text);
        expect(error.message ?? error.error.message).toEqual(expect.stringMatching(/./));
      }),
      { numRuns: 200 },
    );
  });
});

describe("refuses a schema with", () => {
  const nested = (depth: number, wrap: (inner: object) => object) => {
    let inner: object = { type: "string" };
    for (let i = 0; i < depth; i++) inner = wrap(inner);
    return inner;
  };
  const doubling = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => {
      const next = { $ref: `#/$defs/d${i + 1}` };
      return [`d${i}`, { type: "object", properties: { a: next, b: next }, required: ["a", "b"] }];
    }),
  );
  test.each([
    ["deep arrays", nested(1000, (inner) => ({ type: "array", minItems: 1, items: inner }))],
    ["deep alternatives", nested(1000, (inner) => ({ anyOf: [inner] }))],
    ["deep conjunctions", nested(1000, (inner) => ({ allOf: [inner] }))],
    ["wide arrays", nested(5, (inner) => ({ type: "array", minItems: 100, items: inner }))],
    ["endless lists", { type: "array", minItems: 1e15 }],
    ["long texts", { type: "string", minLength: 1e9 }],
    ["required recursion", { type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }],
    ["exponential references", { $ref: "#/$defs/d0", $defs: { ...doubling, d40: { type: "string" } } }],
    ["a malformed percent-encoding in $ref", { $ref: "#/%" }],
    ["an unknown type", { type: 7 }],
    ["an inherited name as a type", { type: "constructor" }],
    ["properties that is a number", { type: "object", properties: 4 }],
    ["items that is a number", { type: "array", items: 4 }],
  ])("%s", async (_, guided_json) => {
    const request = { model, messages: [{ role: "user", content: "a" }], guided_json };
    const { status, type, text } = await post("/v1/chat/completions", JSON.stringify(request));
    expect([status, type, text]).toEqual([400, "application/json", expect.stringContaining("the JSON schema")]);
  });
});
