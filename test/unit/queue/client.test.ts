import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type DataFrame, EasHttpError, QueueClient, type QueueClientOptions } from "../../../src/index.js";
import {
  errorOf,
  RecordingTransport,
  startServer,
  TOKEN,
  transportAnswer,
  turn,
  until,
  watch,
} from "../../support/calls.js";
import { answer, answerWhen, stallBeforeHeaders } from "../../support/misbehaving-server.js";
import { callOf, callsOf, openEmulatorQueue, queueClientOf, recordingQueueClient } from "../../support/queues.js";

// These tests run each operation of a QueueClient against the emulator's queue behind a real socket.

// Creating an error loads code on first use. It is loaded here, so that it does not delay the calls that tests measure.
beforeAll(() => import("../../../src/call/lazy.js"));

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const SMALL = { indexShape: "counter" } as const;
const utf8 = (text: string) => new TextEncoder().encode(text);
const texts = (frames: readonly DataFrame[]) => frames.map((frame) => frame.text());

/** Values that put accepts, with their bytes. */
const backing = Uint8Array.of(9, 9, 0, 255, 10, 9);
const DATA: [name: string, data: () => string | Uint8Array | ArrayBuffer | Blob, bytes: Uint8Array][] = [
  ["a string", () => "héllo 值\n", utf8("héllo 值\n")],
  ["an empty string", () => "", utf8("")],
  ["bytes", () => Uint8Array.of(0, 1, 254, 255), Uint8Array.of(0, 1, 254, 255)],
  ["a view of an array", () => backing.subarray(2, 5), Uint8Array.of(0, 255, 10)],
  ["a Buffer, which is a view of a pool", () => Buffer.from("pooled"), utf8("pooled")],
  ["an ArrayBuffer", () => Uint8Array.of(1, 2, 3).buffer, Uint8Array.of(1, 2, 3)],
  ["a Blob", () => new Blob(["a", Uint8Array.of(200)]), Uint8Array.of(0x61, 200)],
];

const TAGS: Readonly<Record<string, string>> = {
  "a b": "c&d=e/?#%+~*'()!",
  键: "值 é",
  "k[0]=x&y": "[]",
  "%41": "%2B",
  empty: "",
  emoji: "👋🏽",
  "line\nbreak": "\r\n\t",
  constructor: "c",
  toString: "t",
  RequestID: "only requestId is the service's",
};

