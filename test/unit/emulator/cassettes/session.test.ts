import { expect, onTestFinished, test } from "vitest";
import {
  createEmulator,
  type EmulatorOptions,
  heldOutDigits,
  loadCassette,
  type Recorder,
  type RunningEmulator,
  scorecardSamples,
  startEmulator,
} from "../../../../src/emulator/index.js";
import {
  BladeRequest,
  CaffeRequest,
  EasyRecRequest,
  OnnxRequest,
  PredictClient,
  QueueClient,
  TFRequest,
  TorchRecRequest,
  TorchRequest,
  tensor,
} from "../../../../src/index.js";
import { collect, TOKEN } from "../../../support/calls.js";
import {
  allBytes,
  type RawRequest,
  type RawResponse,
  sendRaw,
  temporaryDirectory,
} from "../../../support/cassettes.js";

const OPTIONS: EmulatorOptions = {
  token: TOKEN,
  queues: { q: {}, job: { service: ({ body }) => body } },
  services: {
    talk: {
      handle: () => "",
      socket: (_, socket) => {
        socket.onMessage = (message) => {
          socket.send(message);
          if (message === "bye") socket.close(4001, "goodbye");
        };
      },
    },
    gzipped: { handle: () => "x".repeat(5000), compressor: "gzip" },
    files: { handle: ({ method, path }) => `${method} ${path}`, methods: ["GET", "HEAD", "PUT", "DELETE"] },
    none: () => new Response(null, { status: 204 }),
  },
};

/** Starts an emulator with a recorder that writes into a temporary directory. */
async function record(): Promise<{ directory: string; recorder: Recorder; emulator: RunningEmulator }> {
  const directory = await temporaryDirectory();
  const emulator = await startEmulator(OPTIONS);
  onTestFinished(() => emulator.close());
  return { directory, emulator, recorder: await emulator.record({ directory }) };
}

/** Starts an emulator that has nothing but a cassette. */
async function replay(directory: string): Promise<RunningEmulator> {
  const emulator = await startEmulator({ cassettes: await loadCassette(directory), token: "another token" });
  onTestFinished(() => emulator.close());
  return emulator;
}

/** One request in each format, with the body that the SDK sends. */
async function formatRequests(): Promise<RawRequest[]> {
  const [image] = heldOutDigits.images as [number[]];
  const torchRec = new TorchRecRequest().addUserFeature("pixels", image, "LIST<FLOAT>").addItemId("7");
  const easyRec = new EasyRecRequest().addUserFeature("pixels", image.join(","), "STRING").addItemId("7");
  const requests = {
    digits: [
      new TFRequest("predict_images").addFeed("images", [1, 64], "DT_FLOAT", image),
      new TorchRequest().addFeed(0, tensor([1, 64], Float32Array.from(image))),
      new BladeRequest("predict_images").addFeed("images", 1, [1, 64], "DT_FLOAT", image),
      new CaffeRequest().addFeed("images", [1, 64], image),
      new OnnxRequest().addTensor("images", [1, 64], "DT_FLOAT", Float32Array.from(image)),
    ],
    ranker: [torchRec, easyRec],
    scorecard: [JSON.stringify(scorecardSamples.slice(0, 2))],
    echo: ["text 文本", Uint8Array.from({ length: 256 }, (_, i) => i), ""],
  };
  const emulator = createEmulator(OPTIONS);
  for (const [serviceName, bodies] of Object.entries(requests)) {
    const settings = { serviceName, token: TOKEN, transport: emulator.transport };
    await using client = new PredictClient({ endpoint: "http://emulator", ...settings });
    for (const body of bodies) await client.predict(body as string).catch(() => {});
  }
  return emulator.requests.map(({ method, url, body }) => ({ method, path: url, body }));
}

const chat = (content: string, stream: boolean): RawRequest => ({
  path: "/api/predict/llm/v1/chat/completions",
  headers: { "content-type": "application/json", authorization: `Bearer ${TOKEN}` },
  body: JSON.stringify({ model: "eas-ngram", messages: [{ role: "user", content }], max_tokens: 12, seed: 1, stream }),
});

