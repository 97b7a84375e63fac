import Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { llmService, type RunningEmulator, startEmulator } from "../../../../src/emulator/index.js";

let emulator: RunningEmulator;
let anthropic: Anthropic;
beforeAll(async () => {
  emulator = await startEmulator();
  anthropic = clientOf("llm");
});
afterEach(() => emulator.reset());
afterAll(() => emulator.close());

const MODEL = "eas-ngram";
const CONTINUED = "，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦君子乎？";
const request = {
  model: MODEL,
  max_tokens: 100,
  temperature: 0,
  messages: [{ role: "user" as const, content: "学而时习之" }],
};

function clientOf(service: string): Anthropic {
  const baseURL = `${emulator.endpoint}/api/predict/${service}`;
  return new Anthropic({ baseURL, apiKey: null, authToken: emulator.token, maxRetries: 0 });
}

const WEATHER: Anthropic.Tool = {
  name: "get_weather",
  description: "The weather in a city",
  input_schema: {
    type: "object",
    properties: { city: { type: "string" }, days: { type: "integer", minimum: 1 } },
    required: ["city"],
  },
};
const ask = (content: string) => [{ role: "user" as const, content }];

async function eventsOf(body: object): Promise<{ name: string; data: any }[]> {
  const response = await fetch(`${emulator.endpoint}/api/predict/llm/v1/messages`, {
    method: "POST",
    body: JSON.stringify({ ...body, stream: true }),
    headers: { authorization: emulator.token, "content-type": "application/json" },
  });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const text = await response.text();
  const events = [...text.matchAll(/event: (.+)\ndata: (.+)\n\n/g)].map(([, name = "", data = ""]) => ({
    name,
    data: JSON.parse(data),
  }));
  expect(events.map(({ data }) => data.type)).toEqual(events.map(({ name }) => name));
  return events;
}