describe("put", () => {
  test.each(DATA)("stores %s unchanged", async (_name, data, bytes) => {
    const { client, input } = await openEmulatorQueue();
    const { index, requestId } = await client.put(data());
    expect(input.items.map((item) => [item.index, item.data])).toEqual([[index, new Uint8Array(bytes)]]);
    expect(index).toBeGreaterThan(2n ** 53n);
    expect(requestId).toMatch(UUID);
    expect(input.items[0]?.tags).toEqual({ requestId });
    const [frame] = await client.get();
    expect(new Uint8Array(frame?.data as Uint8Array)).toEqual(new Uint8Array(bytes));
  });

  test("returns tags unchanged, with any characters", async () => {
    const { client, calls } = await openEmulatorQueue(SMALL);
    const { requestId } = await client.put("x", { tags: TAGS });
    expect(calls()[0]?.pairs).toEqual(Object.entries(TAGS));
    const [frame] = await client.get();
    expect(Object.entries(frame?.tags ?? {}).sort()).toEqual(Object.entries({ ...TAGS, requestId }).sort());
    expect(frame?.requestId).toBe(requestId);
  });

  test("encodes a space as %20, which all query parsers accept", async () => {
    const { client, emulator } = await openEmulatorQueue();
    await client.put("x", { tags: { "a b": "c d+e" } });
    expect(emulator.requests.at(-1)?.url).toBe("/api/predict/q?a%20b=c%20d%2Be");
  });

  test("returns small indexes as bigints", async () => {
    const { client } = await openEmulatorQueue(SMALL);
    expect((await client.put("a")).index).toBe(1n);
    expect((await client.put("b")).index).toBe(2n);
  });

  test("sends the priority in the query and in the header that the attributes announce", async () => {
    const { client, emulator, input, calls } = await openEmulatorQueue({ ...SMALL, priorityHeader: "X-Own-Priority" });
    await client.put("late");
    await client.put("first", { priority: 1 });
    await client.put("last", { priority: 0, tags: { a: "1" } });
    expect(emulator.requests.at(-2)?.headers.get("x-own-priority")).toBe("1");
    expect(emulator.requests.at(-1)?.headers.get("x-own-priority")).toBe("0");
    expect(emulator.requests.at(-3)?.headers.has("x-own-priority")).toBe(false);
    expect(calls().at(-1)?.pairs).toEqual([
      ["a", "1"],
      ["_priority_", "0"],
    ]);
    expect(input.items.map(({ priority }) => priority)).toEqual([0, 1, 0]);
    expect(texts(await client.get({ length: 3, timeout: 0 }))).toEqual(["first", "late", "last"]);
    expect(input.length).toBe(0);
  });

  test("sends the priority only in the query when no header is announced", async () => {
    const { client, transport } = recordingQueueClient();
    await client.put("x", { priority: 7 });
    expect(callOf("POST", transport.requests.at(-1)?.path as string).pairs).toEqual([["_priority_", "7"]]);
    expect(transport.requests.at(-1)?.headers.map(([name]) => name)).toEqual([
      "x-eas-queueservice-redis-uid",
      "x-eas-queueservice-redis-gid",
      "authorization",
    ]);
  });

  test("appends the path and its query to the queue's path", async () => {
    const { client, input, calls } = await openEmulatorQueue();
    await client.put("a", { path: "/v1/txt 2img" });
    await client.put("b", { path: "v1/x?lang=zh", tags: { task: "1" } });
    expect(calls()).toEqual([
      { method: "POST", pathname: "/api/predict/q/v1/txt%202img", pairs: [] },
      {
        method: "POST",
        pathname: "/api/predict/q/v1/x",
        pairs: [
          ["lang", "zh"],
          ["task", "1"],
        ],
      },
    ]);
    expect(input.items.map(({ path }) => path)).toEqual(["/v1/txt%202img", "/v1/x"]);
  });

  test("sends the headers of the call and a content type", async () => {
    const { emulator, input, clientWith } = await openEmulatorQueue();
    const client = clientWith({ contentType: "application/json", headers: { "x-a": "1", "x-b": "1" } });
    await client.put("{}", { headers: { "X-B": "2" } });
    const { headers } = emulator.requests.at(-1) as { headers: Headers };
    expect([headers.get("x-a"), headers.get("x-b")]).toEqual(["1", "2"]);
    expect(input.items[0]?.contentType).toBe("application/json");
  });

  test("accepts a response without a request id", async () => {
    const { client } = recordingQueueClient({}, ({ method }) =>
      method === "POST" ? transportAnswer(200, {}, " 18446744073709551615\n") : undefined,
    );
    expect(await client.put("x")).toEqual({ index: 2n ** 64n - 1n, requestId: undefined });
  });

  test.each(["", "OK", "-1", "0x10", "1.5", "1e3", "1 2", "999999999999999999999"])(
    "reports maybeAccepted for a response that is not an index: %j",
    async (body) => {
      const { client, transport } = recordingQueueClient({}, ({ method }) =>
        method === "POST" ? transportAnswer(200, {}, body) : undefined,
      );
      expect(await errorOf(client.put("x"))).toMatchObject({
        name: "EasDecodeError",
        code: "ERR_EAS_DECODE",
        format: "queue",
        maybeAccepted: true,
        maybeTaken: false,
        retryable: false,
        attempts: 1,
      });
      expect(transport.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
    },
  );

  test("reaches each kind of queue by its name", async () => {
    const { queue, clientWith } = await openEmulatorQueue(SMALL);
    await clientWith({ queueName: "q/sink" }).put("out");
    await clientWith({ queueName: "" })
      .put("in")
      .catch(() => {});
    expect(queue.sink.items.map(({ data }) => new TextDecoder().decode(data))).toEqual(["out"]);
    expect(queue.input.length).toBe(0);
  });
});

describe("limits of the queue", () => {
  test("reads the limits once and keeps them", async () => {
    const { client, attributeReads, input } = await openEmulatorQueue();
    await Promise.all([client.put("a"), client.put("b"), client.put("c")]);
    await client.put("d");
    expect(attributeReads()).toBe(1);
    expect(input.length).toBe(4);
  });

  test("accepts an item of exactly the limit, and rejects one more byte", async () => {
    const { client, input, calls } = await openEmulatorQueue({ maxPayloadBytes: 10 });
    await client.put("1234567890");
    const error = await errorOf(client.put(Uint8Array.from({ length: 11 })));
    expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_BODY_SIZE" });
    expect(error.message).toMatch(/the item is 11 bytes.*at most 10 \(meta\.maxPayloadBytes\)/);
    expect(input.length).toBe(1);
    expect(calls()).toHaveLength(1);
  });

  test.each(["0", "-1", "", "ten", "1e3", "10.5"])("ignores the invalid limit %j", async (limit) => {
    const { client } = recordingQueueClient({}, ({ path }) =>
      path.includes("_attrs_")
        ? transportAnswer(200, {}, JSON.stringify({ "meta.maxPayloadBytes": limit, "meta.header.priority": "" }))
        : undefined,
    );
    expect(await client.put("x".repeat(100), { priority: 1 })).toMatchObject({ index: 42n });
  });

  test.each([
    ["answered with an error", transportAnswer(500, {}, "no")],
    ["invalid JSON", transportAnswer(200, {}, "<html>")],
    ["an array", transportAnswer(200, {}, "[]")],
    ["null", transportAnswer(200, {}, "null")],
  ])("reads attributes that failed (%s) again after half a minute, without delaying a put", async (_, failure) => {
    const start = performance.now();
    let elapsed = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => start + elapsed);
    onTestFinished(() => clock.mockRestore());
    let reads = 0;
    const { client, transport } = recordingQueueClient({}, ({ path }) => {
      if (!path.includes("_attrs_")) return undefined;
      return ++reads < 3 ? failure : transportAnswer(200, {}, '{"meta.maxPayloadBytes":"3"}');
    });
    for (let i = 0; i < 3; i++) await client.put("1234");
    expect(reads).toBe(1);
    elapsed = 30_000;
    for (let i = 0; i < 3; i++) await client.put("1234");
    expect(reads).toBe(2);
    // The half minute begins at the end of the failed read, and the limits apply from the end of the last read.
    let puts = 6;
    const put = () => {
      puts++;
      return client.put("1234").then(() => undefined, Object);
    };
    while (reads < 3) {
      elapsed += 30_000;
      expect(await put()).toBeUndefined();
      await turn();
    }
    let refusal: unknown;
    while (refusal === undefined) {
      refusal = await put();
      await turn();
    }
    expect(refusal).toMatchObject({ code: "ERR_EAS_ARG_BODY_SIZE" });
    expect(reads).toBe(3);
    expect(transport.requests.filter(({ method }) => method === "POST")).toHaveLength(puts - 1);
  });

  test("attributes that are never answered delay only the first put, and do not delay close()", async () => {
    const now = performance.now.bind(performance);
    let elapsed = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + elapsed);
    onTestFinished(() => clock.mockRestore());
    const signals: AbortSignal[] = [];
    const { client, transport } = recordingQueueClient({ timeout: 50 }, ({ path, signal }) => {
      if (!path.includes("_attrs_")) return undefined;
      signals.push(signal);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
    await client.put("1");
    expect(signals).toHaveLength(1);
    await client.put("2");
    elapsed = 31_000;
    client.setTimeout(100_000_000);
    await client.put("3");
    await client.put("4");
    expect(transport.requests.filter(({ method }) => method === "POST")).toHaveLength(4);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    await client.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test("asks a queue that does not report its limits once", async () => {
    const { client, transport } = recordingQueueClient({}, ({ path }) =>
      path.includes("_attrs_") ? transportAnswer(405, {}, "no") : undefined,
    );
    await client.put("1");
    await client.put("2");
    expect(transport.requests.map(({ method }) => method)).toEqual(["GET", "POST", "POST"]);
  });

  test("limits items to 1 MiB at the shared gateway, and maxRequestBytes overrides that", async () => {
    const mebibyte = new Uint8Array(1024 * 1024);
    const endpoint = "http://1234.cn-shanghai.pai-eas.aliyuncs.com";
    const { client, transport } = recordingQueueClient({ endpoint });
    await client.put(mebibyte);
    const error = await errorOf(client.put(new Uint8Array(mebibyte.length + 1)));
    expect(error).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_BODY_SIZE" });
    expect(error.message).toContain("1048577 bytes, but the limit is 1048576 (the maximum of the shared gateway");
    expect(transport.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
    const own = recordingQueueClient({ endpoint, maxRequestBytes: Number.POSITIVE_INFINITY });
    await own.client.put(new Uint8Array(mebibyte.length + 1));
    const small = recordingQueueClient({ maxRequestBytes: 3 });
    expect((await errorOf(small.client.put("1234"))).message).toContain("the limit is 3 (maxRequestBytes)");
  });

  test("rejects with status 429 when the queue is full and no retry is left", async () => {
    const { clientWith, input } = await openEmulatorQueue({ maxLength: 1 });
    const client = clientWith({ retryCount: 0 });
    await client.put("a");
    expect(await errorOf(client.put("b"))).toMatchObject({ status: 429, retryable: true, maybeAccepted: false });
    expect(input.length).toBe(1);
  });
});

describe("get", () => {
  test("returns and deletes the oldest item by default", async () => {
    const { client, input, calls, emulator } = await openEmulatorQueue();
    const [first, second] = [input.put("a"), input.put("b")];
    const frames = await client.get();
    expect(frames.map(({ index }) => index)).toEqual([first]);
    expect(texts(frames)).toEqual(["a"]);
    expect(input.items.map(({ index }) => index)).toEqual([second]);
    expect(calls()).toEqual([
      {
        method: "GET",
        pathname: "/api/predict/q",
        pairs: [
          ["_index_", "0"],
          ["_length_", "1"],
          ["_timeout_", "5s"],
          ["_raw_", "false"],
          ["_auto_delete_", "true"],
        ],
      },
    ]);
    expect(emulator.requests[0]?.headers.get("accept")).toBe("application/vnd.google.protobuf");
  });

  test.each([
    ["time", "bigint"],
    ["time", "text"],
    ["counter", "bigint"],
    ["counter", "text"],
    ["counter", "number"],
  ] as const)(
    "returns the item with an index of the shape %s, given as %s, or the next item",
    async (indexShape, kind) => {
      const { client, input } = await openEmulatorQueue({ indexShape });
      const indexes = ["a", "b", "c"].map((text) => input.put(text));
      const as = (index: bigint) => ({ bigint: index, text: `${index}`, number: Number(index) })[kind];
      const get = async (index: bigint) => texts(await client.get({ index: as(index), timeout: 0, autoDelete: false }));
      expect(await get(indexes[1] as bigint)).toEqual(["b"]);
      await client.delete(as(indexes[1] as bigint));
      expect(await get(indexes[1] as bigint)).toEqual(["c"]);
      expect(await get((indexes[2] as bigint) + 1n)).toEqual([]);
      expect(await get(-1n)).toEqual(["c"]);
    },
  );

  test("leaves the items in the queue with autoDelete false", async () => {
    const { client, input } = await openEmulatorQueue(SMALL);
    input.put("a");
    expect(texts(await client.get({ autoDelete: false }))).toEqual(["a"]);
    expect(texts(await client.get({ autoDelete: false }))).toEqual(["a"]);
    expect(input.length).toBe(1);
    expect(texts(await client.get({ autoDelete: true }))).toEqual(["a"]);
    expect(input.length).toBe(0);
  });

  test("selects items by request id, by tags, and by both", async () => {
    const { client } = await openEmulatorQueue(SMALL);
    const first = await client.put("a", { tags: { kind: "x y", n: "1" } });
    const second = await client.put("b", { tags: { kind: "x y", n: "2" } });
    const get = async (options: Parameters<QueueClient["get"]>[0]) =>
      texts(await client.get({ timeout: 0, autoDelete: false, length: 10, ...options }));
    expect(await get({ requestId: second.requestId as string })).toEqual(["b"]);
    expect(await get({ tags: { kind: "x y" } })).toEqual(["a", "b"]);
    expect(await get({ tags: { kind: "x y", n: "1" } })).toEqual(["a"]);
    expect(await get({ tags: { n: "2" }, requestId: first.requestId as string })).toEqual([]);
    expect(await get({ tags: {} })).toEqual(["a", "b"]);
  });

  test("returns up to `length` items in order", async () => {
    const { client, input } = await openEmulatorQueue({ partialGet: "answer" });
    for (let i = 0; i < 5; i++) input.put(`${i}`);
    expect(texts(await client.get({ length: 3 }))).toEqual(["0", "1", "2"]);
    expect(texts(await client.get({ length: 3 }))).toEqual(["3", "4"]);
    expect(input.length).toBe(0);
  });

  test.each([
    [0, "0ms"],
    [20, "20ms"],
    [0.4, "1ms"],
    ["20ms", "20ms"],
    ["0", "0"],
    ["0s", "0s"],
    ["0h0.02s", "0h0.02s"],
    [".02s", ".02s"],
    ["20000µs", "20000µs"],
  ])("sends a timeout of %j as %s, and returns an empty array for an empty queue", async (timeout, text) => {
    const { client, calls } = await openEmulatorQueue({ bareTimeout: "reject" });
    expect(await client.get({ timeout })).toEqual([]);
    expect(calls()[0]?.pairs[2]).toEqual(["_timeout_", text]);
  });

  test.each([200, 204] as const)("returns an empty array for an empty response with status %d", async (emptyGet) => {
    const { client } = await openEmulatorQueue({ emptyGet });
    expect(await client.get({ timeout: 0 })).toEqual([]);
  });

  test("waits until an item arrives", async () => {
    const { client, input, emulator } = await openEmulatorQueue();
    const frames = client.get({ timeout: "10m" });
    await until(() => emulator.requests.length === 1);
    input.put("late");
    expect(texts(await frames)).toEqual(["late"]);
  });

  test("adds the wait to the timeouts of the attempt and the call", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const get = (options: QueueClientOptions) =>
      errorOf(queueClientOf(server, { retryCount: 0, ...options }).get({ timeout: "30ms" }));
    expect(await get({ timeout: 50 })).toMatchObject({ phase: "headers", timeout: 80 });
    expect(await get({ totalTimeout: 50 })).toMatchObject({ phase: "total", timeout: 80 });
  });

  test("overrides the client's timeout by attemptTimeout, in addition to the wait", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = queueClientOf(server, { retryCount: 0 });
    expect(await errorOf(client.get({ timeout: 30, attemptTimeout: 50 }))).toMatchObject({
      code: "ERR_EAS_TIMEOUT",
      timeout: 80,
      maybeTaken: true,
    });
  });

  test("an abort ends a long wait immediately, and no item is taken", async () => {
    const { client, emulator, input } = await openEmulatorQueue();
    const controller = new AbortController();
    const reason = new Error("the caller's own");
    const watched = watch(client.get({ timeout: "10m", signal: controller.signal }));
    await until(() => emulator.requests.length === 1);
    controller.abort(reason);
    await turn();
    expect(watched).toEqual({ state: "rejected", value: reason });
    // The abort closed the connection and ended the wait at the service, so a second call receives the next item.
    const second = client.get({ timeout: "10m" });
    await until(() => emulator.requests.length === 2);
    input.put("x");
    expect(texts(await second)).toEqual(["x"]);
  });

  test("sends nothing when the signal has already fired", async () => {
    const { client, transport } = recordingQueueClient();
    const signal = AbortSignal.abort("mine");
    const calls = [
      client.get({ signal }),
      client.put("x", { signal }),
      client.attributes({ signal }),
      client.search(1, { signal }),
      client.count({ signal }),
      client.delete(1, { signal }),
      client.commit(1, { signal }),
      client.negative(1, { signal }),
      client.truncate(1, { signal }),
      client.clear({ signal }),
      client.end({ signal }),
    ];
    for (const call of calls) expect(await errorOf(call)).toBe("mine");
    expect(transport.requests).toEqual([]);
  });

  test("decodes frames as JSON, which a relay may return", async () => {
    const body = JSON.stringify([{ index: 1, tags: { a: "b" }, data: btoa("one") }]).replace(
      "1",
      "6925387844634542080",
    );
    const { client } = recordingQueueClient({}, () =>
      transportAnswer(200, { "content-type": "application/json; charset=utf-8" }, body),
    );
    const [frame] = await client.get();
    expect(frame).toMatchObject({ index: 6925387844634542080n, message: "" });
    expect([frame?.text(), { ...frame?.tags }]).toEqual(["one", { a: "b" }]);
  });
});

describe("attributes, search and count", () => {
  test("returns attributes as strings in an object without a prototype", async () => {
    const { client, input } = await openEmulatorQueue();
    const empty = await client.attributes();
    expect(empty["stream.length"]).toBe("0");
    expect(empty["stream.lastEntry"]).toBeUndefined();
    expect(empty.constructor).toBeUndefined();
    const index = input.put("a");
    expect((await client.attributes())["stream.lastEntry"]).toBe(String(index));
  });

  test("converts attributes to strings", async () => {
    const { client } = recordingQueueClient({}, () => transportAnswer(200, {}, '{"a":1,"__proto__":"p","b":null}'));
    expect(Object.entries(await client.attributes())).toEqual([
      ["a", "1"],
      ["__proto__", "p"],
      ["b", "null"],
    ]);
  });

  test("search reports an item as waiting, held, or gone", async () => {
    const { client, input } = await openEmulatorQueue({}, { gid: "g" });
    const [first, second] = [input.put("a"), input.put("b")];
    expect(await client.search(second)).toEqual({ consumerId: "g.u", isPending: false, waitCount: 1 });
    const watcher = client.watch(0, 1, { transport: "http" });
    const { value } = await watcher.next();
    expect((value as DataFrame).index).toBe(first);
    expect(await client.search(String(first))).toEqual({ consumerId: "g.u", isPending: true, waitCount: 0 });
    await (value as DataFrame).commit();
    expect(await client.search(first)).toBeUndefined();
    expect(await client.search(second + 5n)).toBeUndefined();
    await watcher.close();
  });

  test("search rejects when the service does not exist, instead of reporting the item as gone", async () => {
    const { clientWith } = await openEmulatorQueue();
    const error = await errorOf(clientWith({ queueName: "other" }).search(1));
    expect(error).toBeInstanceOf(EasHttpError);
    expect(error).toMatchObject({ status: 404 });
    const { client } = recordingQueueClient({}, () => transportAnswer(404));
    expect(await errorOf(client.search(1))).toMatchObject({ status: 404 });
  });

  test.each(["", "{}", "null", "[]", '{"IsPending":"true","WaitCount":1}', '{"IsPending":true,"WaitCount":1.5}'])(
    "search rejects an invalid response: %j",
    async (body) => {
      const { client } = recordingQueueClient({}, () => transportAnswer(200, {}, body));
      expect(await errorOf(client.search(1))).toMatchObject({ name: "EasDecodeError", format: "queue", attempts: 1 });
    },
  );

  test("search returns an empty consumer id when no consumer is assigned", async () => {
    const { client } = recordingQueueClient({}, () => transportAnswer(200, {}, '{"IsPending":false,"WaitCount":3}'));
    expect(await client.search(1)).toEqual({ consumerId: "", isPending: false, waitCount: 3 });
  });

  test("count counts all items, by tags and by priority", async () => {
    const { client, input, calls } = await openEmulatorQueue();
    input.put("a", { tags: { k: "v w" } });
    input.put("b", { tags: { k: "v w" }, priority: 1 });
    input.put("c");
    expect(await client.count()).toBe(3);
    expect(await client.count({ tags: { k: "v w" } })).toBe(2);
    expect(await client.count({ priority: 1 })).toBe(1);
    expect(await client.count({ priority: 0, tags: { k: "v w" } })).toBe(1);
    expect(calls().at(-1)?.pairs).toEqual([
      ["_count_", "true"],
      ["k", "v w"],
      ["_priority_", "0"],
    ]);
  });

  test.each(["", "many", "-1", "1.5", "1e3"])("count rejects a response that is not a count: %j", async (body) => {
    const { client } = recordingQueueClient({}, () => transportAnswer(200, {}, body));
    expect(await errorOf(client.count())).toMatchObject({
      name: "EasDecodeError",
      message: expect.stringContaining("is not a count"),
    });
  });
});

describe("delete, commit, negative, truncate, clear and end", () => {
  test.each(["delete", "commit"] as const)(
    "%s accepts one index or several, and sends each index once",
    async (operation) => {
      const { client, input, calls } = await openEmulatorQueue(SMALL);
      for (let i = 0; i < 8; i++) input.put(`${i}`);
      await client[operation](1);
      await client[operation]([2n, "3", 2, 3n]);
      await client[operation](new Set([4n, 5n]));
      await client[operation](
        (function* () {
          yield "6";
        })(),
      );
      expect(input.items.map(({ index }) => index)).toEqual([7n, 8n]);
      const method = operation === "delete" ? "DELETE" : "PUT";
      expect(calls()).toEqual(
        ["1", "2,3", "4,5", "6"].map((indexes) => ({
          method,
          pathname: "/api/predict/q",
          pairs: [["_indexes_", indexes]],
        })),
      );
      // An item that was already deleted is not an error.
      await client[operation]([1, 2, 3]);
    },
  );

  test.each(["delete", "commit", "negative"] as const)("%s of an empty list sends no request", async (operation) => {
    const { client, transport } = recordingQueueClient();
    await client[operation]([]);
    await client[operation](new Set<bigint>());
    expect(transport.requests).toEqual([]);
  });

  test.each(["delete", "commit", "negative"] as const)(
    "%s splits many indexes over URLs of a limited length",
    async (operation) => {
      const { client, transport } = recordingQueueClient();
      const indexes = Array.from({ length: 950 }, (_, i) => 2n ** 63n + BigInt(i));
      await client[operation](indexes);
      const sent = transport.requests.map(({ path }) => new URL(path, "http://q").searchParams.get("_indexes_"));
      expect(sent.join(",").split(",").map(BigInt)).toEqual(indexes);
      expect(transport.requests).toHaveLength(10);
      for (const { path } of transport.requests) expect(path.length).toBeLessThan(2500);
    },
  );

  test("sends the group and the uid with a commit", async () => {
    const { clientWith, input } = await openEmulatorQueue(SMALL);
    input.put("a");
    await clientWith({ uid: "me", gid: "mine" }).commit(1);
    expect(input.commits).toMatchObject([{ index: 1n, uid: "me", gid: "mine" }]);
  });

  test("negative makes an item available to another consumer, and sends code and reason as a form", async () => {
    const { client, emulator, input } = await openEmulatorQueue({ ...SMALL, strictNegative: true });
    input.put("a");
    const watcher = client.watch(0, 1, { transport: "http" });
    await watcher.next();
    await client.negative(1, { code: "Model.Error", reason: "größer & more=1" });
    await client.negative([1]);
    await client.negative(1, { code: "" as never, reason: "x" }).catch(() => {});
    const negatives = emulator.requests.filter(({ url }) => url.includes("_negative_"));
    expect(negatives.map(({ method, url }) => callOf(method, url))).toEqual(
      [1, 2].map(() => ({
        method: "PUT",
        pathname: "/api/predict/q",
        pairs: [
          ["_indexes_", "1"],
          ["_negative_", "true"],
        ],
      })),
    );
    expect(negatives[0]?.headers.get("content-type")).toBe("application/x-www-form-urlencoded");
    expect([...new URLSearchParams(new TextDecoder().decode(negatives[0]?.body))]).toEqual([
      ["_code_", "Model.Error"],
      ["_reason_", "größer & more=1"],
    ]);
    expect(new TextDecoder().decode(negatives[1]?.body)).toBe("_code_=&_reason_=");
    expect(input.negatives).toMatchObject([
      { index: 1n, code: "Model.Error", reason: "größer & more=1" },
      { index: 1n, code: "", reason: "" },
    ]);
    await watcher.close();
  });

  test("keeps the content type of the form over the client's", async () => {
    const { client, transport } = recordingQueueClient({ contentType: "application/json" });
    await client.negative(1, { code: "Shutdown" });
    expect(transport.header("content-type")).toBe("application/x-www-form-urlencoded");
  });

  test.each(["Shutdown", "Model.Error", "ModelError", "500", "A", "AaBbCcDdEeFfGgHhIiJj", "12345678901234567890"])(
    "negative accepts the code %s",
    async (code) => {
      const { client, transport } = recordingQueueClient();
      await client.negative(1, { code });
      expect(new TextDecoder().decode(transport.requests[0]?.body as Uint8Array)).toBe(`_code_=${code}&_reason_=`);
    },
  );

  test("truncate deletes all items before an index", async () => {
    const { client, input, calls } = await openEmulatorQueue(SMALL);
    for (let i = 0; i < 4; i++) input.put(`${i}`);
    await client.truncate("3");
    expect(input.items.map(({ index }) => index)).toEqual([3n, 4n]);
    expect(calls()).toEqual([
      {
        method: "DELETE",
        pathname: "/api/predict/q",
        pairs: [
          ["_index_", "3"],
          ["_trunc_", "true"],
        ],
      },
    ]);
  });

  test.each(["time", "counter"] as const)(
    "clear deletes all items, with indexes by %s, and accepts an empty queue",
    async (indexShape) => {
      const { client, input, calls } = await openEmulatorQueue({ indexShape });
      await client.clear();
      expect(calls()).toEqual([]);
      for (let i = 0; i < 4; i++) input.put(`${i}`);
      await client.clear();
      expect(input.length).toBe(0);
      expect((await client.attributes())["stream.length"]).toBe("0");
      expect(calls()).toHaveLength(1);
    },
  );

  test.each([
    [undefined, 1],
    [{}, 1],
    [{ force: false }, 1],
    [{ force: true }, 0],
  ])("end(%j) ends the queue, and deletes its items only with force", async (options, left) => {
    const { client, input, calls } = await openEmulatorQueue();
    input.put("a");
    await client.end(options);
    expect(input.isEnded).toBe(true);
    expect(input.length).toBe(left);
    expect(calls()[0]).toEqual({
      method: "POST",
      pathname: "/api/predict/q",
      pairs:
        left === 1
          ? [["_eos_", "true"]]
          : [
              ["_eos_", "true"],
              ["_force_", "true"],
            ],
    });
    expect(await errorOf(client.put("b"))).toMatchObject({ status: 400, attempts: 1, maybeAccepted: false });
  });
});

describe("commits of frames", () => {
  /** Creates a client whose commits stay pending until the test answers them, and frames of that client. */
  async function withFrames(count: number, respond: (indexes: string) => Promise<number> | number = () => 200) {
    const { client, input, emulator } = await openEmulatorQueue(SMALL);
    for (let i = 0; i < count; i++) input.put(`${i}`);
    const transport = new RecordingTransport(async (request) => {
      if (request.method !== "PUT") return emulator.transport.send(request);
      const indexes = new URL(request.path, "http://q").searchParams.get("_indexes_") as string;
      return transportAnswer(await respond(indexes), {}, "answer");
    });
    const own = queueClientOf({ origin: emulator.endpoint }, { transport, retryCount: 0 });
    const frames = await own.get({ length: count, autoDelete: false });
    const commits = () =>
      transport.requests.filter(({ method }) => method === "PUT").map(({ path }) => callOf("PUT", path).pairs);
    return { client, own, frames, commits };
  }

  test("are sent in one request per turn, with each index once", async () => {
    const { frames, commits } = await withFrames(3);
    const done = [...frames, ...frames].map((frame) => frame.commit());
    await Promise.resolve().then(() => done.push(frames[0]!.commit()));
    expect(await Promise.all(done)).toEqual(done.map(() => undefined));
    expect(commits()).toEqual([[["_indexes_", "1,2,3"]]]);
    await frames[1]?.commit();
    expect(commits()).toHaveLength(2);
  });

  test("settle with the request that carried them", async () => {
    const { frames, commits } = await withFrames(205, (indexes) => (indexes.startsWith("101,") ? 400 : 200));
    const done = frames.map((frame) => watch(frame.commit()));
    await until(() => done.every(({ state }) => state !== "pending"));
    expect(commits()).toHaveLength(3);
    expect(done.map(({ state }) => state)).toEqual(
      frames.map(({ index }) => (index > 100n && index <= 200n ? "rejected" : "resolved")),
    );
    expect(done[150]?.value).toMatchObject({ status: 400, maybeAccepted: false });
  });

  test("resolve only after the response", async () => {
    let answer: (status: number) => void = () => {};
    const { frames, commits } = await withFrames(1, () => new Promise((resolve) => (answer = resolve)));
    const watched = watch(frames[0]!.commit());
    await until(() => commits().length === 1);
    expect(watched.state).toBe("pending");
    answer(200);
    await until(() => watched.state === "resolved");
  });

  test("frame.negative() sends the code and the reason", async () => {
    const { client, input } = await openEmulatorQueue(SMALL);
    input.put("a");
    const [frame] = await client.get({ autoDelete: false });
    await frame?.negative("Shutdown", "leaving");
    await frame?.negative();
    expect(input.negatives).toMatchObject([{ code: "Shutdown", reason: "leaving" }, { code: "" }]);
    expect(frame?.release()).toBeUndefined();
  });

  test("close waits for commits that were made before", async () => {
    const { client, input } = await openEmulatorQueue(SMALL);
    input.put("a");
    const [frame] = await client.get({ autoDelete: false });
    const committed = watch(frame!.commit());
    await client.close();
    await until(() => committed.state !== "pending");
    expect(committed.state).toBe("resolved");
    expect(input.length).toBe(0);
  });
});

describe("uid, gid and the address of the queue", () => {
  const identity = ({ headers }: { headers: Headers }) => [
    headers.get("x-eas-queueservice-redis-uid"),
    headers.get("x-eas-queueservice-redis-gid"),
  ];

  test("sends a UUID as uid and eas as gid with each request by default", async () => {
    const { emulator } = await openEmulatorQueue();
    const clients = [1, 2].map(
      () => new QueueClient({ endpoint: emulator.endpoint, queueName: "q", token: TOKEN, logger: null }),
    );
    for (const client of clients) {
      expect(client.uid).toMatch(UUID);
      await client.put("x");
      await client.get({ timeout: 0 });
      await client.commit(1);
      await client.delete(1);
      await client.count();
      await client.close();
    }
    expect(new Set(emulator.requests.map(identity).map(String))).toEqual(
      new Set(clients.map(({ uid }) => `${uid},eas`)),
    );
    expect(clients[0]?.uid).not.toBe(clients[1]?.uid);
  });

  test("sets uid and gid by options and by init()", async () => {
    const { emulator, clientWith } = await openEmulatorQueue();
    const client = clientWith({ uid: "u 1", gid: "é" });
    await client.count();
    await client.init("u-2", "g-2");
    expect(client.uid).toBe("u-2");
    await client.count();
    await client.init("u-3");
    await client.count();
    expect(emulator.requests.map(identity)).toEqual([
      ["u 1", "é"],
      ["u-2", "g-2"],
      ["u-3", expect.any(String)],
    ]);
  });

  test("keeps uid and gid after init without arguments", async () => {
    const { client, transport } = recordingQueueClient({ uid: "mine", gid: "ours" });
    await client.init();
    await client.count();
    expect(transport.header("x-eas-queueservice-redis-uid")).toBe("mine");
    expect(transport.header("x-eas-queueservice-redis-gid")).toBe("ours");
  });

  test("init() prepares the transport, and rejects when the options are invalid", async () => {
    const ready = vi.fn(async () => {});
    const transport = Object.assign(new RecordingTransport(), { ready });
    const client = queueClientOf({ origin: "http://127.0.0.1:9" }, { transport });
    await client.init();
    expect(ready).toHaveBeenCalledOnce();
    expect(transport.requests).toEqual([]);
    const nowhere = new QueueClient({ queueName: "q" });
    expect(await errorOf(nowhere.init())).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_ENDPOINT" });
    // Programs may ignore this promise. The next call rejects with the same error.
    void nowhere.init();
    expect(await errorOf(nowhere.get())).toMatchObject({ code: "ERR_EAS_ARG_ENDPOINT" });
  });

  test("supports the constructor and setup of the official Python SDK", async () => {
    const { emulator, input } = await openEmulatorQueue();
    const client = new QueueClient(emulator.endpoint, "q");
    client.setToken(TOKEN);
    await client.init();
    await client.put("x");
    expect(input.length).toBe(1);
    await client.close();
    const custom = new QueueClient(undefined, undefined, `${emulator.endpoint}/api/predict/q/sink`).setToken(TOKEN);
    await custom.put("y");
    expect(emulator.queue("q")?.sink.length).toBe(1);
    await custom.close();
  });

  test("setters return the client and apply to the next call", async () => {
    const first = recordingQueueClient();
    const { client, transport } = first;
    expect(client.setEndpoint("http://other:81")).toBe(client);
    expect(client.setToken(() => "another")).toBe(client);
    expect(client.setContentType("text/plain")).toBe(client);
    expect(client.addExtraHeaders({ "X-A": "1", "X-B": "1" }).addExtraHeaders([["x-b", "2"]])).toBe(client);
    expect(client.setTimeout(1234).setRetryCount(0).setMaxConnectionCount(3).setLogger(null)).toBe(client);
    await client.count();
    expect(transport.requests[0]?.origin).toBe("http://other:81");
    expect(["authorization", "content-type", "x-a", "x-b"].map((name) => transport.header(name))).toEqual([
      "another",
      "text/plain",
      "1",
      "2",
    ]);
  });

  test("setTimeout and setRetryCount apply to the next call", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = queueClientOf(server).setTimeout(60).setRetryCount(1);
    expect(await errorOf(client.count())).toMatchObject({ code: "ERR_EAS_TIMEOUT", timeout: 60, attempts: 2 });
  });

  test('sends the token as a bearer token with auth: "bearer"', async () => {
    const { clientWith, emulator } = await openEmulatorQueue();
    await clientWith({ auth: "bearer" }).count();
    expect(emulator.requests[0]).toMatchObject({ auth: "bearer", status: 200 });
    await clientWith().count();
    expect(emulator.requests[1]).toMatchObject({ auth: "token", status: 200 });
  });

  test("rejects a wrong token with status 401, and keeps the token out of the error", async () => {
    const { clientWith } = await openEmulatorQueue();
    const error = await errorOf(clientWith({ token: "wrong-token-secret" }).count());
    expect(error).toMatchObject({ status: 401, attempts: 1 });
    expect(JSON.stringify(error) + error.message).not.toContain("wrong-token-secret");
  });
});

describe("close", () => {
  test("rejects later calls without sending a request", async () => {
    const { client, transport } = recordingQueueClient();
    await client.close();
    await client.close();
    const closed = {
      name: "EasClosedError",
      code: "ERR_EAS_CLOSED",
      message: "this client is closed: create a new one",
    };
    for (const call of [...callsOf(client), () => client.clear()]) {
      expect(await errorOf(call())).toMatchObject(closed);
    }
    expect(() => client.watch(0, 1)).toThrow(closed.message);
    expect(transport.requests).toEqual([]);
  });

  test("resolves after the calls in flight", async () => {
    const server = await startServer();
    let release: () => void = () => {};
    server.always(answerWhen(new Promise<void>((resolve) => (release = resolve)), 200, "7"));
    const client = queueClientOf(server);
    const count = client.count();
    await server.seen();
    const closing = watch(client.close());
    await turn();
    expect(closing.state).toBe("pending");
    release();
    expect(await count).toBe(7);
    await until(() => closing.state === "resolved");
  });

  test("concurrent puts send one POST each", async () => {
    const server = await startServer();
    server.always(answer(200, {}, ({ method }) => (method === "POST" ? "1" : "{}")));
    const client = queueClientOf(server);
    await Promise.all([client.put("a"), client.put("b")]);
    expect(server.requests.map(({ method }) => method).sort()).toEqual(["GET", "POST", "POST"]);
  });
});

describe("a put's own signal", () => {
  test("ends the put immediately while the limits are read", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const controller = new AbortController();
    const watched = watch(queueClientOf(server, { timeout: 500 }).put("x", { signal: controller.signal }));
    await server.seen();
    controller.abort("mine");
    await turn();
    expect(watched).toEqual({ state: "rejected", value: "mine" });
    expect(server.requests.map(({ method }) => method)).toEqual(["GET"]);
  });

  test("ends the put immediately while the limits are read for another put", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = queueClientOf(server, { timeout: 500 });
    const first = client.put("x", { retryCount: 0 }).catch(() => {});
    await server.seen();
    const controller = new AbortController();
    const watched = watch(client.put("x", { signal: controller.signal }));
    await turn();
    controller.abort("mine");
    await turn();
    expect(watched).toEqual({ state: "rejected", value: "mine" });
    await first;
  });

  test("does not cancel the reading of the limits for another put", async () => {
    const reads: (() => void)[] = [];
    const { client } = recordingQueueClient({}, ({ path, signal }) => {
      if (!path.includes("_attrs_")) return undefined;
      return new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        reads.push(() => resolve(transportAnswer(200, {}, '{"meta.maxPayloadBytes":"3"}')));
      });
    });
    const controller = new AbortController();
    const first = watch(client.put("1234", { signal: controller.signal }));
    await until(() => reads.length === 1);
    const second = watch(client.put("1234"));
    await turn();
    controller.abort("mine");
    await turn();
    expect(first).toEqual({ state: "rejected", value: "mine" });
    for (const read of reads) read();
    await until(() => second.state !== "pending");
    expect(second.value).toMatchObject({ code: "ERR_EAS_ARG_BODY_SIZE" });
  });
});

