import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { EasDecodeError, EasHttpError, EasStreamError, type PredictStream } from "../../../../src/index.js";
import { clientOf, collect, errorOf, startServer, TOKEN } from "../../../support/calls.js";
import { raw } from "../../../support/misbehaving-server.js";
import { inChunks, startStreamServer } from "../../../support/stream-server.js";

/** A recorded response of the LLM gateway. */
interface Capture {
  readonly gateway: "2026-01" | "2026-04";
  readonly name: string;
  /** Whether the request had stream: true. */
  readonly streamed: boolean;
  /** The body, with one character for each byte. */
  readonly raw: string;
}

let captures: Capture[];
beforeAll(async () => {
  captures = JSON.parse(await readFile(new URL("../../../vectors/llm-gateway.json", import.meta.url), "utf8"));
});

const nameOf = ({ gateway, name, streamed }: Capture) => `${gateway} ${name} ${streamed ? "streamed" : "whole"}`;

/** Responses that the gateway ended normally although the engine failed or sent unreadable data. */
const TRUNCATED = new Set([
  "2026-01 nodone streamed",
  "2026-01 unended streamed",
  "2026-01 nul streamed",
  "2026-01 wholeforstream streamed",
  "2026-01 errwholeforstream streamed",
  "2026-01 pretty streamed",
  "2026-01 rst streamed",
  "2026-01 fin streamed",
  "2026-01 rst0 streamed",
  "2026-01 rst whole",
  "2026-01 fin whole",
  "2026-01 jsonchunkcut whole",
  "2026-01 ndjsoncut whole",
  "2026-04 nodone streamed",
  "2026-04 unended streamed",
  "2026-04 rst streamed",
  "2026-04 fin streamed",
]);
/** Responses with errors of the engine, or with bytes that are not UTF-8. */
const OTHER_ERRORS: Readonly<Record<string, unknown>> = {
  "2026-01 fields whole": EasStreamError,
  "2026-01 errevent streamed": EasStreamError,
  "2026-01 anthropicerr streamed": EasStreamError,
  "2026-01 badutf8 streamed": EasDecodeError,
  "2026-01 binary whole": EasDecodeError,
};

describe("chunks of a chat as JSON values", () => {
  const chunk = (content: string, reason: string | null = null) =>
    JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: reason }] });

  async function openChat(body: string) {
    const server = await startServer();
    const length = Buffer.byteLength(body).toString(16);
    const head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.play(raw(`${head}${length}\r\n${body}\r\n0\r\n\r\n`));
    return clientOf(server).stream("{}");
  }

  test.each(["\n", "\0"])("reject as cut off without a finish_reason (%j)", async (end) => {
    const body = chunk("he") + end + chunk("llo") + end;
    const failure = { code: "ERR_EAS_STREAM", received: body };
    const stream = await openChat(body);
    expect(await errorOf(collect(stream.json()))).toMatchObject(failure);
    expect(stream.isComplete).toBe(false);
    expect(await errorOf((await openChat(body)).chat().finalText())).toMatchObject(failure);
  });

  test.each(["\n", "\0"])("are complete with a finish_reason (%j)", async (end) => {
    const stream = await openChat(chunk("he") + end + chunk("llo", "stop") + end);
    expect(await stream.chat().finalText()).toBe("hello");
    expect(stream.isComplete).toBe(true);
  });

  test("other JSON values do not mark their end", async () => {
    for (const value of [{ choices: [{ text: "a" }] }, { choices: [{ message: {} }] }, { choices: ["a"] }, 1, null]) {
      const text = JSON.stringify(value);
      const stream = await openChat(`${text}\n${text}\n`);
      expect(await collect(stream.json())).toEqual([value, value]);
      expect(stream.isComplete).toBeUndefined();
    }
  });
});

