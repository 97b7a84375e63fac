import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { type ChatEvent, EasDecodeError, EasStreamError, type PredictStream } from "../../../../src/index.js";
import { clientOf, collect, errorOf } from "../../../support/calls.js";
import { inChunks, startStreamServer } from "../../../support/stream-server.js";

async function open(body: string, type = "text/event-stream"): Promise<PredictStream> {
  const server = await startStreamServer(inChunks(body, 50, { "content-type": type }));
  return clientOf(server).stream("x", { path: "/v1/chat/completions" });
}

const chatOf = async (body: string, type?: string) => (await open(body, type)).chat();

const event = (data: unknown) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1767787200, model: "m" };
const delta = (delta: object, reason: string | null = null, index = 0) =>
  event({ ...HEAD, choices: [{ index, delta, logprobs: null, finish_reason: reason }] });
const DONE = event("[DONE]");
const usage = { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 };

const text = (text: string, index = 0): ChatEvent => ({ type: "text", text, index });
const finish = (finishReason: string, index = 0): ChatEvent => ({ type: "finish", finishReason, index });

describe("PredictStream.chat", () => {
  const ANSWER =
    delta({ role: "assistant", content: "" }) +
    delta({ reasoning_content: "Let me " }) +
    delta({ reasoning_content: "think." }) +
    ": ping\n\n" +
    delta({ content: "学而" }) +
    delta({ content: "时习之" }) +
    delta({}, "stop") +
    event({ ...HEAD, choices: [], usage }) +
    DONE;

  test("yields the parts of a chat and merges them", async () => {
    const chat = await chatOf(ANSWER);
    expect(await collect(chat)).toEqual([
      { type: "reasoning", text: "Let me ", index: 0 },
      { type: "reasoning", text: "think.", index: 0 },
      text("学而"),
      text("时习之"),
      finish("stop"),
    ]);
    expect(await chat.finalCompletion()).toEqual({
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 1767787200,
      model: "m",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "学而时习之", reasoning_content: "Let me think." },
          finish_reason: "stop",
        },
      ],
      usage,
    });
  });

  test("returns the final text or message without a loop", async () => {
    expect(await (await chatOf(ANSWER)).finalText()).toBe("学而时习之");
    expect((await (await chatOf(ANSWER)).finalMessage()).content).toBe("学而时习之");
    const stream = await open(ANSWER);
    const chat = stream.chat();
    const [first, second] = await Promise.all([chat.finalMessage(), chat.finalMessage()]);
    expect(first).toBe(second);
    expect(stream.isComplete).toBe(true);
  });

  test("exposes the response received so far", async () => {
    const chat = await chatOf(ANSWER);
    const seen: unknown[] = [];
    for await (const part of chat) if (part.type === "text") seen.push(chat.completion.choices[0]?.message.content);
    expect(seen).toEqual(["学而", "学而时习之"]);
  });

  test("resolves the final message when a loop has read the stream", async () => {
    const chat = await chatOf(ANSWER);
    const parts = chat[Symbol.asyncIterator]();
    await parts.next();
    const final = chat.finalText();
    while (!(await parts.next()).done);
    expect(await final).toBe("学而时习之");
  });

  test("reads reasoning under both field names, once", async () => {
    const chat = await chatOf(
      delta({ reasoning: "a" }) + delta({ reasoning: "b", reasoning_content: "b" }) + delta({ content: "c" }, "stop"),
    );
    expect(await chat.finalMessage()).toEqual({ role: "assistant", content: "c", reasoning_content: "ab" });
  });

  test("yields refusals", async () => {
    const chat = await chatOf(delta({ refusal: "I can" }) + delta({ refusal: "not" }, "stop") + DONE);
    expect(await chat.finalMessage()).toEqual({ role: "assistant", content: null, refusal: "I cannot" });
    expect(await chat.finalText()).toBe("");
  });

  test("orders several choices by index", async () => {
    const chat = await chatOf(
      delta({ content: "b" }, null, 1) + delta({ content: "a" }) + delta({}, "length", 0) + delta({}, "stop", 1) + DONE,
    );
    expect(await collect(chat)).toEqual([text("b", 1), text("a"), finish("length"), finish("stop", 1)]);
    const { choices } = await chat.finalCompletion();
    expect(choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason])).toEqual([
      [0, "a", "length"],
      [1, "b", "stop"],
    ]);
  });

  test("reads the older completions API as text", async () => {
    const chunk = (text: string, reason: string | null = null) =>
      event({ id: "cmpl-1", choices: [{ index: 0, text, finish_reason: reason }] });
    expect(await (await chatOf(chunk("a") + chunk("b", "stop") + DONE)).finalText()).toBe("ab");
  });

  test("ignores the last chunk that the LLM gateway repeats", async () => {
    const last = delta({ content: "lo", reasoning_content: "", tool_calls: [] }, "stop");
    const chat = await chatOf(delta({ content: "hel" }, "") + last + last + DONE);
    expect(await collect(chat)).toEqual([text("hel"), text("lo"), finish("stop")]);
  });
});

