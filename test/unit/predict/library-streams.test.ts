import { readFile } from "node:fs/promises";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import OpenAI from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import type { FailedCall } from "../../../src/call/failures/failure.js";
import { EasStreamError } from "../../../src/index.js";
import type { BodyCheck } from "../../../src/predict/fetch/client-fetch.js";
import { checkOfStreams } from "../../../src/predict/fetch/library-stream.js";
import { clientOf, collect, errorOf, startServer, TOKEN } from "../../support/calls.js";
import { type MisbehavingServer, raw } from "../../support/misbehaving-server.js";

/** Recorded responses of the LLM gateway, by generation and case. */
const captures = new Map<string, Buffer>();
beforeAll(async () => {
  const text = await readFile(new URL("../../vectors/llm-gateway.json", import.meta.url), "utf8");
  for (const { gateway, name, streamed, raw } of JSON.parse(text)) {
    if (streamed) captures.set(`${gateway} ${name}`, Buffer.from(raw, "latin1"));
  }
});
const capture = (name: string) => captures.get(name) as Buffer;

const asked = { model: "m", messages: [{ role: "user" as const, content: 'a "stream":true, they said' }] };

function openaiOf(server: MisbehavingServer): OpenAI {
  return new OpenAI({ ...clientOf(server).openai(), maxRetries: 0 });
}

/** Requests a stream and reads it to its end. */
async function readBy(openai: OpenAI): Promise<string> {
  const chunks = await collect(await openai.chat.completions.create({ ...asked, stream: true }));
  return chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
}

const head = (type: string, more = "") =>
  `HTTP/1.1 200 OK\r\n${type === "" ? "" : `Content-Type: ${type}\r\n`}${more}Connection: close\r\n\r\n`;
const answerOf = (body: string, type = "text/event-stream") =>
  raw(`${head(type, `Content-Length: ${Buffer.byteLength(body)}\r\n`)}${body}`);
const chunk = 'data: {"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}]}\n\n';
const last = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n';

const CUT = ["2026-01 nodone", "2026-01 unended", "2026-01 rst", "2026-01 fin", "2026-01 rst0"].concat([
  "2026-04 nodone",
  "2026-04 unended",
  "2026-04 rst",
  "2026-04 fin",
]);
const WHOLE = [
  "2026-01 ok",
  "2026-01 comments",
  "2026-01 crlf",
  "2026-01 split",
  "2026-01 bom",
  "2026-01 gzipsse",
].concat(["2026-04 comments", "2026-04 crlf", "2026-04 split", "2026-04 bom", "2026-04 gzipsse"]);

