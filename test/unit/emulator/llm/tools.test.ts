import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, tool } from "ai";
import fc from "fast-check";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type RunningEmulator, startEmulator } from "../../../../src/emulator/index.js";
import { createValue } from "../../../../src/emulator/services/llm/json-value.js";
import { PromptValues } from "../../../../src/emulator/services/llm/prompt-values.js";

let emulator: RunningEmulator;
let openai: OpenAI;
beforeAll(async () => {
  emulator = await startEmulator();
  const baseURL = `${emulator.endpoint}/api/predict/llm/v1`;
  openai = new OpenAI({ baseURL, apiKey: emulator.token, maxRetries: 0 });
});
afterAll(() => emulator.close());

const model = "eas-ngram";
const user = (content: string) => ({ role: "user" as const, content });
const functionTool = (name: string, description: string, properties: object, required: string[] = []) => ({
  type: "function" as const,
  function: { name, description, parameters: { type: "object", properties, required } },
});
const WEATHER = functionTool("get_weather", "查询城市的天气 The weather in a city", { city: { type: "string" } }, [
  "city",
]);
const ADD = functionTool("addNumbers", "Sum of two numbers", { a: { type: "number" }, b: { type: "number" } }, [
  "a",
  "b",
]);
const TIME = functionTool("local_time", "Current time of day", {});
const tools = [WEATHER, ADD, TIME];