describe("function calls", () => {
  const call = (index: number | undefined, id: string | null, name: string | null, piece: unknown) => ({
    index,
    id,
    type: "function",
    function: { name, arguments: piece },
  });

  test("are merged by index if they arrive in parallel", async () => {
    const chat = await chatOf(
      delta({ tool_calls: [call(0, "call-a", "weather", "")] }) +
        delta({ tool_calls: [call(0, null, null, '{"city":')] }) +
        delta({ tool_calls: [call(1, "call-b", "time", '{"zone"'), call(0, null, null, '"杭州"}')] }) +
        delta({ tool_calls: [call(1, null, null, ':"+8"}')] }) +
        delta({}, "tool_calls") +
        DONE,
    );
    const weather = {
      id: "call-a",
      type: "function",
      function: { name: "weather", arguments: '{"city":"杭州"}' },
    };
    const time = { id: "call-b", type: "function", function: { name: "time", arguments: '{"zone":"+8"}' } };
    const parts = await collect(chat);
    expect(parts.map((part) => (part.type === "toolCallDelta" ? part.arguments : part.type))).toEqual([
      "",
      '{"city":',
      '{"zone"',
      '"杭州"}',
      ':"+8"}',
      "toolCall",
      "toolCall",
      "finish",
    ]);
    expect(parts.slice(-3)).toEqual([
      { type: "toolCall", toolCall: weather, index: 0 },
      { type: "toolCall", toolCall: time, index: 0 },
      finish("tool_calls"),
    ]);
    expect(await chat.finalMessage()).toEqual({ role: "assistant", content: null, tool_calls: [weather, time] });
  });

  test.each([
    ["repeated names and ids", [call(0, "x", "f", "{"), call(0, "x", "f", "}")]],
    ["empty names and ids", [call(0, "x", "f", "{"), call(0, "", "", "}")]],
    ["an id of its own for each part", [call(0, "x", "f", "{"), call(0, "y", null, "}")]],
    ["no index", [call(undefined, "x", "f", "{"), call(undefined, null, null, "}")]],
    ["arguments that are an object", [call(0, "x", "f", {})]],
    ["arguments that are null first", [call(0, "x", "f", null), call(0, null, null, "{}")]],
  ])("with %s", async (_, parts) => {
    const body = parts.map((part) => delta({ tool_calls: [part] })).join("");
    expect((await (await chatOf(body + delta({}, "tool_calls"))).finalMessage()).tool_calls).toEqual([
      { id: "x", type: "function", function: { name: "f", arguments: "{}" } },
    ]);
  });

  test.each([
    ["no index", [call(undefined, "x", "f", "{}"), call(undefined, "y", "f", "{"), call(undefined, null, null, "}")]],
    ["the same index", [call(0, "x", "f", "{}"), call(0, "y", "g", "{"), call(0, null, null, "}")]],
  ])("stay separate if they arrive one after another with %s", async (_, parts) => {
    const body = parts.map((part) => delta({ tool_calls: [part] })).join("");
    const { tool_calls: calls = [] } = await (await chatOf(body + delta({}, "tool_calls"))).finalMessage();
    expect(calls.map(({ id, function: { arguments: text } }) => [id, text])).toEqual([
      ["x", "{}"],
      ["y", "{}"],
    ]);
  });

  test("reject with EasDecodeError if their arguments are nested too deeply", async () => {
    const nested = `{"a":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
    const body = `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":${nested}}}]}}]}\n\n`;
    const error = await errorOf((await chatOf(body + DONE)).finalMessage());
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error.message).toContain('the arguments of the function "f" are nested too deeply');
  });

  test("are reported although the LLM gateway leaves out the finish_reason", async () => {
    const chat = await chatOf(delta({ tool_calls: [call(0, "x", "f", "{}")] }, "") + DONE);
    expect((await collect(chat)).map(({ type }) => type)).toEqual(["toolCallDelta", "toolCall"]);
  });
});

