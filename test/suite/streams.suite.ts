import OpenAI from "openai";
import { demoClient, openService } from "./clients.js";
import { expect, expectError, rejection } from "./expect.js";
import { test } from "./harness.js";

const CHINESE = "学而时习之，不亦说乎？🙂\n有朋自远方来，不亦乐乎？\n";
const JSON_TYPE = { "content-type": "application/json" };
const chat = (more = {}) =>
  JSON.stringify({
    model: "eas-ngram",
    messages: [{ role: "user", content: "学而时习之，" }],
    temperature: 0,
    max_tokens: 16,
    stream: true,
    ...more,
  });

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

test("stream", "decodes characters that are split between chunks", async (test) => {
  const { client } = await openService(test, "pieces");
  const stream = await client.stream(CHINESE);
  expect(stream.status).to.equal(200);
  expect(await stream.text()).to.equal(CHINESE);
  expect(await collect((await client.stream(CHINESE)).lines())).to.deep.equal(CHINESE.trim().split("\n"));
});

test("stream", "yields bytes while the service still sends", async (test) => {
  const { client } = await openService(test, "endless");
  let count = 0;
  for await (const piece of await client.stream("x")) {
    expect(piece.length).to.be.greaterThan(0);
    if (++count === 3) break;
  }
  expect(count).to.equal(3);
});

test("stream", "parses JSON lines, JSON separated by NUL, and events", async (test) => {
  const { client } = await openService(test, "pieces");
  const values = [{ n: 1 }, "字", [2]];
  for (const separator of ["\n", "\0"]) {
    const sent = values.map((value) => JSON.stringify(value)).join(separator);
    expect(await collect((await client.stream(sent)).json())).to.deep.equal(values);
  }
  const events = await collect((await client.stream("id: 1\r\ndata: 字\r\n\r\ndata: [DONE]\r\n\r\nx")).events());
  expect(events.map(({ event, data, id }) => [event, data, id])).to.deep.equal([["message", "字", "1"]]);
});

test("stream", "rejects with the caller's reason on abort, and frees the connection slot", async (test) => {
  const { client } = await openService(test, "stalls", { maxConnectionCount: 2 });
  const reason = new Error("enough");
  for (let i = 0; i < 3; i++) {
    const controller = test.signal();
    const stream = await client.stream("x", { signal: controller.signal });
    const reading = rejection(stream.text());
    controller.abort(reason);
    expect(await reading).to.equal(reason);
  }
});

test("stream", "times out if the service falls silent", async (test) => {
  const { client } = await openService(test, "stalls");
  const stream = await client.stream("x", { idleTimeout: 200 });
  expectError(await rejection(stream.text()), { name: "EasTimeoutError", phase: "idle", received: "first" });
});

test("stream", "reports a broken connection with the received text", async (test) => {
  const { client, service, counterpart } = await openService(test, "pieces");
  await counterpart.fault({ service, reset: "in-body", chunks: 2 });
  const error = await rejection((await client.stream("0123456789".repeat(10))).text());
  expectError(error, { name: "EasNetworkError", retryable: true });
});

test("pace", "applies backpressure to the service", async (test) => {
  const { client } = await openService(test, "flood");
  const { client: counter } = await openService(test, "flooded");
  const stream = await client.stream("x", { query: { id: client.openai().baseURL } });
  const pieces = stream[Symbol.asyncIterator]();
  await pieces.next();
  let before = -1;
  let sent = 0;
  while (sent !== before) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 300));
    sent = Number(await counter.predict("", { query: { id: client.openai().baseURL } }));
  }
  // Without backpressure, 256 MiB would arrive.
  expect(sent).to.be.lessThan(64 * 1024 * 1024);
  await pieces.return();
});

test("stream", "reports an error of the service in the middle of a stream", async (test) => {
  const { client } = await openService(test, "pieces");
  const stream = await client.stream('data: {"n":1}\n\ndata: {"error":{"message":"out of memory","code":500}}\n\n');
  const events = stream.events();
  expect((await events.next()).value?.json()).to.deep.equal({ n: 1 });
  const error = await rejection(events.next());
  expectError(error, {
    name: "EasStreamError",
    status: 500,
    received: 'data: {"n":1}\n\ndata: {"error":{"message":"out of memory","code":500}}\n\n',
  });
});

test("stream", "retries only streams that have not begun", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "pieces");
  await counterpart.fault({ service, status: 503, body: "no healthy upstream" });
  expect(await (await client.stream("x")).text()).to.equal("x");
  await counterpart.fault({ service, status: 500 });
  expectError(await rejection(client.stream("x")), { name: "EasHttpError", status: 500, attempts: 1 });
  expect(await requests()).to.have.length(3);
});

test("stream", "waits for a cold start", async (test) => {
  const { client, service, counterpart, requests } = await openService(test, "pieces");
  await counterpart.fault({ service, status: 503, body: "no healthy upstream", times: 2 });
  const heard: string[] = [];
  const waitForReady = { onWait: (_: number, reason: string) => heard.push(reason) };
  expect(await (await client.stream("x", { waitForReady })).text()).to.equal("x");
  expect(heard).to.deep.equal(["no healthy upstream", "no healthy upstream"]);
  expect((await requests()).map(({ method }) => method)).to.deep.equal(["POST", "GET", "GET", "POST"]);
});

test("llm", "yields tokens as events", async (test) => {
  const stream = await demoClient(test, "llm").stream(chat(), { path: "/v1/chat/completions", headers: JSON_TYPE });
  const events = await collect(stream.events());
  expect(events.length).to.be.greaterThan(5);
  const text = events.map((event) => event.json<OpenAI.ChatCompletionChunk>().choices[0]?.delta.content ?? "").join("");
  expect(text).to.match(/\p{Script=Han}/u);
});

test("llm", "resolves client.fetch for any status", async (test) => {
  const { fetch } = demoClient(test, "llm");
  const models = await fetch("/v1/models");
  expect([models.status, (await models.json()).data[0].id]).to.deep.equal([200, "eas-ngram"]);
  const wrong = await fetch("/v1/chat/completions", { method: "POST", body: "no JSON", headers: JSON_TYPE });
  expect([wrong.status, wrong.ok, typeof (await wrong.json()).message]).to.deep.equal([400, false, "string"]);
  expectError(await rejection(fetch("http://other.example/v1/models")), { code: "ERR_EAS_ARG_PATH" });
});

test("llm", "sends a stream as a body", async (test) => {
  const { client } = await openService(test, "echo");
  const body = new Response(CHINESE).body as ReadableStream<Uint8Array>;
  const answer = await client.fetch("/", { method: "POST", body });
  expect(await answer.text()).to.equal(CHINESE);
});

test("openai", "completes a chat, whole and streamed", async (test) => {
  const openai = new OpenAI({ ...demoClient(test, "llm").openai(), dangerouslyAllowBrowser: true });
  const asked = JSON.parse(chat({ stream: undefined })) as OpenAI.ChatCompletionCreateParamsNonStreaming;
  const whole = await openai.chat.completions.create(asked);
  const chunks = await collect(await openai.chat.completions.create({ ...asked, stream: true }));
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  expect(text).to.equal(whole.choices[0]?.message.content);
});
