import { getEventListeners } from "node:events";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  createEmulator,
  type EmulatorCall,
  type EmulatorHandler,
  type EmulatorQueueOptions,
  startEmulator,
} from "../../../../src/emulator/index.js";
import {
  AsyncInferenceClient,
  type AsyncInferenceClientOptions,
  EasModelError,
  EasTimeoutError,
  type InferenceJob,
  type InferenceJobJson,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from "../../../../src/index.js";
import { errorOf, thrownBy, turn, until, watch } from "../../../support/calls.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const echo: EmulatorHandler = ({ body }) => `<${text(body)}>`;

/** Wraps a transport so that the test controls each exchange. */
function around(
  transport: Transport,
  act: (request: TransportRequest, send: () => Promise<TransportResponse>) => Promise<TransportResponse>,
): Transport {
  return { send: (request) => act(request, () => transport.send(request)), close: async () => {} };
}

/** Wraps a transport so that it hides response headers, as browsers do when the service does not expose them. */
const withoutHeader = (transport: Transport) =>
  around(transport, async (_, send) => {
    const answer = await send();
    answer.headers.delete("x-eas-queueservice-request-id");
    return answer;
  });

/** Creates an emulator with the service "q", and clients that reach it in memory. */
function open(options: EmulatorQueueOptions = { service: echo }) {
  const emulator = createEmulator({ token: "t", queues: { q: options } });
  const { input, sink } = emulator.queue("q")!;
  const client = (own: Partial<AsyncInferenceClientOptions> = {}) =>
    closing(
      new AsyncInferenceClient({
        endpoint: "http://emulator",
        serviceName: "q",
        token: "t",
        transport: emulator.transport,
        ...own,
      }),
    );
  /** Returns the gets that the sink has received. */
  const gets = () => emulator.requests.filter(({ method, url }) => method === "GET" && url.includes("/sink?"));
  return { emulator, input, sink, client, gets };
}

function closing(client: AsyncInferenceClient): AsyncInferenceClient {
  onTestFinished(() => client.close());
  return client;
}

/** Creates a service whose calls stay pending until the test answers them. */
function byHand() {
  const calls: { call: EmulatorCall; answer: (answer: Awaited<ReturnType<EmulatorHandler>>) => void }[] = [];
  const service: EmulatorHandler = (call) => new Promise((answer) => calls.push({ call, answer }));
  return { calls, service };
}

async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

describe("a result", () => {
  test("has the tags of the request, and is deleted from both queues", async () => {
    const { emulator, input, sink, client, gets } = open();
    const job = await client().submit("a", { tags: { user: "键", n: "1" } });
    const frame = await job.result();
    expect(frame.text()).toBe("<a>");
    expect(frame.tags).toMatchObject({ user: "键", n: "1", easJob: job.tag });
    expect(frame.requestId).toBe(job.requestId);
    expect([input.length, sink.length]).toEqual([0, 0]);
    const { searchParams } = new URL(gets()[0]!.url, "http://e");
    expect(Object.fromEntries(searchParams)).toMatchObject({
      requestId: job.requestId,
      _auto_delete_: "false",
      _timeout_: "20000ms",
    });
    expect(emulator.requests.map(({ method }) => method).slice(-2)).toEqual(["GET", "DELETE"]);
  });

  test("is found by the client's own tag when the request id is hidden", async () => {
    const { emulator, sink, client, gets } = open();
    const hidden = client({ transport: withoutHeader(emulator.transport) });
    const jobs = [await hidden.submit("a"), await hidden.submit("b", { tags: { user: "u" } })];
    expect(jobs.map(({ requestId }) => requestId)).toEqual([undefined, undefined]);
    const frames = await Promise.all([...jobs].reverse().map((job) => job.result()));
    expect(frames.map((frame) => frame.text())).toEqual(["<b>", "<a>"]);
    expect(frames[0]?.tags.user).toBe("u");
    expect(sink.length).toBe(0);
    expect(gets().every(({ url }) => url.includes("easJob=") && !url.includes("requestId="))).toBe(true);
    expect(Object.keys(jobs[0]!.toJSON())).toEqual(["service", "index", "tag"]);
  });

  test.each([204, 200] as const)("is waited for when it is not there yet (%s)", async (emptyGet) => {
    const { calls, service } = byHand();
    const { client, gets } = open({ service, emptyGet });
    const job = await client().submit("a");
    const result = job.result();
    const watched = watch(result);
    await until(() => calls.length === 1 && gets().length === 1);
    await turns();
    expect(watched.state).toBe("pending");
    calls[0]?.answer("done");
    expect((await result).text()).toBe("done");
    expect(gets()).toHaveLength(1);
  });

  test.each([
    [new Response("busy", { status: 503 }), 503, "busy"],
    [new Response(null, { status: 500 }), 500, ""],
  ])("rejects with an EasModelError when the model failed, and is deleted", async (answer, status, body) => {
    const { sink, client } = open({ service: () => answer });
    const job = await client().submit("a");
    const error = (await errorOf(job.result())) as unknown as EasModelError;
    expect(error).toBeInstanceOf(EasModelError);
    expect(error).toMatchObject({ code: "ERR_EAS_MODEL", status, requestId: job.requestId });
    expect(text(error.body)).toBe(body);
    expect(error.message).toContain(`${status}`);
    expect(sink.length).toBe(0);
  });

  test("is matched to its job when the model answers out of order", async () => {
    const { calls, service } = byHand();
    const { client } = open({ service, workers: 5 });
    const queue = client();
    const jobs: InferenceJob[] = [];
    for (const name of ["a", "b", "c", "d", "e"]) jobs.push(await queue.submit(name));
    const results = Promise.all(jobs.map((job) => job.result()));
    await until(() => calls.length === 5);
    for (const { call, answer } of calls.reverse()) answer(`of ${text(call.body)}`);
    expect((await results).map((frame) => frame.text())).toEqual(["of a", "of b", "of c", "of d", "of e"]);
  });

  test("resolves all concurrent result() calls of a job", async () => {
    const { calls, service } = byHand();
    const { client, gets } = open({ service });
    const job = await client().submit("a");
    const results = Promise.all([job.result(), job.result()]);
    await until(() => calls.length === 1 && gets().length === 2);
    calls[0]?.answer("done");
    expect((await results).map((frame) => frame.text())).toEqual(["done", "done"]);
  });

  test("is not lost when the response that carries it is lost", async () => {
    const { emulator, sink, client } = open();
    let lost = 0;
    const transport = around(emulator.transport, async (request, send) => {
      const answer = await send();
      if (request.method !== "GET" || !request.path.includes("/sink?") || answer.status !== 200 || ++lost > 2) {
        return answer;
      }
      throw new TransportError("the connection broke", { sent: "maybe" });
    });
    const job = await client({ transport }).submit("a");
    expect((await job.result()).text()).toBe("<a>");
    expect(lost).toBe(3);
    expect(sink.length).toBe(0);
  });

  test("is not lost when the sink fails temporarily", async () => {
    const { emulator, sink, client } = open();
    const job = await client().submit("a");
    await until(() => sink.length === 1);
    emulator.fault({ status: 503, times: 2 });
    emulator.fault({ reset: "before-headers" });
    expect((await job.result()).text()).toBe("<a>");
  });

  test.each([
    ["is refused", async () => ({ status: 400, headers: new Headers(), body: new Uint8Array(0) })],
    [
      "does not arrive",
      () => Promise.reject(new TransportError("the connection broke", { sent: "maybe", final: true })),
    ],
  ])("is returned even if its deletion %s", async (_, answer) => {
    const { emulator, sink, client } = open();
    const transport = around(emulator.transport, (request, send) =>
      request.method === "DELETE" ? (answer() as Promise<TransportResponse>) : send(),
    );
    const job = await client({ transport }).submit("a");
    expect((await job.result()).text()).toBe("<a>");
    expect(sink.length).toBe(1);
  });

  test("is removed from a full sink, so that the service can continue", async () => {
    const { input, sink, client } = open({ service: echo, sinkMaxLength: 1 });
    const queue = client();
    const jobs: InferenceJob[] = [];
    for (const name of ["a", "b", "c"]) jobs.push(await queue.submit(name));
    await until(() => sink.length === 1);
    await turns();
    expect([input.length, sink.length]).toEqual([2, 1]);
    // The last job waits first, and must not block the earlier jobs.
    const last = jobs[2]!.result();
    expect((await jobs[0]!.result()).text()).toBe("<a>");
    expect((await jobs[1]!.result()).text()).toBe("<b>");
    expect((await last).text()).toBe("<c>");
  });
});

describe("a wait", () => {
  test("times out after its timeout and not earlier, and can be repeated", async () => {
    const { calls, service } = byHand();
    const { client } = open({ service });
    const job = await client().submit("a");
    const began = performance.now();
    const error = await errorOf(job.result({ timeout: 60 }));
    // Services answer 5 % before the requested time.
    expect(performance.now() - began).toBeGreaterThanOrEqual(60);
    expect(error).toBeInstanceOf(EasTimeoutError);
    expect(error).toMatchObject({ phase: "total", timeout: 60, retryable: true, requestId: job.requestId });
    await until(() => calls.length === 1);
    calls[0]?.answer("late");
    expect((await job.result({ timeout: 10_000 })).text()).toBe("late");
  });

  test("times out when the model returns no result", async () => {
    const { input, client } = open({ service: () => "" });
    const job = await client().submit("a");
    await until(() => input.length === 0);
    expect(await errorOf(job.result({ timeout: 20 }))).toMatchObject({ code: "ERR_EAS_TIMEOUT" });
  });

  test.each([0, -1, Number.NaN, "5s"])("refuses the timeout %s", async (timeout) => {
    const { client, gets } = open();
    const job = await client().submit("a");
    expect(await errorOf(job.result({ timeout: timeout as number }))).toMatchObject({ code: "ERR_EAS_ARG_TIMEOUT" });
    expect(await errorOf(job.result({ signal: {} as never }))).toMatchObject({ code: "ERR_EAS_ARG_OPTION" });
    expect(gets()).toEqual([]);
  });

  test.each([
    ["a wait at the service", 100],
    ["a wait between two gets", 1],
  ])("aborts %s immediately, after which the wait can be repeated", async (_, maxConnectionCount) => {
    const { calls, service } = byHand();
    const { client, gets } = open({ service });
    const job = await client({ maxConnectionCount }).submit("a");
    const controller = new AbortController();
    const watched = watch(job.result({ signal: controller.signal }));
    await until(() => gets().length === 1 && calls.length === 1);
    await turns();
    expect(watched.state).toBe("pending");
    const reason = new Error("mine");
    controller.abort(reason);
    await turn();
    expect(watched).toEqual({ state: "rejected", value: reason });
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    calls[0]?.answer("done");
    expect((await job.result()).text()).toBe("done");
  });

  test("sends no request when its signal has already fired", async () => {
    const { client, gets } = open();
    const job = await client().submit("a");
    expect(await errorOf(job.result({ signal: AbortSignal.abort("gone") }))).toBe("gone");
    expect(gets()).toEqual([]);
  });

  test("removes its listener from its signal", async () => {
    const { client } = open();
    const { signal } = new AbortController();
    const queue = client();
    await (await queue.submit("a")).result({ signal });
    await errorOf(queue.resume({ index: "7", tag: "nobody" }).result({ signal, timeout: 20 }));
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("does not flood a queue that answers immediately because it has ended", async () => {
    const { client, gets } = open();
    const queue = client();
    await queue.sink.end();
    const controller = new AbortController();
    const result = errorOf(queue.resume({ index: "7", tag: "nobody" }).result({ signal: controller.signal }));
    await until(() => gets().length === 1);
    await turns(100);
    expect(gets()).toHaveLength(1);
    controller.abort();
    await result;
  });

  test.each([1, 2, 3])("returns twenty results over %s connections, and lets other calls pass", async (count) => {
    const { calls, service } = byHand();
    const emulator = await startEmulator({ token: "t", queues: { q: { service, workers: 30 } } });
    onTestFinished(() => emulator.close());
    const { endpoint } = emulator;
    const client = closing(
      new AsyncInferenceClient({ endpoint, serviceName: "q", token: "t", maxConnectionCount: count }),
    );
    const jobs = await Promise.all(Array.from({ length: 20 }, (_, i) => client.submit(`${i}`)));
    const { signal } = new AbortController();
    const results = jobs.map((job) => job.result({ signal }));
    await until(() => calls.length === 20);
    await until(() => emulator.requests.some(({ url }) => url.includes("/sink?")));
    // Other calls succeed while all jobs wait.
    const another = await client.submit("another");
    expect(await another.position()).toMatchObject({ isPending: true });
    await until(() => calls.length === 21);
    for (const { call, answer } of calls.reverse()) answer(`of ${text(call.body)}`);
    const frames = await Promise.all(results);
    expect(frames.map((frame) => frame.text())).toEqual(jobs.map((_, i) => `of ${i}`));
    await another.discard();
    expect(emulator.queue("q")?.sink.length).toBe(0);
  });

  test("times out while it is queued behind the maximum number of waits", async () => {
    const { service } = byHand();
    const { client, gets } = open({ service });
    const queue = client({ maxConnectionCount: 2 });
    const held = errorOf((await queue.submit("a")).result());
    await until(() => gets().length === 1);
    const job = await queue.submit("b");
    expect(await errorOf(job.result({ timeout: 30 }))).toMatchObject({ code: "ERR_EAS_TIMEOUT", timeout: 30 });
    await queue.close();
    await held;
  });
});

describe("a request", () => {
  test("reaches the service with its path, content type and tags, and overtakes others by its priority", async () => {
    const { calls, service } = byHand();
    const { client } = open({ service });
    const queue = client({ contentType: "application/json" });
    await queue.submit("first", { path: "/v1/txt2img", tags: { user: "u" } });
    await until(() => calls.length === 1);
    await queue.submit("low");
    await queue.submit("high", { priority: 1 });
    const { call } = calls[0]!;
    expect(call).toMatchObject({ service: "q", method: "POST", path: "/v1/txt2img" });
    expect(call.query.get("user")).toBe("u");
    expect(call.headers.get("content-type")).toBe("application/json");
    calls[0]?.answer("x");
    await until(() => calls.length === 2);
    expect(text(calls[1]!.call.body)).toBe("high");
  });

  test("has a position in the input queue until it is done", async () => {
    const { calls, service } = byHand();
    const { emulator, client } = open({ service });
    const queue = client();
    const jobs = [await queue.submit("a"), await queue.submit("b"), await queue.submit("c")];
    await until(() => calls.length === 1);
    expect(await Promise.all(jobs.map((job) => job.position()))).toEqual([
      { consumerId: "q.worker-0", isPending: true, waitCount: 0 },
      { consumerId: expect.any(String), isPending: false, waitCount: 0 },
      { consumerId: expect.any(String), isPending: false, waitCount: 1 },
    ]);
    expect(emulator.requests.at(-1)?.headers.get("x-eas-queueservice-redis-gid")).toBe("q");
    calls[0]?.answer("x");
    await jobs[0]?.result();
    expect(await jobs[0]?.position()).toBeUndefined();
    expect(await errorOf(jobs[1]!.position(AbortSignal.abort("gone")))).toBe("gone");
  });

  test("can be discarded while it waits and when it is done, and repeatedly", async () => {
    const { calls, service } = byHand();
    const { input, sink, client } = open({ service });
    const queue = client();
    const [done, waits] = [await queue.submit("a"), await queue.submit("b")];
    await until(() => calls.length === 1);
    await waits.discard();
    expect(input.items.map(({ index }) => index)).toEqual([done.index]);
    calls[0]?.answer("x");
    await until(() => sink.length === 1);
    await done.discard();
    await done.discard();
    expect([input.length, sink.length, calls.length]).toEqual([0, 0, 1]);
  });

  test.each([
    ["a request id that is undefined", { requestId: undefined }, "ERR_EAS_ARG_OPTION"],
    ["an empty request id", { requestId: "" }, "ERR_EAS_ARG_TAG"],
    ["tags that are null", { tags: null }, "ERR_EAS_ARG_TAG"],
    ["tags in a Map", { tags: new Map([["a", "b"]]) }, "ERR_EAS_ARG_TAG"],
    ["tags in an array", { tags: ["a"] }, "ERR_EAS_ARG_TAG"],
    ["a negative priority", { priority: -1 }, "ERR_EAS_ARG_OPTION"],
  ])("is rejected with %s", async (_, options, code) => {
    const { input, client } = open({});
    expect(await errorOf(client().submit("a", options as never))).toMatchObject({ code });
    expect(input.length).toBe(0);
  });

  test("accepts the tags of another job's result, and a request id", async () => {
    const { calls, service } = byHand();
    const { client, input } = open({ service });
    const first = await client().submit("a", { tags: { user: "1" } });
    calls[0]?.answer("b");
    const { tags, data } = await first.result({ timeout: 10_000 });
    const second = await client().submit(data, { tags, requestId: "chain-2" });
    expect(second).toMatchObject({ requestId: "chain-2" });
    expect(second.tag).not.toBe(first.tag);
    expect(input.items.map((item) => item.tags)).toEqual([{ user: "1", easJob: second.tag, requestId: "chain-2" }]);
    await until(() => calls.length === 2);
    calls[1]?.answer("c");
    expect((await second.result({ timeout: 10_000 })).text()).toBe("c");
  });

  test("is rejected when it is not data, or is too large", async () => {
    const { client } = open({ maxPayloadBytes: 10 });
    expect(await errorOf(client().submit(7 as never))).toMatchObject({ code: "ERR_EAS_ARG_REQUEST" });
    expect(await errorOf(client().submit("12345678901"))).toMatchObject({ code: "ERR_EAS_ARG_BODY_SIZE" });
  });

  test("is not retried when the response is lost, and the error says that it may have been accepted", async () => {
    const { emulator, input, client } = open({});
    const transport = around(emulator.transport, async (request, send) => {
      const answer = await send();
      if (request.method === "POST") throw new TransportError("the connection broke", { sent: "maybe" });
      return answer;
    });
    expect(await errorOf(client({ transport }).submit("a"))).toMatchObject({ maybeAccepted: true });
    expect(input.length).toBe(1);
  });

  test("is rejected with a wrong token, as is the wait for its result", async () => {
    const { client } = open();
    const wrong = client({ token: "wrong" });
    expect(await errorOf(wrong.submit("a"))).toMatchObject({ status: 401 });
    expect(await errorOf(wrong.resume({ index: "1", tag: "x" }).result())).toMatchObject({ status: 401 });
    expect(await errorOf(wrong.resume({ index: "1", tag: "x" }).discard())).toMatchObject({ status: 401 });
  });
});

describe("another process", () => {
  test.each([false, true])("resumes a job from JSON (request id hidden: %s)", async (isHidden) => {
    const { emulator, input, sink, client } = open();
    const { transport } = emulator;
    const job = await client(isHidden ? { transport: withoutHeader(transport) } : {}).submit("a");
    const stored = JSON.stringify(job);
    expect(JSON.parse(stored).index).toBe(String(input.pushes[0]?.index));
    const again = client().resume(JSON.parse(stored));
    expect([again.index, again.requestId, again.tag]).toEqual([job.index, job.requestId, job.tag]);
    expect(again.toJSON()).toEqual(job.toJSON());
    expect((await again.result()).text()).toBe("<a>");
    expect(await again.position()).toBeUndefined();
    expect(sink.length).toBe(0);
  });

  test.each<[string, unknown, string]>([
    ["undefined", undefined, "ERR_EAS_ARG_REQUEST"],
    ["null", null, "ERR_EAS_ARG_REQUEST"],
    ["the JSON text itself", '{"index":"1","tag":"x"}', "ERR_EAS_ARG_REQUEST"],
    ["no tag", { index: "1", requestId: "r" }, "ERR_EAS_ARG_REQUEST"],
    ["an empty tag", { index: "1", tag: "" }, "ERR_EAS_ARG_REQUEST"],
    ["a tag that is not a string", { index: "1", tag: 1 }, "ERR_EAS_ARG_REQUEST"],
    ["a request id that is not a string", { index: "1", tag: "x", requestId: 1 }, "ERR_EAS_ARG_REQUEST"],
    ["an empty request id", { index: "1", tag: "x", requestId: "" }, "ERR_EAS_ARG_REQUEST"],
    ["no index", { tag: "x" }, "ERR_EAS_ARG_INDEX"],
    ["an index that is too large for a number", { index: 2 ** 60, tag: "x" }, "ERR_EAS_ARG_INDEX"],
  ])("does not resume from %s", (_, job, code) => {
    const { client } = open();
    const queue = client();
    expect(thrownBy(() => queue.resume(job as InferenceJobJson))).toMatchObject({ code });
  });
});

describe("the client", () => {
  test("ends waits and rejects later calls after close(), and another client can resume the job", async () => {
    const { calls, service } = byHand();
    const { client, gets } = open({ service });
    const queue = client();
    const job = await queue.submit("a");
    const watched = watch(job.result());
    await until(() => calls.length === 1 && gets().length === 1);
    await queue.close();
    await turn();
    expect(watched).toMatchObject({ state: "rejected", value: { code: "ERR_EAS_CLOSED" } });
    for (const late of [queue.submit("b"), job.result(), job.position(), job.discard()]) {
      expect(await errorOf(late)).toMatchObject({ code: "ERR_EAS_CLOSED" });
    }
    calls[0]?.answer("done");
    expect((await client().resume(job.toJSON()).result()).text()).toBe("done");
  });

  test("is closed by await using, with its connections", async () => {
    const emulator = await startEmulator({ token: "t", queues: { q: { service: echo } } });
    onTestFinished(() => emulator.close());
    const client = new AsyncInferenceClient({ endpoint: emulator.endpoint, serviceName: "q", token: "t" });
    const job = await client.submit("a");
    expect((await job.result()).text()).toBe("<a>");
    const { asyncDispose } = Symbol as unknown as { asyncDispose: symbol };
    await (client as unknown as Record<symbol, () => Promise<void>>)[asyncDispose]?.();
    expect(await errorOf(client.submit("b"))).toMatchObject({ code: "ERR_EAS_CLOSED" });
    await client.close();
  });

  test("uses the caller's fetch", async () => {
    const { emulator, client } = open();
    const fetch = vi.fn((url: string, init: RequestInit) => emulator.fetch(new Request(url, init)));
    const queue = client({ transport: undefined, fetch: fetch as never });
    expect((await (await queue.submit("a")).result()).text()).toBe("<a>");
    expect(fetch).toHaveBeenCalled();
  });

  test.each<[string, unknown, string]>([
    ["no options", undefined, "ERR_EAS_ARG_SERVICE_NAME"],
    ["no service name", { endpoint: "http://e" }, "ERR_EAS_ARG_SERVICE_NAME"],
    ["an empty service name", { endpoint: "http://e", serviceName: "" }, "ERR_EAS_ARG_SERVICE_NAME"],
    ["no connections", { endpoint: "http://e", serviceName: "q", maxConnectionCount: 0 }, "ERR_EAS_ARG_OPTION"],
    ["an invalid token", { endpoint: "http://e", serviceName: "q", token: 1 }, "ERR_EAS_ARG_TOKEN"],
    ["an invalid fetch", { endpoint: "http://e", serviceName: "q", fetch: 1 }, "ERR_EAS_ARG_OPTION"],
  ])("throws when it is created with %s", (_, options, code) => {
    expect(thrownBy(() => new AsyncInferenceClient(options as AsyncInferenceClientOptions))).toMatchObject({ code });
  });
});