describe("limits that a put reads", () => {
  const attributesWith = (attributes: Record<string, string>) => (request: { path: string }) =>
    request.path.includes("_attrs_") ? transportAnswer(200, {}, JSON.stringify(attributes)) : undefined;

  // Without a check of the announced name, each put with a priority fails in undici on Node.
  test.each(["a b", "x\r\ny", "Content-Length", "Transfer-Encoding", "Authorization"])(
    "sends the item without the priority header when its announced name is invalid: %j",
    async (name) => {
      const { client, transport } = recordingQueueClient({}, attributesWith({ "meta.header.priority": name }));
      await client.put("abc", { priority: 1 });
      expect(transport.requests.at(-1)?.method).toBe("POST");
      expect(transport.requests.at(-1)?.headers).not.toContainEqual([name.toLowerCase(), "1"]);
    },
  );

  // A put must not wait for the client's timeout when its own timeout is shorter.
  test("the put's totalTimeout applies while the limits are read", async () => {
    const server = await startServer();
    server.play(stallBeforeHeaders, answer(200, {}, "42"));
    const client = queueClientOf(server, { timeout: 500 });
    expect(await errorOf(client.put("x", { totalTimeout: 60 }))).toMatchObject({ code: "ERR_EAS_TIMEOUT" });
  });

  // The limits of the first queue must not apply to the second queue.
  test("are read again after the endpoint changes", async () => {
    const small = await openEmulatorQueue({ maxPayloadBytes: 3 });
    const large = await openEmulatorQueue();
    await small.client.put("123");
    small.client.setEndpoint(large.emulator.endpoint);
    expect(await small.client.put("1234")).toMatchObject({ index: expect.any(BigInt) });
  });

  // An invalid value in a response must not be reported as an invalid argument.
  test.each(["abc", "18446744073709551615"])("clear reports a decode error for the last entry %s", async (last) => {
    const { client } = recordingQueueClient({}, attributesWith({ "stream.lastEntry": last }));
    const error = await client.clear().then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.name ?? "EasDecodeError").toBe("EasDecodeError");
  });
});
