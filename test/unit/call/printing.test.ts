import { formatWithOptions, inspect } from "node:util";
import { create } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { startEmulator } from "../../../src/emulator/index.js";
import {
  AsyncInferenceClient,
  BladeRequest,
  BladeTFRequest,
  CaffeRequest,
  type DataFrame,
  EasHttpError,
  EasNetworkError,
  EasTimeoutError,
  EasyRecRequest,
  JsonRequest,
  OnnxRequest,
  PredictClient,
  QueueClient,
  StringRequest,
  StringResponse,
  TFRequest,
  TorchRecRequest,
  TorchRequest,
  tensor,
} from "../../../src/index.js";
import { ProtoRequest } from "../../../src/proto/proto-request.js";
import { PredictRequestSchema, PredictResponseSchema } from "../../../src/proto/tf.js";
import { showAsText } from "../../../src/util/inspect.js";
import { errorOf, TOKEN } from "../../support/calls.js";
import { eventually } from "../../support/queue-watch.js";

const WITH_QUERY = `http://127.0.0.1:1/v1?key=${TOKEN}`;

async function open() {
  const emulator = await startEmulator({
    token: TOKEN,
    queues: { q: {} },
    services: { hello: { handle: ({ body }: { body: Uint8Array }) => (body.length > 0 ? body : "hello") } },
  });
  onTestFinished(() => emulator.close());
  const client = new PredictClient({ endpoint: emulator.endpoint, serviceName: "hello", token: TOKEN });
  onTestFinished(() => client.close());
  return { emulator, client, endpoint: emulator.endpoint };
}

/** Expects that consoles show exactly `text`, alone and in other objects, and that it has no token. */
function expectShown(value: object, text: string): void {
  expect(String(value)).toBe(text);
  expect(inspect(value)).toBe(text);
  expect(formatWithOptions({ colors: false }, "%o", value)).toBe(text);
  expect(inspect({ value }, { breakLength: Number.POSITIVE_INFINITY, compact: 9 })).toContain(text);
  expect(text).not.toContain(TOKEN);
  // What is shown without the method, too.
  const tree = inspect(value, { customInspect: false, depth: 9, showHidden: true, getters: true });
  expect(tree).not.toContain(TOKEN);
}

describe("clients", () => {
  test("PredictClient: service and endpoint, without a query", async () => {
    const { client, endpoint } = await open();
    expectShown(client, `PredictClient { service: "hello", endpoint: "${endpoint}" }`);
    expectShown(client.service("other"), `PredictClient { service: "other", endpoint: "${endpoint}" }`);
    expectShown(
      new PredictClient({ customUrl: WITH_QUERY }),
      'PredictClient { service: "", endpoint: "http://127.0.0.1:1/v1?…" }',
    );
    expectShown(new PredictClient(), 'PredictClient { service: "", endpoint: "" }');
  });

  test("QueueClient and AsyncInferenceClient: queue, endpoint, uid and gid", async () => {
    const { endpoint } = await open();
    const queue = new QueueClient({ endpoint, queueName: "q", token: TOKEN, uid: "u", gid: "g" });
    expectShown(queue, `QueueClient { queue: q, endpoint: "${endpoint}", uid: u, gid: g }`);
    const unnamed = new QueueClient({ customUrl: WITH_QUERY, uid: "u" });
    expectShown(unnamed, 'QueueClient { endpoint: "http://127.0.0.1:1/v1?…", uid: u, gid: eas }');
    const async = new AsyncInferenceClient({ endpoint, serviceName: "q", token: TOKEN });
    expectShown(async, `AsyncInferenceClient { service: q, input: ${async.input} }`);
  });
});