const post = async (body: object) => {
  const response = await fetch(`${emulator.endpoint}/api/predict/llm/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model, messages: [user("hello")], ...body }),
    headers: { authorization: emulator.token, "content-type": "application/json" },
  });
  return { status: response.status, body: (await response.json()) as any };
};
const chat = async (content: string, more: object = {}) => {
  const { choices } = await openai.chat.completions.create({ model, messages: [user(content)], tools, ...more });
  const [choice] = choices;
  const calls = (choice?.message.tool_calls ?? []).map((call) => {
    if (call.type !== "function") throw new Error("not a function");
    return [call.function.name, JSON.parse(call.function.arguments)];
  });
  return { calls, finish: choice?.finish_reason, content: choice?.message.content };
};

describe("the choice of functions", () => {
  test.each([
    ['What is the weather in "San Francisco"?', [["get_weather", { city: "San Francisco" }]]],
    ["What is the weather in Paris, please?", [["get_weather", { city: "Paris" }]]],
    ["杭州的天气怎么样？", [["get_weather", { city: "杭州的天气怎么样？" }]]],
    ["Add 3.5 and -4", [["addNumbers", { a: 3.5, b: -4 }]]],
    ["What is the sum of the numbers 1, 2 and 3?", [["addNumbers", { a: 1, b: 2 }]]],
    ["Call addNumbers", [["addNumbers", { a: 0, b: 0 }]]],
    ["What time is it?", [["local_time", {}]]],
    ["学而时习之", []],
    ["What is a queue?", []],
    [
      "The weather in Oslo and the time, please",
      [
        ["get_weather", { city: "Oslo" }],
        ["local_time", {}],
      ],
    ],
  ])("calls the matching functions for %j", async (prompt, calls) => {
    const response = await chat(prompt);
    expect(response.calls).toEqual(calls);
    expect(response.finish).toBe(calls.length > 0 ? "tool_calls" : "stop");
    if (calls.length > 0) expect(response.content).toBeNull();
    else expect(response.content).toMatch(/./);
  });

  test("follows tool_choice and parallel_tool_calls", async () => {
    const both = "The weather in Oslo and the time";
    expect((await chat(both, { tool_choice: "none" })).calls).toEqual([]);
    expect((await chat(both, { parallel_tool_calls: false })).calls).toEqual([["get_weather", { city: "Oslo" }]]);
    const named = { type: "function", function: { name: "addNumbers" } };
    expect((await chat(both, { tool_choice: named })).calls).toEqual([["addNumbers", { a: 0, b: 0 }]]);
    expect((await chat("学而时习之", { tool_choice: "required" })).calls).toHaveLength(1);
    expect((await chat("What time is it?", { tool_choice: "required" })).calls).toEqual([["local_time", {}]]);
  });

  test("quotes results of functions, and calls another function only if required", async () => {
    const messages = [
      user("Add 1 and 2 and tell me the time"),
      {
        role: "assistant" as const,
        tool_calls: [
          { id: "1", type: "function" as const, function: { name: "addNumbers", arguments: '{"a":1,"b":2}' } },
          { id: "2", type: "function" as const, function: { name: "local_time", arguments: "{}" } },
        ],
      },
      { role: "tool" as const, tool_call_id: "1", content: '{"sum":3}' },
      { role: "tool" as const, tool_call_id: "2", content: [{ type: "text" as const, text: "noon" }] },
    ];
    const { choices } = await openai.chat.completions.create({ model, messages, tools });
    expect(choices[0]?.finish_reason).toBe("stop");
    expect(choices[0]?.message).toMatchObject({
      content: 'The result of the tool is: {"sum":3}\nnoon',
      tool_calls: [],
    });
    const again = await openai.chat.completions.create({ model, messages, tools, tool_choice: "required" });
    expect(again.choices[0]?.finish_reason).toBe("tool_calls");
  });

  test("streams the id and the name first, then the arguments token by token", async () => {
    const prompt = 'The weather in "San Francisco" and the time';
    const stream = await openai.chat.completions.create({
      model,
      messages: [user(prompt)],
      tools,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const calls = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    expect(calls[0]).toEqual({
      index: 0,
      id: expect.stringMatching(/^chatcmpl-tool-[\da-f]{32}$/),
      type: "function",
      function: { name: "get_weather", arguments: "" },
    });
    const texts = [0, 1].map((index) => calls.filter((call) => call.index === index).slice(1));
    expect(texts.map((pieces) => pieces.map((each) => each.function?.arguments).join(""))).toEqual([
      '{"city":"San Francisco"}',
      "{}",
    ]);
    expect(texts[0]?.length).toBeGreaterThan(5);
    for (const piece of texts.flat()) expect(Object.keys(piece)).toEqual(["index", "function"]);
    expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: "tool_calls" });
    const pieces = calls.length - 2;
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: pieces } });
    const final = await openai.chat.completions
      .stream({ model, messages: [user(prompt)], tools })
      .finalChatCompletion();
    expect(final.choices[0]?.message.tool_calls).toHaveLength(2);
  });

  test("truncates arguments at max_tokens", async () => {
    const { body } = await post({ messages: [user("The weather in Oslo")], tools, max_tokens: 3 });
    expect(body.choices[0]).toMatchObject({ finish_reason: "length", message: { content: null } });
    expect(body.choices[0].message.tool_calls[0].function.arguments).toBe('{"city');
  });

  test.each([
    ["tools that is a string", { tools: "weather" }, "tools"],
    ["a tool without a function", { tools: [{ type: "function" }] }, "tools[0].function"],
    ["a tool without a name", { tools: [{ type: "function", function: {} }] }, "tools[0].function.name"],
    [
      "parameters that is a list",
      { tools: [{ type: "function", function: { name: "a", parameters: [] } }] },
      "tools[0].function.parameters",
    ],
    ["a tool_choice without tools", { tool_choice: "auto" }, "tool_choice"],
    ["an unknown tool_choice", { tools, tool_choice: "any" }, "tool_choice"],
    [
      "a tool_choice of another tool",
      { tools, tool_choice: { type: "function", function: { name: "x" } } },
      "tool_choice",
    ],
    ["parallel_tool_calls that is not a boolean", { tools, parallel_tool_calls: "yes" }, "parallel_tool_calls"],
    ["tool_calls that is not a list", { messages: [{ role: "assistant", tool_calls: 1 }] }, "messages[0].tool_calls"],
  ])("refuses %s", async (_, request, param) => {
    const { status, body } = await post(request);
    expect([status, body.param]).toEqual([400, param]);
  });
});

describe("JSON output", () => {
  const schema = {
    type: "object",
    properties: {
      name: { type: "string" },
      age: { type: "integer" },
      tags: { type: "array", items: { type: "string" } },
    },
    required: ["name", "age", "tags"],
    additionalProperties: false,
  };
  const contentOf = async (body: object) => {
    const response = await post({ messages: [user('"Ada" is 36, with the tags "math" and "code"')], ...body });
    expect(response.status).toBe(200);
    return response.body.choices[0].message.content;
  };

  test.each([
    [
      "response_format",
      { response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } } },
    ],
    ["guided_json", { guided_json: schema }],
    ["guided_json as JSON text", { guided_json: JSON.stringify(schema) }],
    ["structured_outputs", { structured_outputs: { json: schema } }],
  ])("follows %s", async (_, body) => {
    expect(JSON.parse(await contentOf(body))).toEqual({ name: "Ada", age: 36, tags: ["math", "code"] });
  });

  test("supports any JSON object, and one of several choices", async () => {
    expect(JSON.parse(await contentOf({ response_format: { type: "json_object" } }))).toEqual({ answer: "Ada" });
    expect(await contentOf({ guided_choice: ["history", "Math"] })).toBe("Math");
    expect(await contentOf({ structured_outputs: { choice: ["x", "y"] } })).toBe("x");
    expect(await contentOf({ response_format: { type: "text" }, temperature: 0 })).not.toMatch(/^\{/);
  });

  test("streams the same text token by token", async () => {
    const runner = openai.chat.completions.stream({
      model,
      messages: [user('"Ada" is 36')],
      response_format: { type: "json_schema", json_schema: { name: "person", schema } },
    });
    expect(JSON.parse((await runner.finalContent()) ?? "")).toEqual({ name: "Ada", age: 36, tags: ['"Ada" is 36'] });
  });

  test.each([
    ["a format that is a string", { response_format: "json_object" }, "response_format"],
    ["no schema", { response_format: { type: "json_schema" } }, "response_format.json_schema"],
    ["a schema that is a list", { guided_json: [] }, "guided_json"],
    ["a schema that is not JSON", { guided_json: "{" }, "guided_json"],
    ["choices that is a string", { guided_choice: "a" }, "guided_choice"],
    ["a regular expression", { guided_regex: "a" }, "guided_regex"],
    ["a reference without a target", { guided_json: { $ref: "#/$defs/a" } }, null],
    ["a reference to itself", { guided_json: { $ref: "#" } }, null],
    ["an unsatisfiable number", { guided_json: { type: "integer", minimum: 3, maximum: 2 } }, null],
  ])("refuses %s", async (_, request, param) => {
    const { status, body } = await post(request);
    expect([status, body.type, body.param]).toEqual([400, "BadRequestError", param]);
  });
});

describe("reasoning, usage and several replies", () => {
  const asked = { model, messages: [user("What is a queue?")], temperature: 0, max_tokens: 60 };
  const thinking = { chat_template_kwargs: { enable_thinking: true } };

  test("sends reasoning_content, streamed or not", async () => {
    const whole = await post({ ...asked, ...thinking });
    const { reasoning_content, content } = whole.body.choices[0].message;
    expect(reasoning_content).toContain("What is a queue?");
    const plain = await post(asked);
    expect(plain.body.choices[0].message.reasoning_content).toBeNull();
    expect(plain.body.choices[0].message.content.startsWith(content)).toBe(true);
    const deltas: any[] = [];
    const request = { ...asked, ...thinking, stream: true };
    for await (const { choices } of (await openai.chat.completions.create(request as never)) as any) {
      deltas.push(choices[0].delta);
    }
    expect(deltas.map((delta) => delta.reasoning_content ?? "").join("")).toBe(reasoning_content);
    expect(deltas.map((delta) => delta.content ?? "").join("")).toBe(content);
    const first = deltas.findIndex(({ content: text }) => text);
    expect(deltas.slice(first).every((delta) => delta.reasoning_content === undefined)).toBe(true);
    const without = await post({ ...asked, ...thinking, include_reasoning: false });
    expect(without.body.choices[0].message.reasoning_content).toBeNull();
  });

  test("sends several replies, of which the first does not change, and counts all of their tokens", async () => {
    const request = { ...asked, temperature: 1, seed: 3, n: 3 };
    const { body } = await post(request);
    const one = await post({ ...request, n: 1 });
    const contents = body.choices.map(({ message }: any) => message.content);
    expect(body.choices.map(({ index }: any) => index)).toEqual([0, 1, 2]);
    expect(contents[0]).toBe(one.body.choices[0].message.content);
    expect(new Set(contents).size).toBe(3);
    expect(body.usage.completion_tokens).toBeGreaterThan(one.body.usage.completion_tokens);
    const streamed = ["", "", ""];
    const order: number[] = [];
    let usage: unknown;
    const create = { ...request, stream: true, stream_options: { include_usage: true } } as const;
    for await (const chunk of await openai.chat.completions.create(create)) {
      usage = chunk.usage ?? usage;
      for (const { index, delta } of chunk.choices) {
        streamed[index] += delta.content ?? "";
        order.push(index);
      }
    }
    expect(streamed).toEqual(contents);
    expect(order.slice(0, 6)).toEqual([0, 1, 2, 0, 1, 2]);
    expect(usage).toEqual(body.usage);
  });
});

describe("helpers of the package openai", () => {
  test("runTools calls the functions and ends with a text reply", async () => {
    const called: unknown[] = [];
    const add = (args: { a: number; b: number }) => {
      called.push(args);
      return `${args.a + args.b}`;
    };
    const parameters = ADD.function.parameters as { type: string };
    const runner = openai.chat.completions.runTools({
      model,
      messages: [user("Add 2 and 3")],
      tools: [
        {
          type: "function",
          function: { name: "add", description: "Adds", parameters, parse: JSON.parse, function: add },
        },
      ],
    });
    expect(await runner.finalContent()).toBe("The result of the tool is: 5");
    expect(called).toEqual([{ a: 2, b: 3 }]);
  });

  test("parse reads a reply with a zod schema", async () => {
    const schema = z.object({ city: z.string(), days: z.int().min(1) });
    const { choices } = await openai.chat.completions.parse({
      model,
      messages: [user("A trip to Rome for 3 days")],
      response_format: zodResponseFormat(schema, "trip"),
    });
    expect(choices[0]?.message.parsed).toEqual({ city: "Rome", days: 3 });
  });
});

describe("the AI SDK", () => {
  const languageModel = () => {
    const headers = { authorization: emulator.token };
    const baseURL = `${emulator.endpoint}/api/predict/llm/v1`;
    return createOpenAICompatible({ name: "eas", baseURL, headers, supportsStructuredOutputs: true })(model);
  };

  test("generateObject returns a valid object", async () => {
    const schema = z.object({
      recipe: z.object({
        name: z.string(),
        servings: z.number().int().min(1).max(12),
        kind: z.enum(["starter", "main", "dessert"]),
        steps: z.array(z.object({ text: z.string().max(200), minutes: z.number().positive() })).min(2),
        note: z.string().nullable(),
      }),
    });
    const { object } = await generateObject({ model: languageModel(), schema, prompt: 'A dessert, "Tiramisu", for 4' });
    expect(object.recipe).toMatchObject({ name: "Tiramisu", servings: 4, kind: "dessert" });
    expect(object.recipe.steps).toHaveLength(2);
  });

  test("generateText runs tools and returns a final text", async () => {
    const { text, steps } = await generateText({
      model: languageModel(),
      prompt: "Add 2 and 3",
      stopWhen: stepCountIs(5),
      tools: {
        add: tool({
          description: "Adds two numbers",
          inputSchema: z.object({ a: z.number(), b: z.number() }),
          execute: ({ a, b }) => a + b,
        }),
      },
    });
    expect(steps).toHaveLength(2);
    expect(text).toBe("The result of the tool is: 5");
  });
});

describe("values for a JSON schema", () => {
  const limits = fc
    .tuple(fc.integer({ min: -50, max: 50 }), fc.nat({ max: 20 }))
    .map(([low, width]) => [low, low + width] as const);
  const leaf = fc.oneof(
    fc.constant(z.string()),
    fc.nat({ max: 30 }).map((length) => z.string().min(length)),
    fc.nat({ max: 5 }).map((length) => z.string().max(length)),
    fc.constantFrom<z.ZodType>(
      z.email(),
      z.uuid(),
      z.iso.date(),
      z.iso.datetime(),
      z.url(),
      z.boolean(),
      z.null(),
      z.any(),
    ),
    limits.map(([low, high]) => z.number().min(low).max(high)),
    limits.map(([low, high]) => z.int().min(low).max(high)),
    limits.map(([low, high]) =>
      z
        .number()
        .gt(low)
        .lt(high + 1),
    ),
    fc.integer({ min: 1, max: 9 }).map((step) =>
      z
        .number()
        .multipleOf(step)
        .min(step + 1),
    ),
    fc.array(fc.string(), { minLength: 1, maxLength: 3 }).map((options) => z.enum(options)),
    fc.oneof(fc.string(), fc.integer(), fc.boolean()).map((value) => z.literal(value)),
  );
  const { schema: anySchema } = fc.letrec<{ schema: z.ZodType }>((tie) => ({
    schema: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.tuple(tie("schema"), fc.nat({ max: 3 })).map(([item, min]) => z.array(item).min(min)),
      fc.tuple(tie("schema"), fc.nat({ max: 3 })).map(([item, max]) => z.array(item).max(max)),
      fc.tuple(tie("schema"), tie("schema")).map(([a, b]) => z.tuple([a, b])),
      fc.tuple(tie("schema"), tie("schema")).map(([a, b]) => z.union([a, b])),
      tie("schema").map((inner) => inner.nullable()),
      tie("schema").map((inner) => z.record(z.string(), inner)),
      fc
        .dictionary(fc.string(), fc.tuple(tie("schema"), fc.boolean()), { maxKeys: 4, noNullPrototype: true })
        .map((fields) =>
          z.strictObject(
            Object.fromEntries(
              Object.entries(fields).map(([name, [of, isOptional]]) => [name, isOptional ? of.optional() : of]),
            ),
          ),
        ),
    ),
  }));

  test("are valid for any schema and prompt", () => {
    const prompt = fc.oneof(fc.string(), fc.constant('Ada, 42 and "x y" in Paris on 2024-05-06, not -7.5'));
    fc.assert(
      fc.property(anySchema, prompt, fc.boolean(), (schema, text, isFull) => {
        const json = JSON.parse(JSON.stringify(z.toJSONSchema(schema)));
        const value = JSON.parse(JSON.stringify(createValue(json, new PromptValues(text), isFull)));
        const { success, error } = schema.safeParse(value);
        if (!success) throw new Error(`${JSON.stringify(value)} for ${JSON.stringify(json)}: ${error.message}`);
      }),
      { numRuns: 1000 },
    );
  });

  test("terminate for recursive schemas", () => {
    const Tree: z.ZodType = z.object({
      name: z.string(),
      get children() {
        return z.array(Tree);
      },
      get next() {
        return Tree.nullable();
      },
    });
    const value = createValue(JSON.parse(JSON.stringify(z.toJSONSchema(Tree))), new PromptValues("a tree"), true);
    expect(Tree.safeParse(value).success).toBe(true);
    expect(JSON.stringify(value).length).toBeLessThan(10_000);
  });

  test("resolve each schema once, however often it is referenced", () => {
    const next = (i: number) => ({ $ref: `#/$defs/d${i + 1}` });
    const doubling = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`d${i}`, { allOf: [next(i), next(i)] }]));
    const last = { type: "object", properties: { a: { const: 1 } }, required: ["a"] };
    const schema = { $ref: "#/$defs/d0", $defs: { ...doubling, d30: last } };
    expect(createValue(schema, new PromptValues("a"), true)).toEqual({ a: 1 });
  });

  test("support allOf, references, and formats found in the prompt", () => {
    const schema = {
      $defs: { day: { type: "string", format: "date" } },
      allOf: [
        { type: "object", properties: { from: { $ref: "#/$defs/day" } }, required: ["from"] },
        { properties: { mail: { type: "string", format: "email" } }, required: ["mail"] },
      ],
    };
    const values = new PromptValues("from 2024-05-06, write to ada@example.org");
    expect(createValue(schema, values, false)).toEqual({ from: "2024-05-06", mail: "ada@example.org" });
  });
});
