import { context, metrics, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { PredictClientOptions } from "../../../src/index.js";
import { openTelemetryHooks } from "../../../src/telemetry/opentelemetry.js";
import {
  clientOf,
  errorOf,
  RecordingTransport,
  startServer,
  TOKEN,
  thrownBy,
  transportAnswer,
  turn,
  until,
} from "../../support/calls.js";
import { directClientOf } from "../../support/direct.js";
import {
  answer,
  answerWhen,
  resetBeforeHeaders,
  resetInBody,
  stallBeforeHeaders,
} from "../../support/misbehaving-server.js";
import { MemorySdk } from "../../support/opentelemetry.js";
import { openEmulatorQueue } from "../../support/queues.js";
import { type Exchange, startStreamServer } from "../../support/stream-server.js";

afterEach(() => {
  vi.restoreAllMocks();
});

async function open(options: PredictClientOptions = {}) {
  const sdk = new MemorySdk();
  const server = await startServer();
  return { sdk, server, client: clientOf(server, { hooks: openTelemetryHooks(sdk), ...options }) };
}

const ERROR = SpanStatusCode.ERROR;
const UNSET = SpanStatusCode.UNSET;

describe("spans", () => {
  test("of a call and its attempt follow the semantic conventions", async () => {
    const { sdk, server, client } = await open();
    server.play(answer(200, {}, "answer"));
    await client.predict("hello", { path: "/v1/a", query: { secret: "1" } });
    sdk.expectEnded();
    const [call, attempt] = sdk.spans;
    expect(sdk.spans).toHaveLength(2);
    expect(call).toMatchObject({ name: "predict svc", kind: SpanKind.INTERNAL, status: { code: UNSET }, events: [] });
    expect(call?.attributes).toEqual({ "eas.call.kind": "predict", "eas.service.name": "svc", "eas.call.attempts": 1 });
    expect(call?.instrumentationScope.name).toBe("eas-prediction");
    expect(attempt).toMatchObject({ name: "POST", kind: SpanKind.CLIENT, status: { code: UNSET }, events: [] });
    expect(attempt?.attributes).toEqual({
      "http.request.method": "POST",
      "http.response.status_code": 200,
      "url.full": `${server.origin}/api/predict/svc/v1/a`,
      "server.address": "127.0.0.1",
      "server.port": server.port,
      "http.request.body.size": 5,
      "http.response.body.size": 6,
    });
    expect(attempt?.parentSpanContext?.spanId).toBe(call?.spanContext().spanId);
    expect(call?.parentSpanContext).toBeUndefined();
  });

  test("have ports by scheme, and addresses without brackets", async () => {
    const sdk = new MemorySdk();
    const hooks = openTelemetryHooks(sdk);
    for (const origin of ["https://host.example", "http://[::1]"]) {
      await clientOf({ origin }, { hooks, transport: new RecordingTransport() }).predict("x");
    }
    const targets = sdk.attempts.map(({ attributes }) => [attributes["server.address"], attributes["server.port"]]);
    expect(targets).toEqual([
      ["host.example", 443],
      ["::1", 80],
    ]);
  });

  test("of a customUrl have no service name", async () => {
    const { sdk, server, client } = await open({ endpoint: undefined, serviceName: undefined });
    const own = clientOf(server, {
      endpoint: undefined,
      serviceName: undefined,
      customUrl: `${server.origin}/own`,
      hooks: openTelemetryHooks(sdk),
    });
    await own.predict("x");
    await client.close();
    expect(sdk.calls[0]?.name).toBe("predict");
    expect(sdk.calls[0]?.attributes).toEqual({ "eas.call.kind": "predict", "eas.call.attempts": 1 });
  });

  test("are children of the active context of each concurrent call", async () => {
    const { sdk, server, client } = await open({ compression: "gzip", token: async () => TOKEN });
    let release!: () => void;
    const all = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.always(answerWhen(all, 200));
    const tracer = sdk.tracerProvider.getTracer("test");
    const COUNT = 20;
    const calls = Array.from({ length: COUNT }, (_, i) =>
      tracer.startActiveSpan(`parent ${i}`, async (span) => {
        await turn();
        await client.predict(`body ${i}`);
        span.end();
      }),
    );
    await server.seen(COUNT);
    release();
    await Promise.all(calls);
    sdk.expectEnded();
    for (let i = 0; i < COUNT; i++) {
      const parent = sdk.spans.find(({ name }) => name === `parent ${i}`) as (typeof sdk.spans)[0];
      const [call, ...more] = sdk.childrenOf(parent);
      expect(more).toEqual([]);
      expect(call?.name).toBe("predict svc");
      const attempts = sdk.childrenOf(call as typeof parent);
      expect(attempts.map(({ name }) => name)).toEqual(["POST"]);
      expect(attempts[0]?.spanContext().traceId).toBe(parent.spanContext().traceId);
    }
    expect(new Set(sdk.calls.map((span) => span.spanContext().traceId)).size).toBe(COUNT);
  });

  test("of retries are siblings, each with its error", async () => {
    const { sdk, server, client } = await open();
    server.play(answer(503, {}, "busy"), resetBeforeHeaders, answer(200));
    await client.predict("x");
    sdk.expectEnded();
    const [call] = sdk.calls as [(typeof sdk.calls)[0]];
    expect(call.status.code).toBe(UNSET);
    expect(call.attributes["eas.call.attempts"]).toBe(3);
    const attempts = sdk.childrenOf(call);
    expect(attempts.map(({ attributes }) => attributes["http.request.resend_count"])).toEqual([undefined, 1, 2]);
    expect(attempts.map(({ status }) => status.code)).toEqual([ERROR, ERROR, UNSET]);
    expect(attempts.map(({ attributes }) => attributes["http.response.status_code"])).toEqual([503, undefined, 200]);
    expect(attempts.map(({ attributes }) => attributes["error.type"])).toEqual(["503", "ERR_EAS_NETWORK", undefined]);
    expect(attempts.map(({ events }) => events.map(({ name }) => name))).toEqual([["exception"], ["exception"], []]);
  });

  test("of a failed call have its error without the token", async () => {
    const { sdk, server, client } = await open();
    server.play(answer(401, () => ({ "X-Echo": TOKEN }), `no: ${TOKEN}`));
    const error = await errorOf(client.predict(TOKEN));
    sdk.expectEnded();
    const [call, attempt] = sdk.spans;
    for (const span of [call, attempt]) {
      expect(span?.status).toEqual({ code: ERROR, message: error.message });
      expect(span?.attributes["error.type"]).toBe("401");
    }
    expect(attempt?.attributes["http.response.status_code"]).toBe(401);
    expect(call?.events).toHaveLength(1);
    expect(call?.events[0]).toMatchObject({ name: "exception", attributes: { "exception.message": error.message } });
    const text = JSON.stringify(
      sdk.spans.map(({ name, status, attributes, events }) => [name, status, attributes, events]),
    );
    expect(text).toContain("***");
    expect(text).not.toContain(TOKEN);
  });

  test("of a response that cannot be decoded have its status and the error", async () => {
    const { sdk, server, client } = await open();
    server.play(answer(200, { "Content-Encoding": "gzip" }, "no gzip"));
    await errorOf(client.predict("x"));
    sdk.expectEnded();
    expect(sdk.attempts[0]?.attributes).toMatchObject({
      "http.response.status_code": 200,
      "error.type": "ERR_EAS_DECODE",
    });
  });
});

describe("spans end when a call is aborted", () => {
  const outcome = (sdk: MemorySdk) => sdk.spans.map(({ name, attributes }) => [name, attributes["error.type"]]);

  test("before it starts", async () => {
    const { sdk, client } = await open();
    await errorOf(client.predict("x", { signal: AbortSignal.abort() }));
    sdk.expectEnded();
    expect(outcome(sdk)).toEqual([["predict svc", "AbortError"]]);
  });

  test("while it waits for a connection", async () => {
    const { sdk, server, client } = await open({ maxConnectionCount: 1 });
    server.always(stallBeforeHeaders);
    const controllers = [new AbortController(), new AbortController()];
    const calls = controllers.map(({ signal }) => errorOf(client.predict("x", { signal })));
    await server.seen();
    controllers[1]?.abort();
    await calls[1];
    controllers[0]?.abort();
    await calls[0];
    sdk.expectEnded();
    expect(sdk.calls).toHaveLength(2);
    expect(sdk.attempts).toHaveLength(1);
  });

  test("in an attempt, with any reason", async () => {
    for (const reason of [undefined, null, "text", new Error("own"), Object.create(null), Symbol("s")]) {
      const { sdk, server, client } = await open();
      server.always(stallBeforeHeaders);
      const controller = new AbortController();
      const call = errorOf(client.predict("x", { signal: controller.signal }));
      await server.seen();
      controller.abort(reason);
      await call;
      sdk.expectEnded();
      const type = reason === undefined ? "AbortError" : reason instanceof Error ? "Error" : "_OTHER";
      expect(outcome(sdk)).toEqual([
        ["predict svc", type],
        ["POST", type],
      ]);
      expect(sdk.spans.map(({ status }) => status.code)).toEqual([ERROR, ERROR]);
      context.disable();
    }
  });

  test("in the delay between two attempts", async () => {
    const { sdk, server, client } = await open();
    server.always(answer(429, { "Retry-After": "30" }));
    const controller = new AbortController();
    const call = errorOf(client.predict("x", { signal: controller.signal }));
    await until(() => sdk.attempts.length === 1);
    controller.abort();
    await call;
    sdk.expectEnded();
    expect(outcome(sdk)).toEqual([
      ["predict svc", "AbortError"],
      ["POST", "429"],
    ]);
  });

  test("by its timeout", async () => {
    const { sdk, server, client } = await open({ timeout: 20, retryCount: 0 });
    server.always(stallBeforeHeaders);
    await errorOf(client.predict("x"));
    sdk.expectEnded();
    expect(outcome(sdk)).toEqual([
      ["predict svc", "ERR_EAS_TIMEOUT"],
      ["POST", "ERR_EAS_TIMEOUT"],
    ]);
  });
});

describe("streams", () => {
  const begun = ({ response }: Exchange) => response.write("piece");

  async function openStream(answer: (exchange: Exchange) => unknown) {
    const sdk = new MemorySdk();
    const server = await startStreamServer(answer);
    return { sdk, server, client: clientOf(server, { hooks: openTelemetryHooks(sdk) }) };
  }

  test("have spans that last until the end of the body", async () => {
    const { sdk, server, client } = await openStream(begun);
    const stream = await sdk.tracerProvider.getTracer("test").startActiveSpan("parent", async (span) => {
      const opened = await client.stream("x");
      span.end();
      return opened;
    });
    expect(sdk.spans.map(({ name }) => name)).toEqual(["parent"]);
    server.exchanges[0]?.response.end("s");
    await stream.text();
    sdk.expectEnded();
    const [parent, call, attempt] = sdk.spans;
    expect(sdk.childrenOf(parent as (typeof sdk.spans)[0])).toEqual([call]);
    expect(call?.name).toBe("stream svc");
    expect(attempt?.attributes["http.response.body.size"]).toBe(6);
  });

  test("have spans that end without an error when the reader leaves", async () => {
    const { sdk, client } = await openStream(begun);
    for await (const _ of await client.stream("x")) break;
    sdk.expectEnded();
    expect(sdk.spans.map(({ status }) => status.code)).toEqual([UNSET, UNSET]);
  });

  test("have spans that end when they are aborted", async () => {
    const { sdk, client } = await openStream(begun);
    const controller = new AbortController();
    const text = errorOf((await client.stream("x", { signal: controller.signal })).text());
    controller.abort();
    await text;
    sdk.expectEnded();
    expect(sdk.attempts[0]?.attributes).toMatchObject({ "error.type": "AbortError", "http.response.status_code": 200 });
  });

  test("have spans that end when they break and when the client is closed", async () => {
    const { sdk, server, client } = await open();
    server.play(resetInBody);
    await errorOf((await client.stream("x")).text());
    sdk.expectEnded();
    const cut = await openStream(begun);
    const stream = await cut.client.stream("x");
    await cut.client.close();
    await errorOf(stream.text());
    cut.sdk.expectEnded();
    for (const { calls } of [sdk, cut.sdk]) expect(calls[0]?.attributes["error.type"]).toBe("ERR_EAS_NETWORK");
  });

  test("client.fetch: an error status is an error of the attempt, not of the call", async () => {
    const { sdk, client } = await openStream(({ response }) => response.writeHead(404).end());
    await (await client.fetch("/v1/models?x=1")).text();
    sdk.expectEnded();
    const [call, attempt] = sdk.spans;
    expect(call?.status.code).toBe(UNSET);
    expect(call?.attributes["error.type"]).toBeUndefined();
    expect(attempt).toMatchObject({ name: "GET", status: { code: ERROR } });
    expect(attempt?.attributes).toMatchObject({ "http.response.status_code": 404, "error.type": "404" });
    expect(attempt?.attributes["url.full"]).toMatch(/\/v1\/models$/);
  });
});

describe("queues and direct calls", () => {
  test("queue operations have spans of their kind, and a watch over HTTP ends its span", async () => {
    const sdk = new MemorySdk();
    const { client } = await openEmulatorQueue({}, { hooks: openTelemetryHooks(sdk) });
    await client.put("item");
    const watcher = client.watch(0, 10, { transport: "http" });
    for await (const frame of watcher) {
      await frame.commit();
      break;
    }
    await watcher.close();
    sdk.expectEnded();
    const names = new Set(sdk.calls.map(({ name }) => name));
    expect([...names].sort()).toEqual(["other q", "put q"]);
  });

  test("a hedged call has one span, and its slower attempt is canceled, not failed", async () => {
    const sdk = new MemorySdk();
    const held: ((response: never) => void)[] = [];
    const transport = new RecordingTransport(() => new Promise((resolve) => held.push(resolve as never)));
    const instances = [1, 2].map((port) => ({ host: "host", port }));
    const client = directClientOf(
      { endpoint: "" },
      { transport, endpointSource: () => instances, hedgeAfter: 1, hooks: openTelemetryHooks(sdk) },
    );
    const call = client.predict("x");
    await until(() => held.length === 2);
    held[1]?.({ status: 200, headers: new Headers(), body: new Uint8Array(0), contentEncoding: undefined } as never);
    await call;
    sdk.expectEnded();
    expect(sdk.calls).toHaveLength(1);
    expect(sdk.calls[0]?.attributes["eas.call.attempts"]).toBe(2);
    expect(sdk.attempts.map(({ attributes }) => attributes["error.type"])).toEqual(["cancelled", undefined]);
    expect(sdk.attempts.map(({ status }) => status.code)).toEqual([UNSET, UNSET]);
    expect(await sdk.sums("http.client.active_requests")).toEqual([
      [expect.objectContaining({ "server.port": expect.any(Number) }), 0],
      [expect.anything(), 0],
    ]);
  });
});

describe("propagation", () => {
  test("each attempt sends the ids of its span", async () => {
    const { sdk, server, client } = await open({ auth: "signature" });
    server.play(answer(503), answer(200));
    await client.predict("x");
    const sent = server.requests.map(({ headers }) => headers.traceparent);
    const ids = sdk.attempts.map((span) => {
      const { traceId, spanId } = span.spanContext();
      return `00-${traceId}-${spanId}-01`;
    });
    expect(sent).toEqual(ids);
    expect(new Set(sent).size).toBe(2);
    expect(server.requests[0]?.headers.authorization).toMatch(/^EAS /);
  });

  test("overrides the caller's header, also for streams", async () => {
    const { sdk, server, client } = await open({ headers: { traceparent: "mine", tracestate: "a=1" } });
    await (await client.stream("x")).bytes();
    const [attempt] = sdk.attempts;
    const lines = server.requests[0]?.rawHeaders.filter(([name]) => name === "traceparent");
    expect(lines).toEqual([["traceparent", expect.stringContaining(`${attempt?.spanContext().spanId}`)]]);
    expect(server.requests[0]?.headers.tracestate).toBe("a=1");
  });

  test("sends nothing without an OpenTelemetry SDK", async () => {
    const server = await startServer();
    const client = clientOf(server, { hooks: openTelemetryHooks() });
    expect(String(await client.predict("x"))).toBe("ok");
    expect(server.requests[0]?.headers.traceparent).toBeUndefined();
  });
});

describe("metrics", () => {
  test("count attempts and calls", async () => {
    const { sdk, server, client } = await open();
    server.play(answer(503), answer(200), answer(200), answer(400));
    await client.predict("x");
    await client.predict("x");
    await errorOf(client.predict("x"));
    const target = { "http.request.method": "POST", "server.address": "127.0.0.1", "server.port": server.port };
    const requests = await sdk.histogram("http.client.request.duration");
    expect(requests.descriptor).toMatchObject({ unit: "s" });
    expect(requests.dataPoints.map(({ attributes, value }) => [attributes, value.count])).toEqual([
      [{ ...target, "http.response.status_code": 503, "error.type": "503" }, 1],
      [{ ...target, "http.response.status_code": 200 }, 2],
      [{ ...target, "http.response.status_code": 400, "error.type": "400" }, 1],
    ]);
    expect(requests.dataPoints[0]?.value.buckets.boundaries).toEqual([
      0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]);
    const calls = await sdk.histogram("eas.client.call.duration");
    const call = { "eas.call.kind": "predict", "eas.service.name": "svc" };
    expect(calls.descriptor).toMatchObject({ unit: "s" });
    expect(calls.dataPoints.map(({ attributes, value }) => [attributes, value.count])).toEqual([
      [call, 2],
      [{ ...call, "error.type": "400" }, 1],
    ]);
    expect(await sdk.sums("eas.client.call.retries")).toEqual([[{ ...call, "error.type": "503" }, 1]]);
    expect(await sdk.sums("http.client.active_requests")).toEqual([[target, 0]]);
  });

  test("record durations in seconds, of attempts and of calls", async () => {
    const sdk = new MemorySdk();
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const transport = new RecordingTransport(async (_, count) => {
      await new Promise((resolve) => setTimeout(resolve, 2000));
      return transportAnswer(count === 1 ? 503 : 200);
    });
    const hooks = openTelemetryHooks(sdk);
    const call = clientOf({ origin: "http://127.0.0.1:9" }, { transport, hooks }).predict("x");
    await vi.advanceTimersByTimeAsync(5000);
    await call;
    vi.useRealTimers();
    const sums = async (name: string) => (await sdk.histogram(name)).dataPoints.map(({ value }) => value.sum);
    expect(await sums("http.client.request.duration")).toEqual([2, 2]);
    expect(await sums("eas.client.call.duration")).toEqual([4.025]);
  });

  test("count requests in flight", async () => {
    const { sdk, server, client } = await open();
    let release!: () => void;
    const all = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.always(answerWhen(all, 200));
    const calls = [1, 2, 3].map(() => client.predict("x"));
    await server.seen(3);
    expect((await sdk.sums("http.client.active_requests")).map(([, value]) => value)).toEqual([3]);
    release();
    await Promise.all(calls);
    expect((await sdk.sums("http.client.active_requests")).map(([, value]) => value)).toEqual([0]);
  });
});

describe("providers", () => {
  test("default to the global providers, even if they are registered after the hooks", async () => {
    const hooks = openTelemetryHooks();
    const sdk = new MemorySdk();
    trace.setGlobalTracerProvider(sdk.tracerProvider);
    metrics.setGlobalMeterProvider(sdk.meterProvider);
    onTestFinished(() => metrics.disable());
    const server = await startServer();
    await clientOf(server, { hooks }).predict("x");
    expect(sdk.spans).toHaveLength(2);
    expect((await sdk.histogram("eas.client.call.duration")).dataPoints).toHaveLength(1);
  });

  test.each([
    ["tracerProvider", null],
    ["tracerProvider", {}],
    ["tracerProvider", "global"],
    ["meterProvider", { getTracer() {} }],
    ["meterProvider", 1],
  ])("refuse %s: %s", (name, value) => {
    const error = thrownBy(() => openTelemetryHooks({ [name]: value }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.code).toBe("ERR_EAS_ARG_OPTION");
    expect(error.message).toMatch(new RegExp(`^${name} is .*: it must have get(Tracer|Meter)\\(\\)$`));
  });

  test("hooks can be shared by many clients", async () => {
    const sdk = new MemorySdk();
    const hooks = openTelemetryHooks(sdk);
    const server = await startServer();
    const clients = [clientOf(server, { hooks }), clientOf(server, { hooks: [hooks] })];
    await Promise.all(clients.map((client) => client.predict("x")));
    sdk.expectEnded();
    expect(sdk.calls).toHaveLength(2);
  });
});