describe("PredictStream.chat for a complete response", () => {
  const message = {
    role: "assistant",
    content: "hello",
    reasoning_content: "hm",
    tool_calls: [
      { id: "a", type: "function", function: { name: "f", arguments: "{}" } },
      { id: "b", type: "function", function: { name: "f", arguments: "{}" } },
    ],
  };
  const answer = { ...HEAD, object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }], usage };

  test.each([
    ["in one line", JSON.stringify(answer), "application/json"],
    ["in several lines", `\n${JSON.stringify(answer, null, 2)}\n`, "application/json"],
    ["of another type", JSON.stringify(answer), "application/octet-stream"],
    ["in an event", event(answer), "text/event-stream"],
  ])("supports %s", async (_, body, type) => {
    const chat = await chatOf(body, type);
    expect(await chat.finalCompletion()).toEqual({ ...answer, object: "chat.completion" });
  });

  test("supports the older completions API", async () => {
    const body = JSON.stringify({ choices: [{ index: 0, text: "hello", finish_reason: "stop" }] });
    expect(await (await chatOf(body, "application/json")).finalText()).toBe("hello");
  });

  test("reports a response that is an error", async () => {
    for (const body of [
      '{"error":{"message":"failed","code":500}}',
      '{"object":"error","message":"failed","code":500}',
    ]) {
      const error = await errorOf((await chatOf(body, "application/json")).finalText());
      expect(error).toBeInstanceOf(EasStreamError);
      expect(error).toMatchObject({ status: 500 });
      expect(error.message).toContain("failed");
    }
  });
});

describe("a failed chat", () => {
  test("rejects the loop and the final message, and keeps the received part", async () => {
    const stream = await open(delta({ content: "hel" }) + delta({ content: "lo" }));
    const chat = stream.chat();
    const error = await errorOf(collect(chat));
    expect(error).toBeInstanceOf(EasStreamError);
    expect(error).toMatchObject({ received: expect.stringContaining("hel") });
    expect(await errorOf(chat.finalText())).toBe(error);
    expect(chat.completion.choices[0]?.message.content).toBe("hello");
    expect(stream.isComplete).toBe(false);
  });

  test.each([
    ["another API's events", event({ type: "message_start" }) + event({ type: "message_stop" })],
    ["no values", ""],
    ["JSON of another kind", '{"response":"hello"}'],
    ["an event stream of texts", event("hello")],
  ])("rejects for %s", async (_, body) => {
    expect(await errorOf((await chatOf(body)).finalText())).toBeInstanceOf(EasDecodeError);
  });

  test("rejects the final message if the loop ends early, which ends the request", async () => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(delta({ content: "a" }) + delta({ content: "b" }));
    });
    const chat = (await clientOf(server).stream("x")).chat();
    for await (const part of chat) {
      expect(part).toEqual(text("a"));
      break;
    }
    await server.exchanges[0]?.closed;
    expect(await errorOf(chat.finalText())).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
    expect(() => chat[Symbol.asyncIterator]()).toThrow(/read it once/);
  });

  test("rejects with the reason of the caller's signal", async () => {
    const server = await startStreamServer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(delta({ content: "a" }));
    });
    const controller = new AbortController();
    const chat = (await clientOf(server).stream("x", { signal: controller.signal })).chat();
    const final = errorOf(chat.finalText());
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await final).toBe(reason);
  });

  test("reuses the connection after [DONE]", async () => {
    const server = await startStreamServer(inChunks(delta({ content: "a" }, "stop") + DONE, 1000));
    const client = clientOf(server, { maxConnectionCount: 2 });
    for (let i = 0; i < 5; i++) expect(await (await client.stream("x")).chat().finalText()).toBe("a");
  });
});

test("the final message fits the messages of the npm package openai", () => {
  const fits = async (stream: PredictStream): Promise<OpenAI.ChatCompletionMessageParam[]> => [
    { role: "user", content: "hello" },
    await stream.chat().finalMessage(),
  ];
  expect(fits).toBeTypeOf("function");
});
