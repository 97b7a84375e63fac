import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  createEmulator,
  type EmulatorCall,
  type EmulatorHandler,
  type EmulatorQueueLog,
  type EmulatorQueueOptions,
  type EmulatorService,
  fileLog,
} from "../../../../src/emulator/index.js";

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 2 });
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

function open(options: EmulatorQueueOptions = {}) {
  const emulator = createEmulator({ token: "", queues: { q: options } });
  const call = async (method: string, path = "", init: RequestInit = {}) => {
    const response = await emulator.fetch(new Request(`http://e/api/predict/q${path}`, { method, ...init }));
    return { status: response.status, text: await response.text() };
  };
  const put = async (body: string, path = "") => {
    const { status, text } = await call("POST", path, { body });
    expect(status).toBe(200);
    return BigInt(text);
  };
  return { emulator, call, put, ...emulator.queue("q")! };
}

/** Creates a service whose responses the test controls. */
function byHand() {
  const calls: { call: EmulatorCall; answer: (answer: Awaited<ReturnType<EmulatorHandler>>) => void }[] = [];
  const service: EmulatorHandler = (call) => new Promise((answer) => calls.push({ call, answer }));
  return { calls, service };
}

describe("an asynchronous service", () => {
  test("processes the input and writes to the sink with the tags of the request", async () => {
    const { call, put, input, sink } = open({ service: ({ body }) => text(body).toUpperCase() });
    await put("one", "?task_id=job_1");
    await put("two");
    await eventually(() => expect(sink.items.map(({ data }) => text(data))).toEqual(["ONE", "TWO"]));
    expect(input.length).toBe(0);
    expect(sink.items[0]?.tags).toEqual({ task_id: "job_1", requestId: input.pushes[0] && expect.any(String) });
    const requestId = sink.items[1]?.tags.requestId as string;
    const found = await call("GET", `/sink?requestId=${requestId}&_raw_=false`);
    expect(JSON.parse(found.text)[0]).toMatchObject({ tags: { requestId }, data: btoa("TWO") });
    expect(input.commits).toMatchObject([{ gid: "q" }, { gid: "q" }]);
  });

  test("passes the path, query, content type and body of the put to the handler", async () => {
    const { calls, service } = byHand();
    const { call, sink } = open({ service });
    await call("POST", "/sdapi/v1/txt2img?task_id=%E9%94%AE", {
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    await eventually(() => expect(calls).toHaveLength(1));
    const [first] = calls;
    expect(first?.call).toMatchObject({ service: "q", method: "POST", path: "/sdapi/v1/txt2img" });
    expect([...(first?.call.query ?? [])]).toEqual([["task_id", "键"]]);
    expect(first?.call.headers.get("content-type")).toBe("application/json");
    expect(text(first?.call.body)).toBe("{}");
    first?.answer(new Uint8Array([1, 2]));
    await eventually(() => expect(sink.items[0]?.data).toEqual(new Uint8Array([1, 2])));
  });

  test("writes a failure with lastCode, writes no empty result, and commits both items", async () => {
    const service: EmulatorHandler = ({ body }) => {
      if (text(body) === "throw") throw new Error("bad input");
      return text(body) === "503" ? new Response("busy", { status: 503 }) : "";
    };
    const { put, input, sink } = open({ service });
    for (const body of ["throw", "", "503"]) await put(body);
    await eventually(() => expect(input.length).toBe(0));
    expect(sink.items.map(({ data, tags }) => [text(data), tags.lastCode])).toEqual([
      ["bad input", "400"],
      ["busy", "503"],
    ]);
  });

  test("shows its work to search in the group of its name", async () => {
    const { calls, service } = byHand();
    const { call, put } = open({ service });
    const indexes = [await put("a"), await put("b"), await put("c")];
    await eventually(() => expect(calls).toHaveLength(1));
    const search = async (index: bigint | undefined) => {
      const headers = { "X-EAS-QueueService-Redis-Gid": "q" };
      const { ConsumerId, ...rest } = JSON.parse(
        (await call("GET", `?_search_=true&_index_=${index}`, { headers })).text,
      );
      return rest;
    };
    expect(await Promise.all(indexes.map(search))).toEqual([
      { IsPending: true, WaitCount: 0 },
      { IsPending: false, WaitCount: 0 },
      { IsPending: false, WaitCount: 1 },
    ]);
  });

  test("takes only as many items as the sink has room for, and continues when there is room", async () => {
    const { call, put, input, sink } = open({ service: ({ body }) => text(body), sinkMaxLength: 2, workers: 3 });
    for (let i = 0; i < 6; i++) await put(`${i}`);
    await eventually(() => expect(sink.length).toBe(2));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([input.length, sink.length, input.pushes.length]).toEqual([4, 2, 2]);
    await call("GET", "/sink?_auto_delete_=true&_length_=2&_raw_=false");
    await eventually(() => expect([input.length, sink.length]).toEqual([2, 2]));
    await call("DELETE", "/sink?_index_=18446744073709551615&_trunc_=true");
    await eventually(() => expect([input.length, sink.length]).toEqual([0, 2]));
    expect(sink.items.map(({ data }) => text(data))).toEqual(["4", "5"]);
  });

  test("keeps a result until the sink, filled by others, has room", async () => {
    const { calls, service } = byHand();
    const { call, put, input, sink } = open({ service, sinkMaxLength: 1 });
    await put("a");
    await eventually(() => expect(calls).toHaveLength(1));
    sink.put("of somebody else");
    calls[0]?.answer("A");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([input.length, sink.length]).toEqual([1, 1]);
    await call("DELETE", `/sink?_indexes_=${sink.items[0]?.index}`);
    await eventually(() => expect([input.length, text(sink.items[0]?.data)]).toEqual([0, "A"]));
  });

  test("stops while the sink is full, so that the input queue fills up and refuses puts, and loses nothing", async () => {
    const { call, put, input, sink } = open({ service: ({ body }) => body, maxLength: 2, sinkMaxLength: 1 });
    await put("0");
    await eventually(() => expect([input.length, sink.isFull]).toEqual([0, true]));
    await put("1");
    await put("2");
    expect([input.isFull, input.pushes.length]).toEqual([true, 1]);
    expect(await call("POST", "", { body: "3" })).toMatchObject({ status: 429 });
    const results: string[] = [];
    while (results.length < 3) {
      await eventually(() => expect(sink.length).toBe(1));
      results.push((await call("GET", "/sink?_auto_delete_=true")).text);
    }
    expect(results).toEqual(["0", "1", "2"]);
    expect([input.length, input.isFull, sink.isFull]).toEqual([0, false, false]);
    expect(input.pushes.map(({ index }) => input.attempts(index))).toEqual(
      Array.from({ length: 3 }, () => ({ deliveries: 1, negatives: 0 })),
    );
  });

  test("writes a failure for a too large result, and nothing to an ended sink", async () => {
    const { call, put, input, sink } = open({ service: () => "x".repeat(30), maxPayloadBytes: 20 });
    await put("a");
    await eventually(() => expect(sink.items[0]?.tags.lastCode).toBe("413"));
    await call("POST", "/sink?_eos_=true");
    await put("b");
    await eventually(() => expect(input.length).toBe(0));
    expect(sink.length).toBe(1);
  });

  test("processes high priorities first, and stops when it is replaced", async () => {
    const { calls, service } = byHand();
    const { emulator, put, input, sink } = open({ service });
    for (const path of ["", "", "?_priority_=1"]) await put("a", path);
    await eventually(() => expect(calls).toHaveLength(1));
    calls[0]?.answer("1");
    await eventually(() => expect(calls).toHaveLength(2));
    expect(input.items.map(({ priority }) => priority)).toEqual([0, 1]);
    emulator.addQueue("q");
    expect(calls[1]?.call.signal.aborted).toBe(true);
    calls[1]?.answer("2");
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(sink.length).toBe(1);
  });
});

describe("a service object", () => {
  const service: EmulatorService = {
    handle: ({ body }) => (text(body) === "refuse" ? Promise.reject(new Response("no", { status: 503 })) : body),
    decompressor: "zlib",
    compressor: "gzip",
  };

  test("is called with decompressed bodies, and its results are compressed", async () => {
    const { call, sink } = open({ service });
    await call("POST", "", { body: new Uint8Array(deflateSync("abc")) });
    await call("POST", "", { body: new Uint8Array(deflateSync("refuse")) });
    await call("POST", "", { body: "not compressed" });
    await eventually(() => expect(sink.length).toBe(3));
    expect(gunzipSync(sink.items[0]!.data).toString()).toBe("abc");
    expect(sink.items.map(({ tags }) => tags.lastCode)).toEqual([undefined, "503", "400"]);
  });

  test("is refused if it has unknown options, and a service of another type is refused too", () => {
    expect(() => open({ service: { ...service, compresor: "gzip" } as never })).toThrow(/unknown option "compresor"/);
    for (const value of ["echo", {}, { handle: 5 }]) {
      expect(() => open({ service: value as never })).toThrow(
        /^service is .*: it must be a function or an object with/,
      );
    }
  });
});

describe("a log", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "emulator-queue-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const memory = (): EmulatorQueueLog & { lines: string[] } => {
    const lines: string[] = [];
    return { lines, load: () => [...lines], append: (line) => void lines.push(line) };
  };
  const stateOf = ({ input, sink }: ReturnType<typeof open>) =>
    [input, sink, input.deadLetters, sink.deadLetters].map((side) => [side?.isEnded, side?.items]);

  test("restores items, commits, deletes, the end and dead letters, and continues the indexes", async () => {
    const path = join(folder, "queue.log");
    const before = open({ log: fileLog(path), maxPayloadBytes: 100 });
    const indexes = [];
    for (const query of ["?k=v", "?_priority_=2", "/sub?x=%E9%94%AE", "", ""])
      indexes.push(await before.put("é\n", query));
    await before.call("POST", "/sink?requestId=r", { body: new Uint8Array([0, 255]) });
    await before.call("POST", "", { body: "rear", headers: { "X-EAS-QueueService-Access-Rear": "true" } });
    await before.call("PUT", `?_indexes_=${indexes[3]}`);
    const last = await before.put("last");
    await before.call("DELETE", `?_indexes_=${last}`);
    await before.call("GET", `?_index_=${indexes[4]}&_auto_delete_=true`);
    await before.call("POST", "/sink?_eos_=true");
    expect(before.input.items.map(({ index }) => index)).toEqual(indexes.slice(0, 3));

    const after = open({ log: fileLog(path) });
    await after.emulator.queue("q")?.restore();
    expect(stateOf(after)).toEqual(stateOf(before));
    expect(await after.put("next")).toBeGreaterThan(last);
    expect((await after.call("POST", "/sink", { body: "" })).status).toBe(400);
  });

  test("ignores the incomplete last line of a killed process", async () => {
    const path = join(folder, "killed.log");
    await open({ log: fileLog(path) }).put("a");
    appendFileSync(path, '{"store":"input","change":"pu');
    const second = open({ log: fileLog(path) });
    await second.put("b");
    expect(second.input.items.map(({ data }) => text(data))).toEqual(["a", "b"]);
    const third = open({ log: fileLog(path) });
    expect((await third.call("GET", "?_count_=true")).text).toBe("2");
    expect(readFileSync(path, "utf8").trim().split("\n")).toHaveLength(2);
  });

  test("redelivers uncommitted items and continues to count attempts", async () => {
    const log = memory();
    const options = { log, maxDeliveries: 2 };
    const headers = Object.entries({ "X-EAS-QueueService-Redis-Uid": "u" });
    const watch = async ({ emulator }: ReturnType<typeof open>) => {
      const frames: unknown[] = [];
      const signal = new AbortController().signal;
      const connection = await emulator.dialWebSocket("ws://e/api/predict/q?_watch_=true&_window_=5", {
        headers,
        signal,
      });
      connection.onMessage = (frame) => frames.push(frame);
      return frames;
    };
    const first = open(options);
    const indexes = [await first.put("a"), await first.put("b"), await first.put("c")];
    const frames = await watch(first);
    await eventually(() => expect(frames).toHaveLength(3));
    await first.call("PUT", `?_indexes_=${indexes[0]}`);
    await first.call("PUT", `?_indexes_=${indexes[1]}&_negative_=true`);

    const second = open(options);
    const again = await watch(second);
    await eventually(() => expect(again).toHaveLength(2));
    await second.call("PUT", `?_indexes_=${indexes[1]}&_negative_=true`);
    expect(second.input.dead).toMatchObject([{ index: indexes[1] }]);
    expect(second.input.items.map(({ index }) => index)).toEqual([indexes[2]]);
  });

  test("lets a service continue with its items", async () => {
    const log = memory();
    const { calls, service } = byHand();
    await open({ log, service }).put("a");
    await eventually(() => expect(calls).toHaveLength(1));
    const { sink } = open({ log, service: () => "done" });
    await eventually(() => expect(text(sink.items[0]?.data)).toBe("done"));
  });

  test("delays responses until it is written, and fails them if writing fails", async () => {
    let written: () => void = () => {};
    const slow = open({ log: { load: () => [], append: () => new Promise((resolve) => (written = resolve)) } });
    let answered = false;
    const put = slow.put("a").finally(() => (answered = true));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([answered, slow.input.length]).toEqual([false, 1]);
    written();
    await put;
    const full = open({
      log: {
        load: () => [],
        append() {
          throw new Error("disk full");
        },
      },
    });
    await expect(full.call("POST", "", { body: "a" })).rejects.toThrow("disk full");
    const unreadable = open({ log: { load: () => ["{", "{}"], append() {} } });
    await expect(unreadable.call("GET")).rejects.toThrow("line 1");
    await expect(unreadable.emulator.queue("q")?.restore()).rejects.toThrow("line 1");
  });
});