describe("results of calls", () => {
  test("streams, before, while and after they are read", async () => {
    const { client, endpoint } = await open();
    const stream = await client.stream("x");
    const type = stream.headers.get("content-type");
    const text = (state: string) =>
      `PredictStream { status: 200, type: ${type}, endpoint: ${endpoint}, state: ${state} }`;
    expectShown(stream, text("not read"));
    for await (const _ of stream) expectShown(stream, text("being read"));
    expectShown(stream, text("ended"));
  });

  test("sockets: URL without its query, subprotocol and state", async () => {
    const { emulator, endpoint } = await open();
    emulator.addService("chat", { handle: () => "", socket: () => {} });
    const client = new PredictClient({ endpoint, serviceName: "chat", token: TOKEN });
    onTestFinished(() => client.close());
    const socket = await client.connect(`/ws?key=${TOKEN}`);
    expectShown(socket, `PredictSocket { url: ${endpoint}/api/predict/chat/ws, state: open }`);
    await socket.close();
    expectShown(socket, `PredictSocket { url: ${endpoint}/api/predict/chat/ws, state: closed with 1000 }`);
  });

  test("put results, frames, watchers and jobs", async () => {
    const { endpoint } = await open();
    const queue = new QueueClient({ endpoint, queueName: "q", token: TOKEN, logger: null });
    onTestFinished(() => queue.close());
    const put = await queue.put("data", { tags: { a: "b" } });
    expectShown(put, `PutResult { index: ${put.index}, requestId: ${put.requestId} }`);
    const [frame] = (await queue.get({ autoDelete: false })) as [DataFrame];
    expect(inspect(frame)).toMatch(new RegExp(`^DataFrame ${put.index} \\(4 bytes\\) { .*a: b.* }$`));
    expectShown(frame, String(frame));
    const watcher = queue.watch(0, 1, { transport: "http" });
    expectShown(watcher, "Watcher { transport: http, state: connecting }");
    await watcher.next();
    await eventually(() => expectShown(watcher, "Watcher { transport: http, state: open }"));
    await watcher.close();
    expectShown(watcher, "Watcher { transport: http, state: closed }");
    expect(inspect(await queue.attributes())).toContain("'stream.length': '1'");

    const async = new AsyncInferenceClient({ endpoint, serviceName: "q", token: TOKEN, logger: null });
    onTestFinished(() => async.close());
    const job = await async.submit("data");
    expectShown(job, `InferenceJob { service: q, index: ${job.index}, requestId: ${job.requestId}, tag: ${job.tag} }`);
  });

  test("responses show their values", async () => {
    const { client, emulator } = await open();
    const digits = client.service("digits");
    const request = new TFRequest("predict_images").addFeed("images", tensor([1, 64], new Float32Array(64)));
    const answer = await digits.predict(request);
    expect(emulator.endpoint).toBeDefined();
    expect(inspect(answer)).toMatch(/^TFResponse { .*scores: DT_FLOAT \[1, 10\] [-\d., …]+.* }$/);
    expectShown(answer, String(answer));
    const scores = answer.getTensor("scores");
    expect(inspect(scores)).toMatch(/^Tensor DT_FLOAT \[1, 10\] [-\d., ]+, …$/);
    expectShown(scores, String(scores));
    expectShown(await client.predict("text"), "text");
  });
});

test("requests show what they hold, not how", () => {
  const values = new Float32Array([1, 2]);
  const text = "DT_FLOAT [1, 2]";
  expectShown(new StringRequest("a text"), "a text");
  expectShown(new StringResponse(new TextEncoder().encode("a text")), "a text");
  expectShown(new TFRequest("s").addFeed("x", [1, 2], "DT_FLOAT", values), `TFRequest(s) { x: ${text} } → all outputs`);
  for (const request of [
    new TorchRequest().addFeed(0, [1, 2], "DT_FLOAT", values),
    new OnnxRequest().addTensor("x", [1, 2], "DT_FLOAT", values),
    new CaffeRequest().addFeed("x", [1, 2], values),
    new BladeRequest().addFeed("x", 1, [1, 2], "DT_FLOAT", values),
    new BladeTFRequest().addFeed("x", [1, 2], "DT_FLOAT", values),
    new EasyRecRequest().addUserFeature("age", 3, "INT"),
    new TorchRecRequest().addUserFeature("age", 3, "INT"),
  ]) {
    expect(inspect(request)).toMatch(new RegExp(`^${request.constructor.name}\\b.*(DT_FLOAT \\[1, 2\\]|age)`));
    expectShown(request, String(request));
  }
  expectShown(new JsonRequest().addRow({ a: 1 }), '{"inputs":[{"a":{"dataType":10,"dataValue":1}}]}');
  const proto = new ProtoRequest(PredictRequestSchema, create(PredictRequestSchema), PredictResponseSchema);
  expectShown(proto, `ProtoRequest { ${PredictRequestSchema.typeName} }`);
});