describe("captured responses of the LLM gateway", () => {
  /** Reads a response according to its content type. */
  async function read(stream: PredictStream): Promise<void> {
    const type = stream.headers.get("content-type") ?? "";
    if (type.startsWith("text/event-stream")) await collect(stream.events());
    else if (/json|octet/.test(type)) await collect(stream.json());
    else await stream.text();
  }

  test("only responses that were cut off are errors", async () => {
    const server = await startServer();
    const client = clientOf(server);
    const cut: string[] = [];
    for (const capture of captures) {
      const name = nameOf(capture);
      server.play(raw(Buffer.from(capture.raw, "latin1")));
      let stream: PredictStream | undefined;
      const error = await client
        .stream("x", { path: "/v1/chat/completions", retryCount: 0 })
        .then((opened) => {
          stream = opened;
          return read(opened);
        })
        .then(
          () => undefined,
          (error: Error & { received?: string; retryable?: boolean }) => error,
        );
      if (/^HTTP\/1.1 [45]/.test(capture.raw)) expect(error, name).toBeInstanceOf(EasHttpError);
      else if (name in OTHER_ERRORS) expect(error, name).toBeInstanceOf(OTHER_ERRORS[name]);
      else if (error !== undefined) {
        cut.push(name);
        expect(error, name).toBeInstanceOf(EasStreamError);
        expect(error.message).toContain("was cut off");
        expect(error.retryable).toBe(true);
        expect(error.received).not.toBe("");
      } else expect(stream?.isComplete, name).not.toBe(false);
      if (error !== undefined && stream !== undefined) expect(stream.isComplete, name).toBe(false);
    }
    expect(captures.length).toBeGreaterThan(120);
    expect(new Set(cut)).toEqual(TRUNCATED);
  });
});

test("errors that the LLM gateway sends as events are shown without their event syntax", async () => {
  const server = await startServer();
  const shown = async (name: string) => {
    const found = captures.find((each) => nameOf(each) === name) as Capture;
    server.play(raw(Buffer.from(found.raw, "latin1")));
    return errorOf(clientOf(server).stream("x"));
  };
  const error = await shown("2026-04 s400 streamed");
  expect(error).toMatchObject({ code: "ERR_EAS_HTTP", status: 400 });
  expect(error.message).toMatch(/ Response: \{"error":\{"message":"max_tokens must be at least 1, got 0\."[^\n]*\}\}$/);
  expect((await shown("2026-04 s504 streamed")).message).toMatch(/ Response: upstream request timeout$/);
  expect((await shown("2026-04 s503e streamed")).message).not.toContain("Response:");
  expect((await shown("2026-01 http500sse streamed")).message).toMatch(/ Response: \{"error":/);
});

/** Opens a stream of a body with this content type, in small chunks. */
async function open(body: string, type = "text/event-stream", size = 9): Promise<PredictStream> {
  const server = await startStreamServer(inChunks(body, size, { "content-type": type }));
  return clientOf(server).stream("x");
}

const event = (data: unknown) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
const chunk = (content: string, reason: string | null = null, index = 0) =>
  event({ choices: [{ index, delta: { content }, finish_reason: reason }] });
const legacy = (text: string, reason: string | null = null) =>
  event({ choices: [{ index: 0, text, finish_reason: reason }] });
const typed = (...types: string[]) => types.map((type) => event({ type })).join("");
const usage = event({ choices: [], usage: { total_tokens: 3 } });
const toolCall = event({
  choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { name: "f", arguments: "{}" } }] } }],
});