describe("a message", () => {
  test("responds to a message", async () => {
    const message = await anthropic.messages.create(request);
    expect(message).toMatchObject({
      type: "message",
      role: "assistant",
      model: MODEL,
      content: [{ type: "text", text: CONTINUED }],
      stop_reason: "end_turn",
      stop_sequence: null,
      usage: { input_tokens: 5, output_tokens: 31 },
    });
    expect(message.id).toMatch(/^msg_/);
  });

  test("streams the same text with one event for each token", async () => {
    const stream = anthropic.messages.stream(request);
    const deltas: string[] = [];
    stream.on("text", (delta) => deltas.push(delta));
    const message = await stream.finalMessage();
    expect(deltas).toEqual([...CONTINUED]);
    expect(message).toMatchObject({
      content: [{ type: "text", text: CONTINUED }],
      stop_reason: "end_turn",
      usage: { input_tokens: 5, output_tokens: 31 },
    });
  });

  test("streams the events in Anthropic's order", async () => {
    const events = await eventsOf({ ...request, max_tokens: 2 });
    expect(events.map(({ name }) => name)).toEqual([
      "message_start",
      "ping",
      "content_block_start",
      "content_block_delta",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    expect(events[0]?.data.message).toMatchObject({ content: [], usage: { input_tokens: 5, output_tokens: 0 } });
    expect(events.at(-2)?.data).toMatchObject({
      delta: { stop_reason: "max_tokens", stop_sequence: null },
      usage: { output_tokens: 2 },
    });
  });

  test("supports system prompts, stop sequences and text blocks", async () => {
    const stopped = await anthropic.messages.create({
      ...request,
      system: [{ type: "text", text: "Be brief." }],
      stop_sequences: ["！", "？"],
      messages: [{ role: "user", content: [{ type: "text", text: "学而时习之" }] }],
    });
    expect(stopped).toMatchObject({
      content: [{ type: "text", text: "，不亦说乎" }],
      stop_reason: "stop_sequence",
      stop_sequence: "？",
    });
    const plain = await anthropic.messages.create(request);
    expect(stopped.usage.input_tokens).toBeGreaterThan(plain.usage.input_tokens);
  });

  test("counts tokens as the message reports them", async () => {
    const { max_tokens, temperature, ...counted } = request;
    expect(await anthropic.messages.countTokens(counted)).toEqual({ input_tokens: 5 });
  });

  test("starts with thinking and a signature", async () => {
    const thinking = { type: "enabled" as const, budget_tokens: 1024 };
    const whole = await anthropic.messages.create({ ...request, max_tokens: 2000, thinking });
    expect(whole.content.map(({ type }) => type)).toEqual(["thinking", "text"]);
    expect(whole.content[0]).toMatchObject({
      thinking: expect.stringContaining("学而时习之"),
      signature: expect.any(String),
    });
    const streamed = await anthropic.messages.stream({ ...request, max_tokens: 2000, thinking }).finalMessage();
    expect(streamed.content).toEqual(whole.content);
    // The client sends the reasoning back with its next request.
    const next = [...request.messages, { role: "assistant" as const, content: whole.content }, ...ask("学而时习之")];
    const message = await anthropic.messages.create({ ...request, messages: next });
    expect(message.content).toEqual([{ type: "text", text: CONTINUED }]);
  });
});

describe("tools", () => {
  const question = ask('What is the weather in "Hangzhou" for 3 days?');

  test("calls a tool, streamed or not, and replies to its result", async () => {
    const tools = [WEATHER];
    const whole = await anthropic.messages.create({ ...request, tools, messages: question });
    expect(whole).toMatchObject({
      content: [{ type: "tool_use", name: "get_weather", input: { city: "Hangzhou", days: 3 } }],
      stop_reason: "tool_use",
    });
    const streamed = await anthropic.messages.stream({ ...request, tools, messages: question }).finalMessage();
    expect(streamed).toMatchObject({
      content: [{ type: "tool_use", name: "get_weather", input: { city: "Hangzhou", days: 3 } }],
      stop_reason: "tool_use",
    });
    const [call] = whole.content as [Anthropic.ToolUseBlock];
    const answered = await anthropic.messages.create({
      ...request,
      tools,
      messages: [
        ...question,
        { role: "assistant", content: whole.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "21 degrees and sunny" }] },
      ],
    });
    expect(answered.content).toEqual([{ type: "text", text: "The result of the tool is: 21 degrees and sunny" }]);
    expect(answered.stop_reason).toBe("end_turn");
  });

  test("supports tool_choice any, tool and none, and single calls", async () => {
    const tools = [WEATHER, { ...WEATHER, name: "get_time", description: "The time in a city" }];
    const namesOf = async (tool_choice: Anthropic.ToolChoice, content: string) => {
      const { content: blocks } = await anthropic.messages.create({
        ...request,
        tools,
        tool_choice,
        messages: ask(content),
      });
      return blocks.flatMap((block) => (block.type === "tool_use" ? [block.name] : []));
    };
    expect(await namesOf({ type: "auto" }, "学而时习之")).toEqual([]);
    expect(await namesOf({ type: "any" }, "学而时习之")).toEqual(["get_weather"]);
    expect(await namesOf({ type: "tool", name: "get_time" }, "学而时习之")).toEqual(["get_time"]);
    expect(await namesOf({ type: "none" }, "The weather?")).toEqual([]);
    const both = "The weather and the time in Paris?";
    expect(await namesOf({ type: "auto" }, both)).toEqual(["get_weather", "get_time"]);
    expect(await namesOf({ type: "auto", disable_parallel_tool_use: true }, both)).toEqual(["get_weather"]);
  });

  test("works with the package's tool runner", async () => {
    const called: unknown[] = [];
    const run = (input: unknown) => {
      called.push(input);
      return "21 degrees";
    };
    const tool = { ...WEATHER, run, parse: (input: unknown) => input } as never;
    for (const stream of [false, true]) {
      const runner = anthropic.beta.messages.toolRunner({
        ...request,
        tools: [tool],
        messages: question,
        stream,
      } as never);
      const { content } = (await runner) as unknown as Anthropic.Message;
      expect(content).toEqual([{ type: "text", text: "The result of the tool is: 21 degrees" }]);
    }
    expect(called).toEqual([1, 2].map(() => ({ city: "Hangzhou", days: 3 })));
  });

  test("streams each call as a separate block", async () => {
    const tools = [WEATHER, { ...WEATHER, name: "get_time", description: "The time in a city" }];
    const events = await eventsOf({ ...request, tools, messages: ask("The weather and the time in Paris?") });
    const starts = events.filter(({ name }) => name === "content_block_start").map(({ data }) => data);
    expect(starts).toMatchObject([
      { index: 0, content_block: { type: "tool_use", name: "get_weather", input: {} } },
      { index: 1, content_block: { type: "tool_use", name: "get_time", input: {} } },
    ]);
    const inputs = [0, 1].map((index) =>
      events.flatMap(({ data }) => (data.index === index ? [data.delta?.partial_json ?? ""] : [])).join(""),
    );
    expect(inputs.map((text) => JSON.parse(text))).toEqual([{ city: "Paris" }, { city: "Paris" }]);
  });
});

