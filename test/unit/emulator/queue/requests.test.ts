import { fromBinary } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createEmulator, type EmulatorOptions, type EmulatorQueueOptions } from "../../../../src/emulator/index.js";
import { AttributesProtoSchema, DataFrameListProtoSchema } from "../../../../src/gen/eas/queue/queue_pb.js";

const PROTOBUF = "application/vnd.google.protobuf";
const USER = "X-EAS-QueueService-Redis-Uid";
const GROUP = "X-EAS-QueueService-Redis-Gid";

afterEach(() => vi.restoreAllMocks());

/** Creates an emulator with a queue `q`, and functions that send requests to it. */
function open(queue: EmulatorQueueOptions = {}, options: EmulatorOptions = {}) {
  const emulator = createEmulator({ token: "t", queues: { q: queue }, ...options });
  const send = (method: string, path: string, init: RequestInit = {}) =>
    emulator.fetch(
      new Request(`http://emulator${path}`, {
        method,
        ...init,
        headers: { authorization: "t", ...(init.headers as Record<string, string>) },
      }),
    );
  const call = async (method: string, query = "", init: RequestInit = {}) => {
    const response = await send(method, query.startsWith("/") ? query : `/api/predict/q${query}`, init);
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const { input, sink } = emulator.queue("q")!;
  return { emulator, send, call, input, sink };
}
const put = async (call: ReturnType<typeof open>["call"], query = "", body: BodyInit | null = "abc", headers = {}) => {
  const { status, text, headers: response } = await call("POST", query, { body, headers });
  expect([status, text]).toEqual([200, expect.stringMatching(/^[1-9]\d*$/)]);
  return { index: text, requestId: response.get("X-Eas-Queueservice-Request-Id") as string };
};

describe("put", () => {
  test("responds with the index and a UUID, and stores the query as tags", async () => {
    const { call, input } = open();
    const { index, requestId } = await put(call, "?a+b=c%26d&%E9%94%AE=%E5%80%BC&a+b=second&_unknown_=1");
    expect(index).toHaveLength(19);
    expect(requestId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(input.items).toMatchObject([{ tags: { "a b": "c&d", 键: "值", requestId }, priority: 0, path: "" }]);
    const second = await put(call, "", "");
    expect(BigInt(second.index)).toBeGreaterThan(BigInt(index));
    expect(input.items[1]?.data).toHaveLength(0);
  });

  test("keeps a given request id, as workers send it", async () => {
    const { call, sink } = open();
    expect((await put(call, "/api/predict/q/sink?requestId=r-1")).requestId).toBe("r-1");
    await put(call, "/api/predict/q/sink?requestId=%E9%94%AE%0A");
    expect(sink.items.map(({ tags }) => tags.requestId)).toEqual(["r-1", "键\n"]);
  });

  test("assigns indexes by a counter with indexShape", async () => {
    const { call } = open({ indexShape: "counter" });
    expect([await put(call), await put(call)].map(({ index }) => index)).toEqual(["1", "2"]);
  });

  test("accepts a priority in the query, or in the header that the attributes name", async () => {
    const { call, input } = open();
    await put(call, "?_priority_=1");
    const attributes = JSON.parse((await call("GET", "?_attrs_=true")).text);
    await put(call, "", "", { [attributes["meta.header.priority"]]: "2" });
    expect(input.items.map(({ priority, tags }) => [priority, Object.keys(tags)])).toEqual([
      [1, ["requestId"]],
      [2, ["requestId"]],
    ]);
    expect((await call("POST", "?_priority_=-1", { body: "" })).status).toBe(400);
    expect((await call("POST", "?_priority_=x", { body: "" })).status).toBe(400);
  });

  test("stores the sub-path and the content type for the service", async () => {
    const { call, input, sink } = open();
    await put(call, "/api/predict/q/sdapi/v1/txt2img?task_id=job", "{}", { "content-type": "application/json" });
    await put(call, "/api/predict/q/", "{}");
    await put(call, "/api/predict/q/sink/x", "{}");
    await put(call, "/api/predict/q/sinks", "{}");
    expect(input.items.map(({ path, contentType }) => [path, contentType])).toEqual([
      ["/sdapi/v1/txt2img", "application/json"],
      ["", "text/plain;charset=UTF-8"],
      ["/sinks", "text/plain;charset=UTF-8"],
    ]);
    expect(sink.items.map(({ path }) => path)).toEqual(["/x"]);
  });

  test("refuses items that are too large or too many with the configured status", async () => {
    const { call } = open({ maxPayloadBytes: 3, maxLength: 1 });
    expect(await call("POST", "", { body: "abcd" })).toMatchObject({ status: 413, text: expect.stringMatching("3") });
    await put(call);
    expect(await call("POST", "", { body: "abc" })).toMatchObject({ status: 429, text: expect.stringMatching("full") });
    const other = open({ maxLength: 0, fullStatus: 450, maxPayloadBytes: 0, tooLargeStatus: 400 });
    expect((await other.call("POST", "", { body: "" })).status).toBe(450);
    expect((await other.call("POST", "", { body: "a" })).status).toBe(400);
  });
});

describe("paths and tokens", () => {
  test("serves a root queue with and without the prefix", async () => {
    const { call, input, sink } = open({}, { rootQueue: "q" });
    await put(call, "/");
    await put(call, "//api/predict//q");
    await put(call, "/sub/path?a=b");
    await put(call, "/sink");
    await put(call, "/sink/");
    expect([input.length, sink.length]).toEqual([3, 2]);
    expect((await call("POST", "/api/predict/other", { body: "" })).status).toBe(404);
    const without = open();
    expect((await without.call("GET", "/")).status).toBe(404);
  });

  test("supports several queues, with dots and slashes in their names, next to services", async () => {
    const { emulator, call } = open({}, { services: { "a/b": () => "service", q: () => "hidden" } });
    for (const name of ["test_group.qservice", "a", "a/b/c"]) emulator.addQueue(name);
    for (const path of ["test_group.qservice", "a", "a/b/c", "a/b/c/sink", "q"])
      await put(call, `/api/predict/${path}`);
    expect((await call("POST", "/api/predict/a/b", { body: "" })).text).toBe("service");
    expect(["a", "a/b/c", "test_group.qservice"].map((name) => emulator.queue(name)?.input.length)).toEqual([1, 1, 1]);
    expect(emulator.queue("a/b/c")?.sink.length).toBe(1);
    expect(emulator.queue("no")).toBeUndefined();
  });

  test("accepts a raw token and Bearer, and treats an empty header like a missing one", async () => {
    const { emulator, call } = open({}, { queues: { q: {}, open: { token: "" }, own: { token: "mine" } } });
    const status = async (name: string, authorization: string) =>
      (await call("GET", `/api/predict/${name}?_attrs_=true`, { headers: { authorization } })).status;
    expect(await Promise.all(["t", "Bearer t", "", "no"].map((token) => status("q", token)))).toEqual([
      200, 200, 401, 401,
    ]);
    expect([await status("open", ""), await status("own", "mine"), await status("own", "t")]).toEqual([200, 200, 401]);
    expect(emulator.requests[0]).toMatchObject({ service: "q", auth: "token", status: 200, method: "GET" });
  });

  test("applies faults to queues", async () => {
    const { emulator, call } = open();
    emulator.fault({ service: "q", status: 503, body: "no healthy upstream" });
    expect(await call("GET", "?_attrs_=true")).toMatchObject({ status: 503, text: "no healthy upstream" });
    emulator.fault({ service: "q", reset: "in-body" });
    await expect(call("GET", "?_attrs_=true")).rejects.toThrow("reset");
    emulator.fault({ service: "q", reset: "in-body" });
    expect((await call("GET")).status).toBe(204);
  });

  test("refuses other methods and reports invalid parameters", async () => {
    const { call } = open();
    expect(await call("PATCH", "", { body: "" })).toMatchObject({ status: 405 });
    for (const [method, query] of [
      ["GET", "?_search_=true"],
      ["GET", "?_search_=true&_index_=0"],
      ["GET", "?_search_=true&_index_=x"],
      ["GET", "?_attrs_=perhaps"],
      ["GET", "?_index_=-2"],
      ["GET", "?_length_=0"],
      ["GET", "?_length_=1.5"],
      ["GET", "?_timeout_=soon"],
      ["GET", "?_timeout_=-1s"],
      ["GET", "?_auto_delete_=yes"],
      ["PUT", ""],
      ["PUT", "?_indexes_=1,x"],
      ["DELETE", ""],
      ["DELETE", "?_indexes_=-1"],
      ["DELETE", "?_trunc_=true"],
      ["GET", "?_watch_=true&_window_=0"],
      ["GET", "?_watch_=true&_index_=x"],
    ] as const) {
      const response = await call(method, query);
      expect([query, response.status]).toEqual([query, 400]);
      expect(response.text).not.toBe("");
    }
    expect((await open({ badParameterStatus: 422 }).call("PUT")).status).toBe(422);
  });
});

describe("get", () => {
  const list = async (response: Response) =>
    fromBinary(DataFrameListProtoSchema, new Uint8Array(await response.arrayBuffer())).index;

  test("finds items by request id and by index, in protobuf", async () => {
    const { send, call } = open();
    const { index, requestId } = await put(call, "?k=v+w", "one");
    const second = await put(call, "", "two");
    for (const [query, expected] of [
      [`_index_=0&requestId=${requestId}`, [index]],
      [`_index_=${second.index}`, [second.index]],
      [`_index_=${BigInt(index) - 1n}`, [index]],
      ["_index_=-1", [second.index]],
      ["_index_=0&_length_=5&_timeout_=0", [index, second.index]],
      ["k=v+w&_length_=5", [index]],
      [`_index_=${BigInt(second.index) + 1n}`, []],
      [`_index_=${second.index}&requestId=${requestId}`, []],
    ] as const) {
      const response = await send("GET", `/api/predict/q?${query}&_raw_=false`, { headers: { accept: PROTOBUF } });
      expect(response.status).toBe(expected.length === 0 ? 204 : 200);
      if (response.status === 204) continue;
      expect(response.headers.get("content-type")).toBe(PROTOBUF);
      expect((await list(response)).map(({ index }) => String(index))).toEqual(expected);
    }
    const [frame] = await list(await send("GET", "/api/predict/q?k=v+w", { headers: { accept: PROTOBUF } }));
    expect(frame).toMatchObject({ tags: { k: "v w", requestId }, message: "" });
    expect(new TextDecoder().decode(frame?.data)).toBe("one");
  });

  test("responds in JSON with exact indexes and tags, and never with an empty list", async () => {
    const { call } = open();
    const { index, requestId } = await put(call, "", new Uint8Array([0, 255, 97]));
    const found = await call("GET", `?requestId=${requestId}&_raw_=false`);
    expect(found.headers.get("content-type")).toBe("application/json");
    expect(found.text).toBe(`[{"index":${index},"tags":{"requestId":"${requestId}"},"data":"AP9h"}]`);
    expect(await call("GET", "?requestId=none&_raw_=false")).toMatchObject({ status: 204, text: "" });
    expect(await call("GET", "?requestId=none", { headers: { accept: "application/json" } })).toMatchObject({
      status: 204,
    });
  });

  test("responds to an empty protobuf get with 204, or an empty list with emptyGet", async () => {
    const { call } = open({ emptyGet: 200 });
    expect(await call("GET", "?_raw_=false", { headers: { accept: PROTOBUF } })).toMatchObject({
      status: 200,
      text: "",
    });
    expect((await call("GET", "?_raw_=false")).status).toBe(204);
  });

  test("responds immediately without a query, with raw data and without deleting anything", async () => {
    const { call, input } = open();
    expect((await call("GET")).status).toBe(204);
    const { index, requestId } = await put(call);
    const { status, text, headers } = await call("GET");
    expect([status, text, headers.get("content-type")]).toEqual([200, "abc", "application/octet-stream"]);
    expect([headers.get("x-emulator-index"), headers.get("x-emulator-request-id")]).toEqual([index, requestId]);
    expect(input.length).toBe(1);
  });

  test("deletes the returned items with _auto_delete_", async () => {
    const { call, input } = open();
    for (let i = 0; i < 3; i++) await put(call);
    await call("GET", "?_auto_delete_=true&_length_=2&_raw_=false");
    expect(input.length).toBe(1);
  });

  test("waits for the next put up to its timeout", async () => {
    const { call, input } = open();
    const waiting = call("GET", "?_timeout_=5s&kind=b&_raw_=false&_auto_delete_=true");
    const next = call("GET", "?_timeout_=5s&kind=b&_raw_=false&_auto_delete_=true");
    await put(call, "?kind=a", "not this");
    await put(call, "?kind=b", "this");
    expect((await waiting).text).toContain(btoa("this"));
    await put(call, "?kind=b", "and this");
    expect((await next).text).toContain(btoa("and this"));
    expect(input.items.map(({ tags }) => tags.kind)).toEqual(["a"]);
  });

  test("responds shortly before its timeout, so that a client with the same timeout gets the response", async () => {
    const { call } = open();
    const timers = vi.spyOn(globalThis, "setTimeout");
    expect((await call("GET", "?_timeout_=200ms")).status).toBe(204);
    const waiting = ["5s", "1m0s", "9999h"].map((timeout) => call("GET", `?_timeout_=${timeout}&_raw_=false`));
    await vi.waitFor(() => expect(timers.mock.calls.map(([, hold]) => hold)).toContain(2 ** 31 - 1));
    const holds = timers.mock.calls.map(([, hold]) => hold);
    for (const hold of [190, 4900, 59_900]) expect(holds).toContain(hold);
    await put(call);
    for (const response of waiting) expect((await response).status).toBe(200);
  });

  test("waits for the requested number of items, or not, by partialGet", async () => {
    for (const partialGet of ["wait", "answer"] as const) {
      const { call } = open({ partialGet });
      await put(call);
      const query = (length: number) => `?_raw_=false&_timeout_=60ms&_length_=${length}`;
      const timers = vi.spyOn(globalThis, "setTimeout");
      expect(JSON.parse((await call("GET", query(5))).text)).toHaveLength(1);
      expect(timers.mock.calls.some(([, hold]) => hold === 57)).toBe(partialGet === "wait");
      timers.mockRestore();
      if (partialGet === "answer") continue;
      const waiting = call("GET", "?_raw_=false&_timeout_=5s&_length_=3");
      await put(call);
      await put(call);
      expect(JSON.parse((await waiting).text)).toHaveLength(3);
    }
  });

  test("reads a timeout without a unit by bareTimeout", async () => {
    const held = async (bareTimeout: "seconds" | "ignore" | "reject", timeout: string) => {
      const { call } = open({ bareTimeout });
      const timers = vi.spyOn(globalThis, "setTimeout");
      const { status } = await call("GET", `?_timeout_=${timeout}`);
      const holds = timers.mock.calls.map(([, hold]) => hold);
      timers.mockRestore();
      return [status, ...holds];
    };
    expect(await held("seconds", "0.1")).toEqual([204, 95]);
    expect(await held("ignore", "5")).toEqual([204]);
    expect(await held("reject", "5")).toEqual([400]);
    expect(await held("reject", "0")).toEqual([204]);
    expect(await held("reject", "0s")).toEqual([204]);
    expect(await held("reject", encodeURIComponent("250\u00b5s"))).toEqual([204, 0.2375]);
  });

  test("ends when the caller disconnects, without deleting items", async () => {
    const { emulator, call, input } = open();
    const gone = new AbortController();
    const request = new Request("http://e/api/predict/q?_timeout_=9s&_auto_delete_=true", {
      headers: { authorization: "t" },
      signal: gone.signal,
    });
    const waiting = emulator.fetch(request);
    await new Promise((resolve) => setTimeout(resolve, 20));
    gone.abort(new Error("gone"));
    await expect(waiting).rejects.toThrow("gone");
    await put(call);
    expect(input.length).toBe(1);
  });
});

describe("other operations", () => {
  test("attributes are complete in JSON and in protobuf", async () => {
    const { send, call } = open({ maxLength: 7, maxPayloadBytes: 99, userHeader: "X-User", groupHeader: "X-Group" });
    const attributes = async (path = "") => JSON.parse((await call("GET", `/api/predict/q${path}?_attrs_=true`)).text);
    expect(await attributes()).toMatchObject({
      "meta.name": "q",
      "meta.maxPayloadBytes": "99",
      "meta.header.user": "X-User",
      "meta.header.group": "X-Group",
      "stream.length": "0",
      "stream.approxMaxLength": "7",
      "consumers.status.total": "0",
      "consumers.stats.total": "0",
    });
    expect(await attributes()).not.toHaveProperty("stream.lastEntry");
    const [first, last] = [await put(call), await put(call)];
    expect(await attributes()).toMatchObject({ "stream.firstEntry": first.index, "stream.lastEntry": last.index });
    expect(await attributes("/sink")).toMatchObject({ "meta.name": "q/sink", "stream.length": "0" });
    const response = await send("GET", "/api/predict/q?_attrs_=true", { headers: { accept: PROTOBUF } });
    const decoded = fromBinary(AttributesProtoSchema, new Uint8Array(await response.arrayBuffer()));
    expect(decoded.attributes).toEqual(await attributes());
    expect(Object.values(decoded.attributes).every((value) => typeof value === "string")).toBe(true);
  });

  test("count counts all items, or those with a priority or tags", async () => {
    const { call } = open();
    for (const query of ["?k=a", "?k=a&_priority_=1", "?k=b"]) await put(call, query);
    const count = async (query: string) => (await call("GET", `?_count_=true${query}`)).text;
    expect(await Promise.all(["", "&_priority_=1", "&k=a", "&k=c", "&k=a&_priority_=0"].map(count))).toEqual([
      "3",
      "1",
      "2",
      "0",
      "1",
    ]);
  });

  test("search returns the position of an item, and 404 for unknown items", async () => {
    const { call } = open();
    const [, second] = [await put(call), await put(call)];
    const headers = { [USER]: "u", [GROUP]: "q" };
    const found = await call("GET", `?_search_=true&_index_=${second?.index}.0`, { headers });
    expect(JSON.parse(found.text)).toEqual({ ConsumerId: "q.u", IsPending: false, WaitCount: 1 });
    expect(await call("GET", "?_search_=true&_index_=5")).toMatchObject({ status: 404, text: "no data in stream" });
    expect((await call("GET", "?_search_=true&_index_=9223372036854775808")).status).toBe(404);
  });

  test("truncate, delete and commit take effect before their response, and ignore unknown indexes", async () => {
    const { call, input } = open();
    const length = async () => JSON.parse((await call("GET", "?_attrs_=true")).text)["stream.length"];
    const puts = [];
    for (let i = 0; i < 6; i++) puts.push((await put(call)).index);
    expect(await call("DELETE", `?_index_=${puts[2]}&_trunc_=true`)).toMatchObject({ status: 200, text: "OK" });
    expect(input.items.map(({ index }) => String(index))).toEqual(puts.slice(2));
    expect(await call("DELETE", `?_indexes_=${puts[2]}%2C${puts[0]}%2C18446744073709551615`)).toMatchObject({
      status: 200,
      text: "OK",
    });
    expect(await length()).toBe("3");
    expect(await call("PUT", `?_indexes_=${puts[3]},0`)).toMatchObject({ status: 200, text: "OK" });
    expect(await call("PUT", `?_indexes_=${puts[3]}`)).toMatchObject({ status: 200, text: "OK" });
    expect(await length()).toBe("2");
    expect(await call("DELETE", "?_indexes_=")).toMatchObject({ status: 200, text: "OK" });
    await call("DELETE", `?_index_=18446744073709551615&_trunc_=true`);
    expect(await length()).toBe("0");
    expect(input.commits).toMatchObject([{ index: BigInt(puts[3] as string), gid: "eas", auto: false }]);
  });

  test("a negative commit records its code and reason, and checks the code with strictNegative", async () => {
    const negative = async (queue: EmulatorQueueOptions, body: string) => {
      const { call, input } = open(queue);
      const headers = { "content-type": "application/x-www-form-urlencoded", [USER]: "u" };
      const { status } = await call("PUT", "?_indexes_=1&_negative_=true", { body, headers });
      return [status, ...input.negatives.map(({ code, reason }) => `${code}/${reason}`)];
    };
    expect(await negative({}, "_code_=Shutdown&_reason_=no+more")).toEqual([200, "Shutdown/no more"]);
    expect(await negative({}, "_code_=&_reason_=")).toEqual([200, "/"]);
    expect(await negative({}, "")).toEqual([200, "/"]);
    expect(await negative({}, "_code_=what+is+this")).toEqual([200, "what is this/"]);
    const strict = { strictNegative: true };
    expect(await negative(strict, "_code_=what+is+this")).toEqual([400]);
    expect(await negative(strict, `_code_=${"A".repeat(21)}`)).toEqual([400]);
    expect(await negative(strict, "")).toEqual([200, "/"]);
    expect(await negative(strict, "_code_=ModelFailed")).toEqual([200, "ModelFailed/"]);
    expect(await negative(strict, "_code_=500")).toEqual([200, "500/"]);
  });

  test("the end refuses puts, is reported in the attributes, and completes long polls", async () => {
    const { call, input } = open();
    await put(call);
    const waiting = call("GET", "?_timeout_=20s&k=v");
    expect((await call("POST", "?_eos_=true")).status).toBe(200);
    expect((await waiting).status).toBe(204);
    expect((await call("GET", "?_timeout_=20s&k=v")).status).toBe(204);
    expect([input.length, input.isEnded]).toEqual([1, true]);
    expect((await call("POST", "", { body: "late" })).status).toBe(400);
    expect(JSON.parse((await call("GET", "?_attrs_=true")).text)["meta.state"]).toBe("End");
    await call("POST", "?_eos_=true&_force_=true");
    expect(input.length).toBe(0);
  });

  test("each side has a separate dead-letter queue", async () => {
    const { call, input, sink } = open();
    const headers = { "X-EAS-QueueService-Access-Rear": "true" };
    for (const path of ["/api/predict/q", "/api/predict/q/sink"]) {
      const { requestId } = await put(call, path, "rear", headers);
      expect((await call("GET", `${path}?requestId=${requestId}`, { headers })).text).toBe("rear");
      expect((await call("GET", `${path}?requestId=${requestId}`)).status).toBe(204);
      expect(JSON.parse((await call("GET", `${path}?_attrs_=true`, { headers })).text)).toMatchObject({
        "stream.length": "1",
        "meta.header.user": USER,
      });
    }
    expect([input.length, input.deadLetters?.length, sink.length, sink.deadLetters?.length]).toEqual([0, 1, 0, 1]);
  });

  test("items can be put without a request, and reset clears the history but keeps items", async () => {
    const { emulator, call, input } = open();
    const index = input.put("héllo", { tags: { k: "v" }, priority: 3 });
    expect((await call("GET", `?_index_=${index}`)).text).toBe("héllo");
    await call("PUT", "?_indexes_=7&_negative_=true");
    emulator.reset();
    expect([input.length, input.negatives, emulator.requests]).toEqual([1, [], []]);
  });

  test("invalid options throw", () => {
    expect(() => open({ indexShape: "hex" as any })).toThrow(/indexShape is "hex": it must be "time" or "counter"/);
    expect(() => open({ maxLength: "many" as any })).toThrow(/maxLength is "many": it must be a number/);
    expect(() => open({ emptyGet: Number.NaN as any })).toThrow(/emptyGet/);
  });
});