describe("an event stream that is complete", () => {
  test.each([
    ["with [DONE]", `${chunk("a")}${event("[DONE]")}`],
    ["with [DONE] between blanks", `${chunk("a")}data:   [DONE]  \n\n`],
    ["with [DONE] that no line break ends", `${chunk("a")}data: [DONE]`],
    ["with [DONE] after finish reasons that are empty", `${chunk("a", "")}${chunk("b", "")}${event("[DONE]")}`],
    ["with a finish_reason and no [DONE]", chunk("a") + chunk("", "stop")],
    ["with a finish_reason before the usage", chunk("a", "length") + usage],
    ["with a finish_reason for each choice", chunk("a") + chunk("b", "stop", 1) + chunk("a", "stop", 0)],
    ["with a finish_reason for tool calls", toolCall + chunk("", "tool_calls")],
    ["with a repeated last chunk", chunk("a") + chunk("b", "stop") + chunk("b", "stop")],
    ["as a legacy completion", legacy("a") + legacy("", "stop")],
    ["in Anthropic's form", typed("message_start", "content_block_start", "message_delta", "message_stop")],
    ["in the Responses form", typed("response.created", "response.output_text.delta", "response.completed")],
    ["in the Responses form that ends early", typed("response.created", "response.incomplete")],
  ])("%s", async (_, body) => {
    const stream = await open(body);
    expect(stream.isComplete).toBeUndefined();
    await collect(stream.events());
    expect(stream.isComplete).toBe(true);
  });

  test.each([
    ["plain text", event("hello") + event("world")],
    ["its own JSON", event({ token: "a" }) + event({ token: "b" })],
    ["choices of another kind", event({ choices: ["red", "blue"] }) + event({ choices: [{ label: "red" }] })],
    ["comments and no event", ": ping\n\n: ping\n\n"],
    ["nothing", ""],
    ["an unknown field before its last event", `${event("a")}Bad Request\ndata: b\n\n`],
    ["blank lines at the end", `${event("a")}\n \n\t\n`],
    ["a last event that no line break ends", 'data: {"a":1}\n\ndata: {"a":2}'],
  ])("has no known end with %s", async (_, body) => {
    const stream = await open(body);
    await collect(stream.events());
    expect(stream.isComplete).toBeUndefined();
  });

  test("is detected if only its end is kept", async () => {
    const long = Array.from({ length: 40 }, (_, i) => chunk(`${i}${"x".repeat(100_000)}`)).join("");
    const stream = await open(long + chunk("", "stop"), "text/event-stream", 65_536);
    expect(await collect(stream.events())).toHaveLength(41);
    expect(stream.isComplete).toBe(true);
    const cut = await open(long, "text/event-stream", 65_536);
    expect(await errorOf(collect(cut.events()))).toBeInstanceOf(EasStreamError);
  });
});

describe("an event stream that was cut off", () => {
  test.each([
    ["without [DONE] and finish_reason", chunk("a") + chunk("b"), "without [DONE] and without a finish_reason"],
    ["after empty finish reasons", chunk("a", "") + chunk("b", ""), "without [DONE]"],
    ["with one of two choices unfinished", chunk("a") + chunk("b", "stop", 1), "without [DONE]"],
    ["in a legacy completion", legacy("a"), "without [DONE]"],
    ["after a tool call's delta", toolCall, "without [DONE]"],
    ["with the gateway's line", `${chunk("a", "stop")}Bad Request\n`, "The LLM gateway sends this line"],
    ["with the gateway's line that is not ended", `${event("a")}Bad Request`, '"Bad Request"'],
    ["with the gateway's line alone", "Bad Request\n", "after 0 events"],
    ["with the page of a proxy", `${event("a")}<html>502</html>\n`, "not part of an event stream"],
    ["within the name of a field", `${chunk("a", "stop")}da`, '"da"'],
    ["within an event's JSON", `${event({ n: 1 })}data: {"n":`, "in the middle of an event"],
    ["within [DONE]", `${chunk("a", "stop")}data: [DO`, "in the middle of an event"],
    ["in Anthropic's form", typed("message_start", "content_block_start"), "without the event message_stop"],
    ["in the Responses form", typed("response.created", "response.output_text.delta"), "response.completed"],
  ])("%s", async (_, body, said) => {
    const stream = await open(body);
    const error = await errorOf(collect(stream.events()));
    expect(error).toBeInstanceOf(EasStreamError);
    expect(error.message).toContain(said);
    expect(error).toMatchObject({ received: body, attempts: 1, retryable: true, status: undefined });
    expect(stream.isComplete).toBe(false);
  });

  test("rejects after the events that were received", async () => {
    const events = (await open(chunk("a") + chunk("b"))).events();
    expect((await events.next()).done).toBe(false);
    expect((await events.next()).done).toBe(false);
    expect(await errorOf(events.next())).toBeInstanceOf(EasStreamError);
  });

  test("does not yield the event that was cut off", async () => {
    const events = (await open(`${event({ n: 1 })}data: {"n":`)).events();
    expect((await events.next()).value?.json()).toEqual({ n: 1 });
    expect(await errorOf(events.next())).toBeInstanceOf(EasStreamError);
  });

  test("rejects with an error without the token", async () => {
    const error = await errorOf(collect((await open(`${event("a")}${"x".repeat(75)}${TOKEN}\n`)).events()));
    expect(error.message).toContain("x***");
    expect(JSON.stringify([error, error.message])).not.toContain(TOKEN.slice(0, 5));
  });
});