describe("the npm package openai", () => {
  test("fails for a stream that the LLM gateway cut off", async () => {
    const server = await startServer();
    for (const name of CUT) {
      server.play(raw(capture(name)));
      const error = await errorOf(readBy(openaiOf(server)));
      expect(error, name).toBeInstanceOf(EasStreamError);
      expect(error.message, name).toContain("without the line data: [DONE]");
      expect(error.message.includes("The LLM gateway"), name).toBe(
        /Bad Request/.test(capture(name).toString("latin1")),
      );
    }
  });

  test("yields all chunks before the error", async () => {
    const server = await startServer();
    server.always(answerOf(chunk.repeat(50)));
    let hasEnded = () => {};
    const end = new Promise<void>((resolve) => {
      hasEnded = resolve;
    });
    const { fetch, baseURL } = clientOf(server, { hooks: { response: hasEnded } }).openai();
    const { body } = await fetch(`${baseURL}/chat/completions`, { method: "POST", body: "{}" });
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    // The library reads ahead.
    await end;
    let length = 0;
    const error = await errorOf(
      (async () => {
        for (let next = await reader.read(); !next.done; next = await reader.read()) length += next.value.length;
      })(),
    );
    expect(error).toBeInstanceOf(EasStreamError);
    expect(length).toBe(chunk.length * 50);
  });

  test("reads the complete streams of the LLM gateway", async () => {
    const server = await startServer();
    for (const name of WHOLE) {
      server.play(raw(capture(name)));
      expect(await readBy(openaiOf(server)), name).not.toBe("");
    }
  });

  test.each([
    ["byte by byte", 1],
    ["in pieces that cut the last line", 7],
    ["at once", 10_000],
  ])("reads a stream that arrives %s", async (_, size) => {
    const server = await startServer();
    const body = `${chunk}${last}data:[DONE]\r\n\r\n`;
    const bytes = Buffer.from(`${head("text/event-stream")}${body}`);
    server.always({
      on: "request",
      async run(socket) {
        for (let at = 0; at < bytes.length; at += size) {
          await new Promise((resolve) => socket.write(bytes.subarray(at, at + size), () => setImmediate(resolve)));
        }
        socket.end();
      },
    });
    expect(await readBy(openaiOf(server))).toBe("hel");
  });

  test.each([
    ["a comment behind the end", "data: [DONE]\n\n: ping - 2026-12-01 00:00:00.000000+00:00\n\n", "text/event-stream"],
    ["an event with more lines", "event: done\ndata: [DONE]\nid: 1\n\n", "text/event-stream"],
    ["line breaks that are CR", "data: [DONE]\r\r", "text/event-stream"],
    ["another type and a long text", `${`: ${"-".repeat(1000)}\n\n`.repeat(400)}data: [DONE]\n\n`, "text/plain"],
  ])("reads a stream that has %s", async (_, end, type) => {
    const server = await startServer();
    server.play(answerOf(`${chunk}${end}`, type));
    expect(await readBy(openaiOf(server))).toBe("hel");
  });

  test("fails without a retry for a response that is not a stream", async () => {
    const server = await startServer();
    const answers: [body: string, type: string, said: string][] = [
      ['{"choices":[{"message":{"content":"hello"}}]}', "application/json", "Content-Type is application/json"],
      ['{"error":{"message":"failed"}}', "application/json", '{"error":{"message":"failed"}}'],
      ["Bad Request\n", "application/octet-stream", "Bad Request"],
      ["text", "", "Content-Type is none"],
      [`<html>${TOKEN}</html>`, "text/html", "<html>***</html>"],
    ];
    for (const [body, type, said] of answers) {
      server.play(answerOf(body, type));
      const error = await errorOf(readBy(new OpenAI(clientOf(server).openai())));
      expect(error).toBeInstanceOf(EasStreamError);
      expect(error.message).toContain(said);
      expect(JSON.stringify([error, error.message])).not.toContain(TOKEN);
    }
    expect(server.requests).toHaveLength(answers.length);
    server.play(answerOf(`${chunk}data: [DONE]\n\n`, "text/plain"));
    expect(await readBy(openaiOf(server))).toBe("hel");
  });

  test("redacts a token that the excerpt of a response cuts in two", () => {
    const plan = { method: "POST", target: { origin: "http://svc" }, path: "/v1/completions" };
    const call = { plan, token: TOKEN, attempts: 1 } as unknown as FailedCall;
    const check = checkOfStreams("/v1/completions", '{"stream":true}')?.(new Headers(), call) as BodyCheck;
    check.add(new TextEncoder().encode("x".repeat(65_536) + TOKEN.slice(0, -4)));
    check.add(new TextEncoder().encode(TOKEN.slice(-4)));
    expect((check.end() as EasStreamError).data).toMatch(/x\*\*\*$/);
  });

  test("does not check complete responses and other paths", async () => {
    const server = await startServer();
    const openai = openaiOf(server);
    server.always(answerOf('{"choices":[],"data":[],"embedding":[]}', "application/json"));
    expect(await openai.chat.completions.create(asked)).toMatchObject({ choices: [] });
    expect((await openai.models.list()).data).toEqual([]);
    const plain = clientOf(server);
    server.always(answerOf(chunk));
    const answer = await plain.fetch("/v1/chat/completions", { method: "POST", body: '{"stream":true}' });
    expect(await answer.text()).toBe(chunk);
  });

  test("reports errors that the LLM gateway sends as events", async () => {
    const server = await startServer();
    for (const [name, status, said] of [
      ["2026-04 s400", 400, "max_tokens must be at least 1, got 0."],
      ["2026-04 s401", 401, "Unauthorized"],
      ["2026-04 s404", 404, "The model `m` does not exist."],
      ["2026-04 s429", 429, "The server is overloaded"],
      ["2026-04 s500", 500, "EngineCore died"],
      ["2026-04 s503e", 503, ""],
      ["2026-04 s504", 504, "upstream request timeout"],
      ["2026-04 wholeforstream", 400, "go-sse: unexpected end of input"],
      ["2026-01 http500sse", 500, "died"],
    ] as const) {
      server.play(raw(capture(name)));
      const error = await errorOf(readBy(openaiOf(server)));
      expect(error, name).toBeInstanceOf(OpenAI.APIError);
      expect(error.status, name).toBe(status);
      expect(error.message, name).toContain(said);
      expect(error.message, name).not.toContain("data:");
    }
  });

  test("fails for a stream of Anthropic's API that was cut off", async () => {
    const server = await startServer();
    const client = clientOf(server);
    const read = async (name: string) => {
      server.play(raw(capture(name)));
      const { fetch, baseURL } = client.anthropic();
      return (await fetch(`${baseURL}/v1/messages`, { method: "POST", body: '{"stream":true}' })).text();
    };
    expect(await read("2026-01 anthropic")).toContain("message_stop");
    expect(await errorOf(read("2026-01 anthropicerr"))).toBeInstanceOf(EasStreamError);
    const { fetch, baseURL } = client.anthropic();
    server.play(
      answerOf(
        `event: message_stop\ndata: {"type":"message_stop","metrics":"${"-".repeat(300)}"}\n\n`,
        "text/event-stream",
      ),
    );
    const answer = await fetch(`${baseURL}/v1/messages`, { method: "POST", body: '{"stream":true}' });
    expect(await answer.text()).toContain("message_stop");
  });
});