describe("errors", () => {
  const refused = async (body: object) => {
    const error = await anthropic.messages.create({ ...request, ...body } as never).catch((reason: unknown) => reason);
    return error as InstanceType<typeof Anthropic.APIError>;
  };

  test("responds with 404 to an unknown model", async () => {
    const error = await refused({ model: "other" });
    expect(error).toBeInstanceOf(Anthropic.NotFoundError);
    expect(error.error).toEqual({
      type: "error",
      error: { type: "not_found_error", message: "The model `other` does not exist." },
    });
  });

  test.each([
    ["no max_tokens", { max_tokens: undefined }, "max_tokens"],
    ["no messages", { messages: [] }, "messages"],
    ["an unknown role", { messages: [{ role: "robot", content: "" }] }, "messages[0].role"],
    ["a picture", { messages: [{ role: "user", content: [{ type: "image" }] }] }, "messages[0].content[0].type"],
    ["a block without text", { messages: [{ role: "user", content: [{ type: "text" }] }] }, "content[0].text"],
    ["a result without an id", { messages: [{ role: "user", content: [{ type: "tool_result" }] }] }, "tool_use_id"],
    ["a system that is a number", { system: 1 }, "system"],
    ["stop sequences that are a string", { stop_sequences: "a" }, "stop_sequences"],
    ["a tool without a schema", { tools: [{ name: "a" }] }, "tools[0].input_schema"],
    ["an unknown tool_choice", { tools: [WEATHER], tool_choice: { type: "one" } }, "tool_choice.type"],
    ["a tool_choice without tools", { tool_choice: { type: "any" } }, "tool_choice"],
    ["a tool_choice of another tool", { tools: [WEATHER], tool_choice: { type: "tool", name: "b" } }, "tool_choice"],
    ["thinking that is true", { thinking: true }, "thinking"],
  ])("%s", async (_, body, text) => {
    const error = await refused(body);
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect(error.error).toMatchObject({ type: "error", error: { type: "invalid_request_error" } });
    expect(error.message).toContain(text);
  });

  test("responds to a wrong content type as on the other paths", async () => {
    const headers = { authorization: emulator.token, "content-type": "text/plain" };
    const url = `${emulator.endpoint}/api/predict/llm/v1/messages`;
    const response = await fetch(url, { method: "POST", body: JSON.stringify(request), headers });
    expect([response.status, await response.json()]).toEqual([
      415,
      { detail: "Unsupported Media Type: Only 'application/json' is allowed" },
    ]);
  });

  test("have Anthropic's form with the option errors", async () => {
    emulator.addService("later", llmService({ errors: "nested" }));
    const error = await clientOf("later")
      .messages.create({ ...request, model: "other" })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ status: 404, error: { type: "error", error: { type: "not_found_error" } } });
  });
});