describe("the end of streams read by other methods", () => {
  test("json() reads the data of an event stream", async () => {
    const stream = await open(`${event({ n: 1 })}data:\n\n: ping\n\n${event({ n: 2 })}${event("[DONE]")}`);
    expect(await collect(stream.json())).toEqual([{ n: 1 }, { n: 2 }]);
    expect(stream.isComplete).toBe(true);
    expect(await errorOf(collect((await open(chunk("a"))).json()))).toBeInstanceOf(EasStreamError);
    expect(await errorOf(collect((await open(event("text"))).json()))).toBeInstanceOf(EasDecodeError);
  });

  test("json() is complete for a single document, and undetermined for JSON lines", async () => {
    const whole = await open('{\n  "a": 1\n}\n', "application/json");
    expect(await collect(whole.json())).toEqual([{ a: 1 }]);
    expect(whole.isComplete).toBe(true);
    for (const separator of ["\n", "\0"]) {
      const lines = await open(`{"a":1}${separator}{"a":2}${separator}`, "application/octet-stream");
      expect(await collect(lines.json())).toHaveLength(2);
      expect(lines.isComplete).toBeUndefined();
    }
  });

  test.each(['{"a":1}\nBad Request\n', '{"a":1}\0Bad Request\n', '{"a":Bad Request\n', "Bad Request\n"])(
    "json() rejects for %j, cut off by the LLM gateway",
    async (body) => {
      const error = await errorOf(collect((await open(body, "application/json")).json()));
      expect(error).toBeInstanceOf(EasStreamError);
      expect(error.message).toContain("The LLM gateway sends this line");
    },
  );

  test("text() and lines() return the received part, and set isComplete", async () => {
    const cut = await open(chunk("a"));
    expect(await cut.text()).toBe(chunk("a"));
    expect(cut.isComplete).toBe(false);
    const whole = await open(chunk("a") + event("[DONE]"));
    await collect(whole.lines());
    expect(whole.isComplete).toBe(true);
    const plain = await open("text", "text/plain");
    await plain.text();
    expect(plain.isComplete).toBeUndefined();
  });

  test("a body with Content-Length is complete", async () => {
    const server = await startStreamServer(({ response }) =>
      response.writeHead(200, { "content-length": 4 }).end("text"),
    );
    for (const read of ["text", "bytes"] as const) {
      const stream = await clientOf(server).stream("x");
      await stream[read]();
      expect(stream.isComplete).toBe(true);
    }
  });

  test("a stream that is left or canceled is not complete", async () => {
    const left = await open(chunk("a") + event("[DONE]"));
    for await (const _ of left.events()) break;
    expect(left.isComplete).toBe(false);
    const cancelled = await open(chunk("a"));
    cancelled.cancel();
    expect(cancelled.isComplete).toBe(false);
  });
});
