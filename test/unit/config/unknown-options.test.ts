import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEas } from "../../../src/ai/index.js";
import {
  createEmulator,
  llmGateway,
  llmService,
  type RunningEmulator,
  startEmulator,
} from "../../../src/emulator/index.js";
import { pixelsToTensor } from "../../../src/image/index.js";
import {
  AsyncInferenceClient,
  BladeRequest,
  batch,
  EasyRecRequest,
  fetchTransport,
  JsonRequest,
  PredictClient,
  QueueClient,
  StringRequest,
  TFRequest,
  TorchRequest,
} from "../../../src/index.js";
import { nodeTransport } from "../../../src/node.js";
import { createRelay } from "../../../src/relay/index.js";
import { openTelemetryHooks } from "../../../src/telemetry/opentelemetry.js";

// A misspelled option must not be ignored: it could delete items, drop tags or leave a call without a limit.

let emulator: RunningEmulator;
let client: PredictClient;
let queue: QueueClient;
let jobs: AsyncInferenceClient;

beforeAll(async () => {
  emulator = await startEmulator({ queues: { jobs: { service: ({ body }) => body } } });
  const base = { endpoint: emulator.endpoint, token: emulator.token };
  client = new PredictClient({ ...base, serviceName: "echo" });
  queue = new QueueClient({ ...base, queueName: "jobs" });
  jobs = new AsyncInferenceClient({ ...base, serviceName: "jobs" });
});
afterAll(async () => {
  await Promise.all([client.close(), queue.close(), jobs.close()]);
  await emulator.close();
});

/** Calls a function without its types, which would reject the options at compile time. */
const loose = (target: object, name: string) => (target as Record<string, (...args: unknown[]) => unknown>)[name];

type Case = [name: string, run: (options: Record<string, unknown>) => unknown];

const pixels = { data: new Uint8Array(3), width: 1, height: 1 };
const make = (Class: unknown, base: object) => (options: object) =>
  new (Class as new (options: object) => unknown)({ ...base, ...options });
const method =
  (target: () => object, name: string, ...first: unknown[]) =>
  (options: object) =>
    loose(target(), name)?.call(target(), ...first, options);

const takers: Case[] = [
  ["new PredictClient", make(PredictClient, { endpoint: "h", serviceName: "s" })],
  ["new QueueClient", make(QueueClient, { endpoint: "h", queueName: "q" })],
  ["new AsyncInferenceClient", make(AsyncInferenceClient, { endpoint: "h", serviceName: "s" })],
  ["predict", method(() => client, "predict", "x")],
  ["predictDetailed", method(() => client, "predictDetailed", "x")],
  ["predict with waitForReady", (options) => loose(client, "predict")?.call(client, "x", { waitForReady: options })],
  ["stream", method(() => client, "stream", "x")],
  ["client.fetch", method(() => client, "fetch", "/", { method: "POST", body: "x" })],
  ["openai", method(() => client, "openai")],
  ["anthropic", method(() => client, "anthropic")],
  ["service", method(() => client, "service", "echo")],
  ["ready", method(() => client, "ready")],
  ["connect", method(() => client, "connect", "/")],
  ["batch", (options) => batch(client, ["x"], options)],
  ["put", method(() => queue, "put", "x")],
  ["get", method(() => queue, "get")],
  ["attributes", method(() => queue, "attributes")],
  ["search", method(() => queue, "search", 1)],
  ["count", method(() => queue, "count")],
  ["delete", method(() => queue, "delete", 1)],
  ["commit", method(() => queue, "commit", 1)],
  ["negative", method(() => queue, "negative", 1)],
  ["truncate", method(() => queue, "truncate", 1)],
  ["clear", method(() => queue, "clear")],
  ["end", method(() => queue, "end")],
  ["close", method(() => client, "close")],
  ["watch", method(() => queue, "watch", 0, 1)],
  ["watch with reconnect", (options) => loose(queue, "watch")?.call(queue, 0, 1, { reconnect: options })],
  [
    "consume",
    method(
      () => queue,
      "consume",
      () => {},
    ),
  ],
  ["submit", method(() => jobs, "submit", "x")],
  ["new StringRequest", (options) => new StringRequest("x", options)],
  ["new JsonRequest", (options) => new JsonRequest(options)],
  ["new TFRequest", (options) => new TFRequest("s", options)],
  ["new TorchRequest", (options) => new TorchRequest(options)],
  ["new EasyRecRequest", (options) => new EasyRecRequest(options)],
  ["new BladeRequest", (options) => new BladeRequest("s", options)],
  ["addFetch of Blade", (options) => new BladeRequest("s").addFetch("x", "DT_FLOAT", options)],
  ["pixelsToTensor", (options) => pixelsToTensor(pixels, options)],
  ["nodeTransport", (options) => nodeTransport(options)],
  ["fetchTransport", (options) => fetchTransport(options)],
  ["createRelay", (options) => createRelay({ client, allow: [{ paths: ["/"] }], ...options })],
  ["a rule of createRelay", (options) => createRelay({ client, allow: [{ paths: ["/"], ...options }] })],
  ["createEas", (options) => createEas({ client, ...options })],
  ["openTelemetryHooks", (options) => openTelemetryHooks(options)],
  ["createEmulator", (options) => createEmulator(options)],
  ["startEmulator", (options) => startEmulator(options)],
  ["a queue of the emulator", (options) => createEmulator({ queues: { q: options } })],
  ["a service of the emulator", (options) => createEmulator({ services: { s: { handle: () => "", ...options } } })],
  ["llmGateway", (options) => llmGateway("2026-01", options)],
  ["llmService", (options) => llmService(options)],
  ["a fault of the emulator", (options) => createEmulator().fault({ status: 500, ...options })],
  ["discovery", (options) => new PredictClient({ endpoint: "h", serviceName: "s", discovery: options })],
];

