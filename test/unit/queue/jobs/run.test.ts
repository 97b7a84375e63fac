import { describe, expect, expectTypeOf, onTestFinished, test } from "vitest";
import { z } from "zod";
import { createEmulator, type EmulatorHandler } from "../../../../src/emulator/index.js";
import {
  AsyncInferenceClient,
  type Bytes,
  EasStoreError,
  type JobStore,
  PredictClient,
  run,
  type StringResponse,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from "../../../../src/index.js";
import { errorOf, until } from "../../../support/calls.js";

const echo: EmulatorHandler = ({ body }) => `<${new TextDecoder().decode(body)}>`;

type Act = (request: TransportRequest, send: () => Promise<TransportResponse>) => Promise<TransportResponse>;

/** Opens clients of a service "q", synchronous and asynchronous, whose exchanges the test can change. */
function open(service: EmulatorHandler = echo, act: Act = (_, send) => send()) {
  const emulator = createEmulator({ token: "t", services: { q: service }, queues: { async: { service } } });
  const transport: Transport = {
    send: (request) => act(request, () => emulator.transport.send(request)),
    close: async () => {},
  };
  const options = { endpoint: "http://emulator", token: "t", transport, logger: null };
  const client = new AsyncInferenceClient({ ...options, serviceName: "async", retryCount: 0 });
  const predict = new PredictClient({ ...options, serviceName: "q" });
  onTestFinished(() => client.close());
  onTestFinished(() => predict.close());
  const { input, sink } = emulator.queue("async")!;
  return { client, predict, input, sink, emulator, options };
}

/** A store whose method `fails` rejects at its `at`-th call. */
function failing(fails: keyof JobStore, at = 1) {
  const values = new Map<string, string>();
  let calls = 0;
  const store: JobStore = {
    get: (key) => step("get", () => values.get(key)),
    set: (key, value) => step("set", () => void values.set(key, value)),
    delete: (key) => step("delete", () => void values.delete(key)),
  };
  function step<T>(name: keyof JobStore, act: () => T): Promise<T> {
    if (name === fails && ++calls === at) return Promise.reject(new Error("the disk is full"));
    return Promise.resolve(act());
  }
  return { store, values };
}

const Answer = z.object({ n: z.number() });

describe("run() with both kinds of service", () => {
  test.each(["client", "predict"] as const)("returns results of the same types (%s)", async (kind) => {
    const opened = open(({ body }) => (body.length === 1 ? body : '{"n":1}'));
    const client: AsyncInferenceClient | PredictClient = opened[kind];
    const store = new Map<string, string>();
    const text = await run(client, "ab", { store, key: "k" });
    expectTypeOf(text).toEqualTypeOf<StringResponse>();
    expect(text.json()).toEqual({ n: 1 });
    const json = await run(client, { a: 1 }, { store, key: "k" });
    expectTypeOf(json).toEqualTypeOf<StringResponse>();
    expect(json.toString()).toBe('{"n":1}');
    const bytes = await run(client, new Uint8Array([7]), { store, key: "k" });
    expectTypeOf(bytes).toEqualTypeOf<Bytes>();
    expect([...bytes]).toEqual([7]);
    for (const input of ["ab", { a: 1 }]) {
      const checked = await run(client, input, { store, key: "k", schema: Answer });
      expectTypeOf(checked).toEqualTypeOf<{ n: number }>();
      expect(checked).toEqual({ n: 1 });
    }
    expect(store.size).toBe(0);
  });

  test.each(["client", "predict"] as const)("reports states, and hands the result over (%s)", async (kind) => {
    const client: AsyncInferenceClient | PredictClient = open()[kind];
    const states: string[] = [];
    const results: string[] = [];
    const result = await run(client, "a", {
      store: new Map(),
      key: "k",
      onStatus: ({ state }) => states.push(state),
      onResult: (response) => results.push(response.toString()),
    });
    expect(results).toEqual([result.toString()]);
    expect(states.at(-1)).toBe("done");
  });

  test.each<[string, unknown, string]>([
    ["no options", undefined, "store is undefined"],
    ["a store without delete", { store: { get: () => {}, set: () => {} }, key: "k" }, "store is a plain object"],
    ["no key", { store: new Map() }, "key is undefined"],
    ["an unknown option", { store: new Map(), key: "k", retries: 1 }, "retries"],
    ["a negative settleTime", { store: new Map(), key: "k", settleTime: -1 }, "settleTime is -1"],
    ["an invalid schema", { store: new Map(), key: "k", schema: {} }, "schema is a plain object"],
  ])("is refused with %s", async (_, options, message) => {
    const { client, predict, emulator } = open();
    for (const each of [client, predict]) {
      const error = await errorOf(run(each as AsyncInferenceClient, "a", options as { store: JobStore; key: string }));
      expect(error.message).toContain(message);
      expect(error.code).toMatch(/^ERR_EAS_ARG_/);
    }
    expect(emulator.requests).toEqual([]);
  });
});

describe("run() with an asynchronous service", () => {
  test("stores its handle before it submits, and forgets it after the deletion of the result", async () => {
    const steps: string[] = [];
    const values = new Map<string, string>();
    const store: JobStore = {
      get: (key) => values.get(key),
      set: (key, value) => {
        steps.push(`set ${Object.keys(JSON.parse(value)).slice(3).join()}`);
        values.set(key, value);
      },
      delete: (key) => {
        steps.push("forget");
        values.delete(key);
      },
    };
    const users: (string | null)[] = [];
    const service: EmulatorHandler = (call) => {
      users.push(call.query.get("user"));
      return echo(call);
    };
    const { client, input, sink } = open(service, (request, send) => {
      if (request.method !== "GET") steps.push(request.method);
      return send();
    });
    await run(client, "a", { store, key: "k", tags: { user: "1" }, onResult: () => steps.push("hand over") });
    expect(steps).toEqual(["set ", "POST", "set job", "hand over", "set job,result", "DELETE", "forget"]);
    expect(input.pushes).toHaveLength(1);
    expect(users).toEqual(["1"]);
    expect([sink.length, values.size]).toEqual([0, 0]);
  });

  test("continues a job after a timeout, and ignores the input of the second call", async () => {
    let finish = (_: string) => {};
    const { client, input } = open(() => new Promise((resolve) => (finish = resolve)));
    const store = new Map<string, string>();
    expect(await errorOf(run(client, "a", { store, key: "k", timeout: 30 }))).toMatchObject({
      code: "ERR_EAS_TIMEOUT",
    });
    await until(() => input.pushes.length === 1);
    const again = run(client, "other", { store, key: "k" });
    finish("late");
    expect((await again).toString()).toBe("late");
    expect(input.pushes).toHaveLength(1);
  });

  test("refuses a second call with the key of a call in progress", async () => {
    let finish = (_: string) => {};
    const { client, input } = open(() => new Promise((resolve) => (finish = resolve)));
    const store = new Map<string, string>();
    const first = run(client, "a", { store, key: "k" });
    await until(() => input.pushes.length === 1);
    expect((await errorOf(run(client, "a", { store, key: "k" }))).message).toContain("another run() with this key");
    finish("x");
    await first;
    expect(input.pushes).toHaveLength(1);
  });

  test("keeps the result in the queue if onResult fails, and hands it over again", async () => {
    const { client, input, sink } = open();
    const store = new Map<string, string>();
    const failure = new Error("the database is down");
    const first = run(client, "a", { store, key: "k", onResult: () => Promise.reject(failure) });
    expect(await errorOf(first)).toBe(failure);
    expect([sink.length, store.size]).toEqual([1, 1]);
    const results: string[] = [];
    await run(client, "a", { store, key: "k", onResult: (response) => results.push(response.toString()) });
    expect(results).toEqual(["<a>"]);
    expect([input.pushes.length, sink.length, store.size]).toEqual([1, 0, 0]);
  });

  test("keeps a result that does not match the schema, for a call with another schema", async () => {
    const { client, input, sink } = open(() => '{"m":1}');
    const store = new Map<string, string>();
    expect(await errorOf(run(client, {}, { store, key: "k", schema: Answer }))).toMatchObject({
      code: "ERR_EAS_SCHEMA",
    });
    expect(sink.length).toBe(1);
    expect((await run(client, {}, { store, key: "k" })).json()).toEqual({ m: 1 });
    expect([input.pushes.length, sink.length]).toEqual([1, 0]);
  });

  test("forgets a job whose model failed, so that another call submits a new job", async () => {
    let status = 500;
    const { client, input, sink } = open(() => new Response("x", { status }));
    const store = new Map<string, string>();
    expect(await errorOf(run(client, "a", { store, key: "k" }))).toMatchObject({ code: "ERR_EAS_MODEL", status: 500 });
    expect([sink.length, store.size]).toEqual([0, 0]);
    status = 200;
    expect((await run(client, "a", { store, key: "k" })).toString()).toBe("x");
    expect(input.pushes).toHaveLength(2);
  });

  test("forgets a job that the queue refused", async () => {
    const { client, emulator, input } = open();
    const store = new Map<string, string>();
    emulator.fault({ status: 401 });
    emulator.fault({ status: 401 });
    expect(await errorOf(run(client, "a", { store, key: "k" }))).toMatchObject({ status: 401 });
    expect([input.pushes.length, store.size]).toEqual([0, 0]);
  });
});

describe("a submission without a response", () => {
  const broken = () => new TransportError("the connection broke", { sent: "maybe" });

  test("is found in the queues and not submitted again", async () => {
    const { client, input } = open(echo, async (request, send) => {
      const response = await send();
      if (request.method === "POST") throw broken();
      return response;
    });
    expect((await run(client, "a", { store: new Map(), key: "k" })).toString()).toBe("<a>");
    expect(input.pushes).toHaveLength(1);
  });

  test("is found if it reaches the queue only after the first search", async () => {
    let deliver: (() => Promise<TransportResponse>) | undefined;
    let searches = 0;
    const { client, input } = open(echo, async (request, send) => {
      if (request.method === "POST") {
        deliver = send;
        throw broken();
      }
      const response = await send();
      if (request.path.includes("/sink?") && ++searches === 1) await deliver?.();
      return response;
    });
    expect((await run(client, "a", { store: new Map(), key: "k" })).toString()).toBe("<a>");
    expect(input.pushes).toHaveLength(1);
  });

  test("is submitted again with the same request id if it is in neither queue", async () => {
    let posts = 0;
    const { client, input } = open(echo, async (request, send) => {
      if (request.method === "POST" && ++posts === 1) throw broken();
      return send();
    });
    const store = new Map<string, string>();
    expect((await run(client, "a", { store, key: "k", settleTime: 0 })).toString()).toBe("<a>");
    expect([posts, input.pushes.length]).toEqual([2, 1]);
  });

  test("rejects after three submissions, and keeps the handle", async () => {
    let posts = 0;
    const { client } = open(echo, async (request, send) => {
      if (request.method !== "POST") return send();
      posts++;
      throw broken();
    });
    const store = new Map<string, string>();
    const error = await errorOf(run(client, "a", { store, key: "k", settleTime: 0 }));
    expect(error).toMatchObject({ code: "ERR_EAS_NETWORK", maybeAccepted: true });
    expect([posts, store.size]).toEqual([3, 1]);
  });

  test("that was aborted keeps its handle", async () => {
    const controller = new AbortController();
    const { client, input } = open(echo, async (request, send) => {
      const response = await send();
      if (request.method === "POST") controller.abort(new Error("mine"));
      return response;
    });
    const store = new Map<string, string>();
    expect((await errorOf(run(client, "a", { store, key: "k", signal: controller.signal }))).message).toBe("mine");
    expect((await run(client, "a", { store, key: "k" })).toString()).toBe("<a>");
    expect(input.pushes).toHaveLength(1);
  });
});

describe("a store that fails", () => {
  test.each([
    ["get", 1],
    ["set", 1],
  ] as const)("in %s before the submission: nothing is sent", async (method, at) => {
    const { client, emulator } = open();
    const { store } = failing(method, at);
    const error = await errorOf(run(client, "a", { store, key: "k" }));
    expect(error).toBeInstanceOf(EasStoreError);
    expect(error).toMatchObject({ code: "ERR_EAS_STORE" });
    expect(error.message).toBe(`store.${method} failed for the key "k": the disk is full. Nothing was submitted`);
    expect(emulator.requests).toEqual([]);
  });

  test.each([
    ["set", 2, true],
    ["set", 3, true],
    ["delete", 1, false],
  ] as const)("in %s, call %i, after the submission: the next call returns the result", async (method, at, hasJob) => {
    const { client, input, sink } = open();
    const { store, values } = failing(method, at);
    const error = await errorOf(run(client, "a", { store, key: "k" }));
    expect(error).toMatchObject({ code: "ERR_EAS_STORE", cause: { message: "the disk is full" } });
    expect(error.message).toContain("The result is not lost: call run() with the same key again");
    expect((error as EasStoreError).job !== undefined).toBe(hasJob);
    expect((await run(client, "a", { store, key: "k" })).toString()).toBe("<a>");
    expect([input.pushes.length, sink.length, values.size]).toEqual([1, 0, 0]);
  });

  test("after the submission: the job of the error can be resumed without the store", async () => {
    const { client } = open();
    const { store } = failing("set", 2);
    const { job } = (await errorOf(run(client, "a", { store, key: "k" }))) as unknown as EasStoreError;
    expect((await client.resume(job!).result()).text()).toBe("<a>");
  });
});

describe("a stored handle", () => {
  test.each<[string, string]>([
    ["text that is not JSON", "{"],
    ["null", "null"],
    ["another object", '{"a":1}'],
    ["a handle without a request id", '{"service":"async","submittedAt":1}'],
    [
      "a handle with a damaged job",
      '{"service":"async","requestId":"r","submittedAt":1,"job":{"index":"x","tag":"t"}}',
    ],
    [
      "a handle with a damaged result",
      '{"service":"async","requestId":"r","submittedAt":1,"result":{"index":"1","tags":{},"data":"%"}}',
    ],
  ])("is refused if it is %s: nothing is sent, and the value stays", async (_, value) => {
    const { client, emulator } = open();
    const store = new Map([["k", value]]);
    const error = await errorOf(run(client, "a", { store, key: "k" }));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_REQUEST" });
    expect(error.message).toContain('the store has a value for the key "k" that is not a handle of run()');
    expect(emulator.requests).toEqual([]);
    expect(store.get("k")).toBe(value);
  });

  test("is refused by the client of another service", async () => {
    const { client, emulator, options } = open(() => new Promise(() => {}));
    const store = new Map<string, string>();
    await errorOf(run(client, "a", { store, key: "k", timeout: 20 }));
    const other = new AsyncInferenceClient({ ...options, serviceName: "other" });
    onTestFinished(() => other.close());
    const before = emulator.requests.length;
    const error = await errorOf(run(other, "a", { store, key: "k" }));
    expect(error.message).toContain('belongs to the service "async", and this client calls "other"');
    expect(emulator.requests).toHaveLength(before);
  });
});