describe("the AI SDK", () => {
  const modelOf = (server: MisbehavingServer) =>
    createOpenAICompatible({ name: "eas", ...clientOf(server).openai() }).chatModel("m");
  /** Reads a stream to its end. Returns the errors among its parts, and the cause of its final error. */
  async function errorsOf(server: MisbehavingServer): Promise<unknown[]> {
    const { fullStream } = streamText({ model: modelOf(server), prompt: "hello", maxRetries: 0, onError: () => {} });
    const errors: unknown[] = [];
    try {
      for await (const part of fullStream) if (part.type === "error") errors.push(part.error);
    } catch (error) {
      errors.push((error as Error).cause);
    }
    return errors;
  }

  test("fails only for streams that the LLM gateway cut off", async () => {
    const server = await startServer();
    for (const name of CUT) {
      server.play(raw(capture(name)));
      expect(await errorsOf(server), name).toEqual([expect.any(EasStreamError)]);
    }
    // The AI SDK requires a finish_reason, which the other captures lack.
    server.play(raw(capture("2026-01 ok")));
    expect(await errorsOf(server)).toEqual([]);
  });

  test("fails for a response that is not a stream", async () => {
    const server = await startServer();
    server.play(answerOf('{"choices":[{"message":{"content":"hello"}}]}', "application/json"));
    expect(await errorsOf(server)).toEqual([expect.any(EasStreamError)]);
  });

  test("reports errors that the LLM gateway sends as events", async () => {
    const server = await startServer();
    server.play(raw(capture("2026-04 s400")));
    const [error] = await errorsOf(server);
    expect(error).toBeInstanceOf(APICallError);
    expect(error).toMatchObject({ statusCode: 400, message: expect.stringContaining("max_tokens must be at least 1") });
    server.play(raw(capture("2026-04 s504")));
    const whole = generateText({ model: modelOf(server), prompt: "hello", maxRetries: 0 });
    expect(await errorOf(whole)).toMatchObject({
      statusCode: 504,
      message: expect.stringContaining("upstream request"),
    });
  });
});
