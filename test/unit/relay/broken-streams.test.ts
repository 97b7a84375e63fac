import OpenAI from "openai";
import { describe, expect, onTestFinished, test } from "vitest";
import { EasNetworkError, EasStreamError, PredictClient } from "../../../src/index.js";
import { clientOf, collect, errorOf, startServer, TOKEN } from "../../support/calls.js";
import { type Behaviour, raw } from "../../support/misbehaving-server.js";
import { listenRelay } from "../../support/relay.js";

const REPORT = `{"error":{"message":"the service's response was cut off","type":"relay_error","code":502}}`;
const chunk = (content: string, reason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: reason }] })}\n\n`;
const DONE = "data: [DONE]\n\n";

const chunked = (type: string, text: string, more = "") =>
  `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${more}Transfer-Encoding: chunked\r\n\r\n${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** A response that the service breaks off with a connection reset. */
const broken = (type: string, text: string, more = ""): Behaviour => ({
  on: "request",
  run: (socket) => void socket.write(chunked(type, text, more), () => setImmediate(() => socket.resetAndDestroy())),
});
/** A response that the service, or a gateway before it, ends normally. */
const ended = (type: string, text: string, more = "") => raw(`${chunked(type, text, more)}0\r\n\r\n`);

/** Starts a relay before a service with this response. Returns a page's client and the errors reported to the owner. */
async function relayBefore(behaviour: Behaviour) {
  const server = await startServer();
  server.always(behaviour);
  const errors: Error[] = [];
  const origin = await listenRelay({
    client: clientOf(server),
    allow: [{ paths: ["/*"] }],
    onError: (error) => errors.push(error as Error),
  });
  const page = new PredictClient({ customUrl: origin });
  onTestFinished(() => page.close());
  const ask = () => fetch(`${origin}/v1/chat/completions`, { method: "POST", body: "x" });
  return { page, ask, errors };
}

describe("stream that the service breaks off", () => {
  test("ends with an error event, which the page's client reports", async () => {
    const { page, ask, errors } = await relayBefore(broken("text/event-stream", chunk("hel")));
    expect(await (await ask()).text()).toBe(`${chunk("hel")}\nevent: error\ndata: ${REPORT}\n\n`);
    expect(errors).toEqual([expect.any(EasNetworkError)]);
    const stream = await page.stream("x", { path: "/v1/chat/completions" });
    const events = stream.events();
    expect((await events.next()).value?.data).toContain("hel");
    const error = await errorOf(events.next());
    expect(error).toBeInstanceOf(EasStreamError);
    expect(error).toMatchObject({ status: 502, received: expect.stringContaining("hel") });
    expect(error.message).toContain("the service's response was cut off");
    expect(JSON.stringify([error, error.message])).not.toContain(TOKEN);
  });

  test.each(["data: {", 'data: {"choices":[{"ind', "da", "data", "event: x\n", 'data: {"a":1}\n'])(
    "ends with an error event after %j",
    async (part) => {
      const { page } = await relayBefore(broken("text/event-stream", chunk("hel") + part));
      const seen: string[] = [];
      const error = await errorOf(
        (async () => {
          for await (const event of (await page.stream("x")).events()) seen.push(JSON.stringify(event.json()));
        })(),
      );
      expect(error).toBeInstanceOf(EasStreamError);
      expect(error).toMatchObject({ status: 502 });
      expect(seen).toHaveLength(part.endsWith("}\n") ? 2 : 1);
    },
  );

  test("ends with an error event before its first byte", async () => {
    const { ask } = await relayBefore(broken("text/event-stream", ": ping\n\n"));
    expect(await (await ask()).text()).toContain(REPORT);
  });

  test.each([
    ["application/x-ndjson", '{"n":1}\n', "\n"],
    ["application/x-ndjson", '{"n":1}\n{"n":2}', "\n"],
    ["application/jsonl; charset=utf-8", '{"n":1}\n', "\n"],
    ["application/octet-stream", '{"n":1}\0', "\0"],
    ["text/plain", '{"n":1}\0{"n":2}', "\0"],
  ])("ends with an error object: %s, %j", async (type, text, separator) => {
    const { page, ask, errors } = await relayBefore(broken(type, text));
    const whole = text.endsWith(separator) ? text : text + separator;
    expect(await (await ask()).text()).toBe(`${whole}${REPORT}${separator}`);
    expect(errors).toHaveLength(1);
    const error = await errorOf(collect((await page.stream("x")).json()));
    expect(error).toBeInstanceOf(EasStreamError);
    expect(error).toMatchObject({ status: 502 });
  });

  test.each([
    ["text/plain", "half"],
    ["application/json", '{\n  "n":'],
    ["application/json", '{"n":1}\n'],
    ["application/octet-stream", "\u0001\0\0"],
    ["application/octet-stream", "x{\0"],
  ])("fails without a report: %s, %j", async (type, text) => {
    const { ask, errors } = await relayBefore(broken(type, text));
    await expect((await ask()).text()).rejects.toThrow();
    expect(errors).toHaveLength(1);
  });

  test("fails without a report if it is compressed", async () => {
    const { ask } = await relayBefore(broken("text/event-stream", chunk("a"), "Content-Encoding: zstd\r\n"));
    await expect((await ask()).arrayBuffer()).rejects.toThrow();
  });
});

describe("stream that a gateway ends too early", () => {
  test.each([
    ["without [DONE] and finish_reason", chunk("hel")],
    ["with the error line of the LLM gateway", `${chunk("a", "stop")}Bad Request\n`],
    ["within an event", `${chunk("a", "stop")}data: {"cho`],
    ["after more bytes than the relay keeps", chunk("x".repeat(30_000)) + chunk("y".repeat(30_000))],
  ])("ends with an error event: %s", async (_, text) => {
    const { page, ask, errors } = await relayBefore(ended("text/event-stream", text));
    expect(await (await ask()).text()).toBe(`${text}\nevent: error\ndata: ${REPORT}\n\n`);
    expect(errors).toEqual([expect.any(EasStreamError)]);
    expect(await errorOf(collect((await page.stream("x")).events()))).toMatchObject({ code: "ERR_EAS_STREAM" });
  });

  test.each([
    ["with [DONE]", chunk("hel") + DONE],
    ["with a finish_reason", chunk("hel") + chunk("", "stop")],
    ["with a finish_reason after a long text", chunk("x".repeat(60_000)) + chunk("", "stop") + DONE],
    ["with events of another service", "data: hello\n\n: ping\n\n"],
    ["without an event", ""],
  ])("is forwarded unchanged if it ends %s", async (_, text) => {
    const { ask, errors } = await relayBefore(text === "" ? raw(`${EMPTY}`) : ended("text/event-stream", text));
    expect(await (await ask()).text()).toBe(text);
    expect(errors).toEqual([]);
  });
  const EMPTY = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

  test("raises an error in the npm package openai in a page", async () => {
    for (const behaviour of [broken("text/event-stream", chunk("hel")), ended("text/event-stream", chunk("hel"))]) {
      const { page } = await relayBefore(behaviour);
      const openai = new OpenAI({ ...page.openai(), maxRetries: 0 });
      const asked = { model: "m", messages: [{ role: "user" as const, content: "hello" }], stream: true as const };
      const error = await errorOf(openai.chat.completions.create(asked).then(collect<unknown>));
      expect(error).toBeInstanceOf(OpenAI.APIError);
      expect(error.message).toContain("the service's response was cut off");
    }
  });
});