/** Sends a session with Node's HTTP client, and returns all responses. */
async function rawSession(endpoint: string, formats: readonly RawRequest[]): Promise<RawResponse[]> {
  const predict = "/api/predict/";
  const requests: RawRequest[] = [
    ...formats,
    chat("子曰", true),
    chat("子曰", false),
    // The same request again has the next recorded response, with another ID.
    chat("子曰", true),
    { method: "GET", path: `${predict}llm/v1/models` },
    { path: `${predict}missing`, body: "x" },
    { path: `${predict}llm/v1/chat/completions`, body: "{" },
    { method: "PATCH", path: `${predict}echo`, body: "x" },
    { path: `${predict}echo`, headers: { authorization: "wrong" }, body: "denied" },
    { path: `${predict}gzipped`, body: "x", headers: { "accept-encoding": "gzip" } },
    { path: `${predict}none`, body: "x" },
    ...["GET", "HEAD", "PUT", "DELETE"].map((method) => ({ method, path: `${predict}files/a%2Fb/?x=1&x=2&y=%20` })),
    { path: `${predict}q?_priority_=1&tag=%E4%B8%AD`, body: Uint8Array.of(0, 255) },
    { method: "GET", path: `${predict}q?_index_=0&_length_=1&_timeout_=5s&_auto_delete_=true&_raw_=false` },
    { method: "GET", path: `${predict}q?_attrs_=true` },
    { method: "DELETE", path: `${predict}q?_indexes_=1` },
  ];
  const responses: RawResponse[] = [];
  for (const each of requests) {
    responses.push(await sendRaw(endpoint, { ...each, headers: { authorization: TOKEN, ...each.headers } }));
  }
  return responses;
}

test("replays a session of an emulator byte for byte to an unrelated HTTP client", async () => {
  const { directory, recorder, emulator } = await record();
  const formats = await formatRequests();
  expect(formats).toHaveLength(11);
  const recorded = await rawSession(recorder.endpoint, formats);
  expect(recorder.warnings).toEqual([]);
  expect(emulator.requests).toHaveLength(recorded.length);
  await emulator.close();
  expect(new Set(recorded.map(({ status }) => status))).toEqual(new Set([200, 204, 400, 401, 404, 405, 415]));

  const player = await replay(directory);
  expect(await rawSession(player.endpoint, formats)).toEqual(recorded);
  expect(await allBytes(directory)).not.toContain(TOKEN);

  // The memory emulator has the same responses.
  const memory = createEmulator({ cassettes: await loadCassette(directory) });
  for (const [i, { method = "POST", path, body }] of formats.entries()) {
    const response = await memory.fetch(new Request(`http://emulator${path}`, { method, body: body as BodyInit }));
    expect(response.status).toBe(recorded[i]?.status);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(recorded[i]?.body);
  }
});

test("keeps the chunks of a stream, which arrive at the client while they are sent", async () => {
  const { directory, recorder, emulator } = await record();
  const texts = ["data: one\n\n", "data: 2\n\n", "data: drei\n\n"];
  let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  emulator.addService("steps", () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        stream = controller;
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  });
  const headers = { authorization: TOKEN };
  const response = await fetch(`${recorder.endpoint}/api/predict/steps`, { method: "POST", headers, body: "x" });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (const text of texts) {
    // The service sends the next chunk only after the client has received the previous one.
    stream?.enqueue(new TextEncoder().encode(text));
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(text);
  }
  stream?.close();
  expect((await reader.read()).done).toBe(true);
  await recorder.close();
  const { interactions } = await loadCassette(directory);
  const [{ response: recorded } = {}] = interactions;
  expect(recorded?.chunks?.map(([, bytes]) => bytes)).toEqual(texts.map(({ length }) => length));
  expect(recorded?.headers).toEqual([["content-type", "text/event-stream"]]);
});

/** What a program with the SDK sees of a service and a queue. */
async function sdkSession(endpoint: string, token: string): Promise<unknown[]> {
  await using queue = new QueueClient({ endpoint, queueName: "q", token, uid: "u" });
  await using client = new PredictClient({ endpoint, serviceName: "llm", token });
  const seen: unknown[] = [];
  for (let i = 0; i < 3; i++) seen.push(await queue.put(`item ${i}`, { tags: { n: String(i) } }));
  const watcher = queue.watch(0n, 3);
  for await (const item of watcher) {
    seen.push(item.index, item.data, item.tags);
    await item.commit();
    if (item.tags?.n === "2") break;
  }
  seen.push(await queue.attributes());
  const body = { model: "eas-ngram", messages: [{ role: "user", content: "子曰" }], max_tokens: 8, seed: 1 };
  const path = "/v1/chat/completions";
  seen.push(await client.json(body, { path }));
  seen.push(await collect((await client.stream({ ...body, stream: true }, { path })).events()));
  seen.push(await client.predict("{", { path }).catch((error) => [error.status, error.body]));
  await using talk = new PredictClient({ endpoint, serviceName: "talk", token });
  const socket = await talk.connect();
  socket.send("hello");
  socket.send(Uint8Array.of(1, 2, 3));
  socket.send("bye");
  seen.push(await collect(socket).catch((error) => [error.name, error.message.replace(endpoint, "")]));
  return seen;
}

test("replays queue operations, a watch and WebSockets to the SDK", async () => {
  const { directory, recorder, emulator } = await record();
  const recorded = await sdkSession(recorder.endpoint, TOKEN);
  await emulator.close();
  expect(recorder.warnings).toEqual([]);
  const player = await replay(directory);
  expect(await sdkSession(player.endpoint, TOKEN)).toEqual(recorded);
  expect(await allBytes(directory)).not.toContain(TOKEN);
});