test("tensors show dtype, shape and the first values", () => {
  expectShown(tensor([2, 5], Array(10).fill(1), "DT_INT32"), "Tensor DT_INT32 [2, 5] 1, 1, 1, 1, 1, 1, 1, 1, …");
  expectShown(tensor([2], ["a", new TextEncoder().encode("é")]), 'Tensor DT_STRING [2] "a", "é"');
  expectShown(tensor([1], [7n], "DT_INT64"), "Tensor DT_INT64 [1] 7");
  expectShown(tensor([0], [], "DT_FLOAT"), "Tensor DT_FLOAT [0] ");
});

describe("errors", () => {
  test("stack, fields, text and cause; no headers, no bytes", async () => {
    const { client, emulator } = await open();
    emulator.fault({ status: 400, body: `no such input: ${"é".repeat(3000)}`, headers: { "x-request-id": "r-1" } });
    const error = await errorOf(client.predict("x"));
    const text = inspect(error);
    expect(text).toMatch(/^EasHttpError: POST .* returned 400/);
    expect(text).toMatch(/\n {4}at /);
    expect(text).toMatch(/code: 'ERR_EAS_HTTP'/);
    expect(text).toMatch(/status: 400/);
    expect(text).toMatch(/requestId: 'r-1'/);
    expect(text).toMatch(/text: 'no such input: é/);
    expect(text).not.toMatch(/headers|Uint8Array|body:/);
    expect(text.length).toBeLessThan(6000);
    expect(text).not.toContain(TOKEN);
  });

  test("a cause is shown with its own stack", () => {
    const cause = Object.assign(new TypeError("inner"), { code: "EINNER" });
    const error = new EasNetworkError("outer", { cause, systemCode: "EINNER" });
    const text = inspect(error);
    expect(text.startsWith("EasNetworkError: outer\n    at ")).toBe(true);
    expect(text).toMatch(/cause: TypeError: inner\n\s+at /);
    expect(text).toContain("systemCode: 'EINNER'");
    // As the cause of another error, it is shown in the same way.
    expect(inspect(new Error("around", { cause: error }))).toContain("EasNetworkError: outer\n");
    expect(inspect(new EasTimeoutError("late", { phase: "total", timeout: 5 }))).not.toContain("cause");
  });

  test("an uncaught error is shown as consoles show it, and String is short", () => {
    const error = new EasHttpError("no", { status: 400, headers: new Headers(), body: new Uint8Array(2), hint: "h" });
    expect(String(error)).toBe("EasHttpError: no");
    expect(inspect(error)).toContain("hint: 'h'");
  });
});

describe("the method", () => {
  const SYMBOL = Symbol.for("nodejs.util.inspect.custom");

  test("is on the class and not on the object", () => {
    const request = new StringRequest("x");
    expect(Reflect.ownKeys(request)).toEqual(["compression"]);
    expect(Object.keys(StringRequest.prototype)).toEqual([]);
    expect(SYMBOL in request).toBe(true);
  });

  test("can be replaced by a subclass", () => {
    class Mine extends StringRequest {
      [inspect.custom]() {
        return "mine";
      }
    }
    expect(inspect(new Mine("x"))).toBe("mine");
  });

  test("a frozen class can still be constructed", () => {
    class Frozen {
      constructor() {
        showAsText(this);
      }
    }
    Object.freeze(Frozen.prototype);
    expect(inspect(new Frozen())).toBe("Frozen {}");
  });
});