async function errorOf(run: () => unknown): Promise<TypeError & { code?: string }> {
  try {
    await run();
  } catch (error) {
    return error as TypeError;
  }
  throw new Error("nothing was thrown");
}

describe.each(takers)("%s", (_name, run) => {
  test("refuses an option that it does not have, and sends nothing", async () => {
    const before = emulator.requests.length;
    const error = await errorOf(() => run({ frobnicate: 1 }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_OPTION" });
    expect(error.message).toMatch(/unknown option "frobnicate"; (the options are|tags go into)/);
    expect(emulator.requests.length).toBe(before);
  });

  test("is not misled by names that every object inherits", async () => {
    const error = await errorOf(() => run({ hasOwnProperty: 1 }));
    expect(error.message).toContain('unknown option "hasOwnProperty"');
  });
});

test.each<[of: string, option: string, meant: string, run: (options: object) => unknown]>([
  ["get", "auto_delete", "autoDelete", method(() => queue, "get")],
  ["get", "autodelete", "autoDelete", method(() => queue, "get")],
  ["get", "autoDelte", "autoDelete", method(() => queue, "get")],
  ["get", "request_id", "requestId", method(() => queue, "get")],
  ["predict", "retries", "retryCount", method(() => client, "predict", "x")],
  ["predict", "maxRetries", "retryCount", method(() => client, "predict", "x")],
  ["predict", "timeoutMs", "timeout", method(() => client, "predict", "x")],
  ["predict", "abortSignal", "signal", method(() => client, "predict", "x")],
  ["predict", "retrycount", "retryCount", method(() => client, "predict", "x")],
  ["PredictClient", "apiKey", "token", make(PredictClient, {})],
  ["PredictClient", "baseURL", "endpoint", make(PredictClient, {})],
  ["PredictClient", "service_name", "serviceName", make(PredictClient, {})],
  ["QueueClient", "queue", "queueName", make(QueueClient, {})],
  [
    "consume",
    "concurency",
    "concurrency",
    method(
      () => queue,
      "consume",
      () => {},
    ),
  ],
])("%s: %s suggests %s", async (_of, option, meant, run) => {
  expect((await errorOf(() => run({ [option]: 1 }))).message).toContain(
    `unknown option ${JSON.stringify(option)}; did you mean ${meant}?`,
  );
});

test("refuses tags at the top level of a put, and names the option tags", async () => {
  const error = await errorOf(() => queue.put("x", { k: "v" } as never));
  expect(error.message).toContain('put: unknown option "k"; tags go into { tags: { … } }');
  expect(await queue.count()).toBe(0);
});

test("a queue refuses options that only predictions have", async () => {
  for (const option of ["compression", "decompression", "requestPath"]) {
    const error = await errorOf(() => make(QueueClient, { endpoint: "h", queueName: "q" })({ [option]: "gzip" }));
    expect(error.message).toContain(`QueueClient: unknown option "${option}"`);
  }
});

test("the error does not show the value, which may be a token", async () => {
  const error = await errorOf(() => make(PredictClient, {})({ apiKey: "secret-token" }));
  expect(error.message).not.toContain("secret-token");
});
