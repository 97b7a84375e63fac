import { once } from "node:events";
import { request } from "node:http";
import { fromBinary } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import {
  createEmulator,
  type EmulatorOptions,
  type EmulatorQueueOptions,
  type RunningEmulator,
  startEmulator,
} from "../../../../src/emulator/index.js";
import { DataFrameProtoSchema } from "../../../../src/gen/eas/queue/queue_pb.js";
import { TransportError, type WebSocketConnection } from "../../../../src/platform/contract.js";

const USER = "X-EAS-QueueService-Redis-Uid";
const GROUP = "X-EAS-QueueService-Redis-Gid";

const running: RunningEmulator[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

async function open(
  queue: EmulatorQueueOptions = {},
  options: EmulatorOptions & { emulator?: any; port?: number } = {},
) {
  const emulator = await startEmulator({ token: "t", queues: { q: queue }, ...options });
  running.push(emulator);
  const send = (method: string, path = "", init: RequestInit = {}) =>
    fetch(`${emulator.endpoint}/api/predict/q${path}`, {
      method,
      ...init,
      headers: { authorization: "t", ...(init.headers as Record<string, string>) },
    });
  const put = async (count: number, query = "") => {
    const indexes: bigint[] = [];
    for (let i = 0; i < count; i++) {
      indexes.push(BigInt(await (await send("POST", query, { body: `item ${i}` })).text()));
    }
    return indexes;
  };
  const commit = async (...indexes: bigint[]) => {
    expect(await (await send("PUT", `?_indexes_=${indexes.join(",")}`)).text()).toBe("OK");
  };
  const { input, sink } = emulator.queue("q")!;
  return { emulator, send, put, commit, input, sink };
}

interface Frame {
  readonly index: bigint;
  readonly tags: Record<string, string>;
  readonly data: Uint8Array;
}

/** A watch as the official SDKs open it, independent of the transport. */
interface Watch {
  readonly frames: Frame[];
  /** The close code; undefined if an HTTP stream ends. */
  readonly closed: Promise<number | undefined>;
  readonly isClosed: () => boolean;
  cut(): void;
}
type Opener = (
  emulator: RunningEmulator,
  query?: string,
  user?: { uid?: string; gid?: string; path?: string },
) => Promise<Watch>;

const defaults = "_watch_=true&_index_=0&_window_=5&_index_only_=false&_auto_commit_=false";
const headersOf = ({ uid = "u", gid = "eas" }) => ({ authorization: "t", [USER]: uid, [GROUP]: gid });
const withDefaults = (query: string, path = "/api/predict/q") => {
  const url = new URL(`http://e${path}?${defaults}`);
  for (const [name, value] of new URLSearchParams(query)) url.searchParams.set(name, value);
  return url.pathname + url.search;
};

function collecting() {
  let resolve: (code: number | undefined) => void = () => {};
  let isClosed = false;
  const frames: Frame[] = [];
  const closed = new Promise<number | undefined>((done) => {
    resolve = (code) => {
      isClosed = true;
      done(code);
    };
  });
  const receive = (bytes: Uint8Array) => void frames.push(fromBinary(DataFrameProtoSchema, bytes));
  return { frames, closed, isClosed: () => isClosed, receive, resolve };
}

const overWebSocket: Opener = (emulator, query = "", user = {}) =>
  new Promise((resolve, reject) => {
    const { receive, resolve: close, ...watch } = collecting();
    const url = emulator.endpoint.replace("http", "ws") + withDefaults(query, user.path);
    const socket = new WebSocket(url, { headers: headersOf(user), perMessageDeflate: true });
    socket.on("message", (data: Buffer, isBinary) => {
      expect(isBinary).toBe(true);
      receive(new Uint8Array(data));
    });
    socket.on("close", (code) => close(code));
    socket.on("error", reject);
    socket.on("open", () => {
      expect(socket.extensions).toBe("");
      resolve({ ...watch, cut: () => socket.terminate() });
    });
  });

const overHttp: Opener = async (emulator, query = "", user = {}) => {
  const { receive, resolve: close, ...watch } = collecting();
  const gone = new AbortController();
  const url = emulator.endpoint + withDefaults(query, user.path);
  const response = await fetch(url, { headers: headersOf(user), signal: gone.signal });
  expect(response.status).toBe(200);
  void (async () => {
    let rest = new Uint8Array(0);
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      rest = Uint8Array.from([...rest, ...chunk]);
      while (rest.length >= 4) {
        const end = 4 + new DataView(rest.buffer).getUint32(0);
        if (rest.length < end) break;
        receive(rest.slice(4, end));
        rest = rest.slice(end);
      }
    }
    expect(rest).toHaveLength(0);
    close(undefined);
  })().catch(() => close(1006));
  return { ...watch, cut: () => gone.abort() };
};

async function dial(
  emulator: Pick<RunningEmulator, "dialWebSocket">,
  query = "",
  user: { uid?: string; gid?: string; path?: string } = {},
  token = "t",
) {
  const headers = Object.entries({ ...headersOf(user), authorization: token });
  const signal = new AbortController().signal;
  return await emulator.dialWebSocket(`ws://anywhere${withDefaults(query, user.path)}`, { headers, signal });
}

const inMemory: Opener = async (emulator, query = "", user = {}) => {
  const { receive, resolve: close, ...watch } = collecting();
  const connection = await dial(emulator, query, user);
  connection.onMessage = (data) => receive(data as Uint8Array);
  connection.onClose = ({ code }) => close(code);
  return { ...watch, cut: () => connection.terminate() };
};

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 5000, interval: 2 });
const settle = () => new Promise((resolve) => setTimeout(resolve, 30));
const indexesOf = ({ frames }: Watch) => frames.map(({ index }) => index);
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe.each([
  ["WebSocket", overWebSocket, 1000, 4409],
  ["HTTP stream", overHttp, undefined, undefined],
  ["WebSocket in memory", inMemory, 1000, 4409],
] as const)("%s", (_, watch, endCode, takeoverCode) => {
  test("delivers existing and new items in order, with tags and data", async () => {
    const { emulator, put, input } = await open();
    const before = await put(2, "?k=v");
    const a = await watch(emulator, "_window_=100");
    await eventually(() => expect(indexesOf(a)).toEqual(before));
    const later = await put(1);
    await eventually(() => expect(indexesOf(a)).toEqual([...before, ...later]));
    expect(a.frames[0]).toMatchObject({ tags: { k: "v", requestId: expect.any(String) }, message: "" });
    expect(text(a.frames[1]?.data)).toBe("item 1");
    expect(input.pushes.map(({ index, uid, gid, delivery }) => [index, uid, gid, delivery])).toEqual(
      [...before, ...later].map((index) => [index, "u", "eas", 1]),
    );
    expect(input.pending.get("eas.u")).toEqual([...before, ...later]);
  });

  test("stops at the window until a commit", async () => {
    const { emulator, put, commit, input } = await open();
    const indexes = await put(8);
    const a = await watch(emulator);
    await eventually(() => expect(a.frames).toHaveLength(5));
    await settle();
    expect(a.frames).toHaveLength(5);
    await commit(indexes[0] as bigint, indexes[1] as bigint);
    await eventually(() => expect(indexesOf(a)).toEqual(indexes.slice(0, 7)));
    await commit(...indexes.slice(2, 7));
    await eventually(() => expect(indexesOf(a)).toEqual(indexes));
    await commit(...indexes);
    expect(input.length).toBe(0);
    expect(input.commits.map(({ index }) => index)).toEqual(indexes);
  });

  test("delivers every item once with automatic commits, without a window", async () => {
    const { emulator, put, input } = await open();
    const a = await watch(emulator, "_auto_commit_=true&_window_=0");
    const indexes = await put(20);
    await eventually(() => expect(indexesOf(a)).toEqual(indexes));
    expect(input.length).toBe(0);
    expect(input.commits.every(({ auto }) => auto)).toBe(true);
  });

  test("supports _index_only_, tags and a start index", async () => {
    const { emulator, put } = await open();
    const [a, b] = await put(2, "?k=a");
    const [c, d] = await put(2, "?k=b");
    const only = await watch(emulator, "_index_only_=true&k=b", { gid: "g1" });
    const from = await watch(emulator, `_index_=${b}`, { gid: "g2" });
    const newest = await watch(emulator, "_index_=-1", { gid: "g3" });
    await eventually(() =>
      expect([indexesOf(only), indexesOf(from)]).toEqual([
        [c, d],
        [b, c, d],
      ]),
    );
    expect(only.frames[0]).toMatchObject({ tags: { k: "b" } });
    expect(only.frames[0]?.data).toHaveLength(0);
    expect(newest.frames).toEqual([]);
    const [e] = await put(1, "?k=c");
    await eventually(() => expect([indexesOf(newest), indexesOf(from).at(-1)]).toEqual([[e], e]));
    expect(a).toBeTypeOf("bigint");
  });

  test("redelivers the items of a lost consumer, to another consumer or to the same", async () => {
    const { emulator, put, input } = await open();
    const a = await watch(emulator, "", { uid: "a" });
    const indexes = await put(3);
    await eventually(() => expect(a.frames).toHaveLength(3));
    const b = await watch(emulator, "", { uid: "b" });
    a.cut();
    await eventually(() => expect(indexesOf(b)).toEqual(indexes));
    expect(input.pushes.slice(3).map(({ delivery }) => delivery)).toEqual([2, 2, 2]);
    b.cut();
    await eventually(() => expect(input.pending.size).toBe(0));
    const again = await watch(emulator, "", { uid: "b" });
    await eventually(() => expect(indexesOf(again)).toEqual(indexes));
  });

  test("breaks the connections that cutConnections selects", async () => {
    const { emulator, put } = await open();
    const a = await watch(emulator, "", { uid: "a" });
    const b = await watch(emulator, "", { uid: "b", gid: "other" });
    const c = await watch(emulator, "", { uid: "c", path: "/api/predict/q/sink" });
    const indexes = await put(2);
    await eventually(() => expect([a.frames.length, b.frames.length]).toEqual([2, 2]));
    expect(
      emulator.cutConnections(({ uid, side, isDeadLetter }) => uid === "a" && side === "input" && !isDeadLetter),
    ).toBe(1);
    expect(await a.closed).toBe(1006);
    expect([b.isClosed(), c.isClosed()]).toEqual([false, false]);
    const d = await watch(emulator, "", { uid: "d" });
    await eventually(() => expect(indexesOf(d)).toEqual(indexes));
    expect(emulator.cutConnections()).toBe(3);
    expect(await Promise.all([b.closed, c.closed, d.closed])).toEqual([1006, 1006, 1006]);
    expect(emulator.cutConnections()).toBe(0);
  });

  test("replaces the first connection of a user by the second", async () => {
    const { emulator, put, commit, input } = await open();
    const first = await watch(emulator);
    const indexes = await put(3);
    await eventually(() => expect(first.frames).toHaveLength(3));
    const elsewhere = await watch(emulator, "", { gid: "other" });
    const second = await watch(emulator);
    expect(await first.closed).toBe(takeoverCode);
    await eventually(() => expect(indexesOf(second)).toEqual(indexes));
    expect(elsewhere.isClosed()).toBe(false);
    expect(input.takeovers).toMatchObject([{ uid: "u", gid: "eas", count: 1 }]);
    await commit(...indexes);
    expect(input.pending.get("eas.u")).toEqual([]);
  });

  test("delivers the remaining items before the end of the queue", async () => {
    const { emulator, send, put, commit } = await open();
    const a = await watch(emulator, "_window_=1");
    const indexes = await put(2);
    await send("POST", "?_eos_=true");
    await eventually(() => expect(a.frames).toHaveLength(1));
    await commit(indexes[0] as bigint);
    await eventually(() => expect(indexesOf(a)).toEqual(indexes));
    expect(a.isClosed()).toBe(false);
    await commit(indexes[1] as bigint);
    expect(await a.closed).toBe(endCode);
    const late = await watch(emulator);
    expect(await late.closed).toBe(endCode);
  });

  test("drops the remaining items at a forced end", async () => {
    const { emulator, send, put, input } = await open();
    const a = await watch(emulator, "_window_=1");
    await put(3);
    await send("POST", "?_eos_=true&_force_=true");
    expect(await a.closed).toBe(endCode);
    expect(input.length).toBe(0);
  });

  test("delivers by priority and balances between consumers", async () => {
    const { emulator, put, commit, input } = await open();
    const low = await put(2);
    const high = await put(1, "?_priority_=1");
    const a = await watch(emulator, "_window_=1", { uid: "a" });
    await eventually(() => expect(indexesOf(a)).toEqual(high));
    const b = await watch(emulator, "_window_=1", { uid: "b" });
    await eventually(() => expect(indexesOf(b)).toEqual([low[0]]));
    await commit(...high);
    await eventually(() => expect(indexesOf(a)).toEqual([...high, low[1]]));
    expect(input.pending).toEqual(
      new Map([
        ["eas.b", [low[0]]],
        ["eas.a", [low[1]]],
      ]),
    );
  });

  test("continues over many broken connections without losing or repeating committed items", async () => {
    const { emulator, put, commit, input } = await open();
    const indexes = await put(60);
    const seen = new Set<bigint>();
    for (let round = 0; seen.size < indexes.length; round++) {
      expect(round).toBeLessThan(60);
      const a = await watch(emulator, "", { uid: `u${round % 2}` });
      await eventually(() => expect(a.frames.length).toBeGreaterThan(0));
      const done = indexesOf(a).slice(0, 3);
      await commit(...done);
      for (const index of done) {
        expect(seen.has(index)).toBe(false);
        seen.add(index);
      }
      a.cut();
      await a.closed;
    }
    expect([...seen].sort()).toEqual(indexes);
    expect(input.length).toBe(0);
    const committedAt = new Map(input.commits.map(({ index, time }) => [index, time]));
    for (const push of input.pushes) expect(push.time).toBeLessThanOrEqual(committedAt.get(push.index) as number);
  });

  test("redelivers to another consumer after a negative commit, and stops after Shutdown", async () => {
    const { emulator, send, put } = await open();
    const a = await watch(emulator, "", { uid: "a" });
    const [index] = await put(1);
    await eventually(() => expect(a.frames).toHaveLength(1));
    const b = await watch(emulator, "", { uid: "b" });
    await send("PUT", `?_indexes_=${index}&_negative_=true`, {
      body: "_code_=Shutdown&_reason_=",
      headers: { [USER]: "a" },
    });
    await eventually(() => expect(indexesOf(b)).toEqual([index]));
    const more = await put(3);
    await eventually(() => expect(indexesOf(b)).toEqual([index, ...more]));
    expect(a.frames).toHaveLength(1);
  });
});

describe("the server", () => {
  test("refuses an upgrade with a status, and logs it", async () => {
    const { emulator } = await open({ sameUid: "refuse" }, { services: { s: { handle: () => "", methods: ["GET"] } } });
    const status = (path: string, headers: Record<string, string>) =>
      new Promise((resolve) => {
        const socket = new WebSocket(emulator.endpoint.replace("http", "ws") + path, { headers });
        socket.on("unexpected-response", (_request, response) => resolve(response.statusCode));
        socket.on("open", () => {
          resolve(101);
        });
        socket.on("error", () => {});
      });
    const watch = `/api/predict/q?${defaults}`;
    const user = { authorization: "t", [USER]: "u" };
    expect(await status(watch, {})).toBe(401);
    expect(await status("/api/predict/none?_watch_=true", user)).toBe(404);
    expect(await status("/api/predict/s", user)).toBe(400);
    expect(await status("/api/predict/q", user)).toBe(400);
    expect(await status("/api/predict/q?_watch_=true&_window_=x", user)).toBe(400);
    expect(await status(watch, user)).toBe(101);
    expect(await status(watch, user)).toBe(409);
    emulator.fault({ service: "q", status: 503 });
    expect(await status(watch, user)).toBe(503);
    expect(emulator.requests.map(({ status }) => status)).toEqual([401, 404, 400, 400, 400, 101, 409, 503]);
  });

  test("responds to pings with their payload, ignores messages, and sends single frames without extensions", async () => {
    const { emulator, put } = await open();
    const socket = new WebSocket(emulator.endpoint.replace("http", "ws") + withDefaults(""), {
      headers: headersOf({}),
    });
    const raw: Buffer[] = [];
    socket.on("upgrade", (response) => {
      expect(response.headers).not.toHaveProperty("sec-websocket-extensions");
      expect(response.headers).not.toHaveProperty("sec-websocket-protocol");
      response.socket.on("data", (chunk: Buffer) => raw.push(chunk));
    });
    await new Promise((resolve) => socket.on("open", resolve));
    const pong = new Promise((resolve) => socket.on("pong", (payload) => resolve(payload.toString())));
    socket.send("text");
    socket.send(new Uint8Array(3));
    socket.ping("ping");
    expect(await pong).toBe("ping");
    raw.length = 0;
    const message = new Promise<Buffer>((resolve) => socket.on("message", (data: Buffer) => resolve(data)));
    await put(1);
    const { length } = await message;
    // FIN and binary, no mask, then the length: the message is a single frame.
    expect([...Buffer.concat(raw).subarray(0, 2)]).toEqual([0x82, length]);
    expect(Buffer.concat(raw)).toHaveLength(2 + length);
    socket.terminate();
  });

  test("continues with HTTP/1.1 if the client offers HTTP/2", async () => {
    const { emulator, input } = await open();
    const answers = ["POST", "POST", "GET"].map(async (method, i) => {
      const headers = {
        authorization: "t",
        connection: "Upgrade, HTTP2-Settings",
        upgrade: "h2c",
        "http2-settings": "AAM",
      };
      const sent = request(`${emulator.endpoint}/api/predict/q${method === "GET" ? "?_count_=true" : ""}`, {
        method,
        headers,
      });
      // With a body that is sent with the headers, and one that is sent long after them.
      if (i === 0) sent.end("at once");
      else setTimeout(() => sent.end(method === "GET" ? undefined : "x".repeat(200_000)), 20 * i);
      const [response] = await once(sent, "response");
      return [response.statusCode, (await response.toArray()).join("").length];
    });
    expect(await Promise.all(answers)).toEqual([
      [200, 19],
      [200, 19],
      [200, 1],
    ]);
    expect(input.items.map(({ data }) => data.length).sort()).toEqual([200_000, 7]);
  });

  test("can be followed by another server with the same emulator on the same port", async () => {
    const core = createEmulator({ token: "t", queues: { q: {} } });
    const first = await open({}, { emulator: core });
    const a = await overWebSocket(first.emulator);
    const h = await overHttp(first.emulator, "", { gid: "h" });
    const indexes = await first.put(2);
    await eventually(() => expect([a.frames.length, h.frames.length]).toEqual([2, 2]));
    const { port } = first.emulator;
    await first.emulator.close();
    expect(await Promise.all([a.closed, h.closed])).toEqual([1006, 1006]);
    await eventually(() => expect(core.queue("q")?.input.pending.size).toBe(0));
    running.splice(0);
    const second = await open({}, { emulator: core, port });
    const b = await overWebSocket(second.emulator);
    await eventually(() => expect(indexesOf(b)).toEqual(indexes));
  });

  test("ends a long poll when its connection ends, without deleting items", async () => {
    const { emulator, send, put, input } = await open();
    const gone = new AbortController();
    const waiting = send("GET", "?_timeout_=20s&_auto_delete_=true", { signal: gone.signal });
    await eventually(() => expect(emulator.requests).toHaveLength(1));
    gone.abort();
    await expect(waiting).rejects.toThrow();
    await settle();
    await put(1);
    expect(input.length).toBe(1);
  });

  test("applies backpressure for a slow reader over WebSocket, without losing items", async () => {
    const { emulator, input } = await open();
    const data = new Uint8Array(64 * 1024);
    const socket = new WebSocket(emulator.endpoint.replace("http", "ws") + withDefaults("_auto_commit_=true"), {
      headers: headersOf({}),
    });
    let count = 0;
    socket.on("message", () => count++);
    await new Promise((resolve) => socket.on("open", resolve));
    socket.pause();
    for (let i = 0; i < 400; i++) input.put(data);
    await settle();
    expect(input.length).toBeGreaterThan(100);
    socket.resume();
    await eventually(() => expect([count, input.length]).toEqual([400, 0]));
    socket.terminate();
  });

  test("applies backpressure for a slow reader over HTTP, without losing items", async () => {
    const { emulator, input } = await open();
    const response = await fetch(emulator.endpoint + withDefaults("_auto_commit_=true"), { headers: headersOf({}) });
    const data = new Uint8Array(64 * 1024);
    for (let i = 0; i < 400; i++) input.put(data);
    await settle();
    expect(input.length).toBeGreaterThan(100);
    let bytes = 0;
    const reader = response.body!.getReader();
    while (bytes < 400 * data.length) bytes += (await reader.read()).value!.length;
    await eventually(() => expect(input.length).toBe(0));
    await reader.cancel();
    await eventually(() => expect(input.pending.size).toBe(0));
  });

  test("reports consumers and groups in the attributes", async () => {
    const { emulator, send, put } = await open();
    await put(1);
    const a = await overWebSocket(emulator, "_window_=7&foo=bar&a=b", { uid: "u1", gid: "g" });
    const b = await overWebSocket(emulator, "_auto_commit_=true", { uid: "u2" });
    await eventually(() => expect(b.frames).toHaveLength(1));
    const attributes = async () => (await (await send("GET", "?_attrs_=true")).json()) as Record<string, string>;
    const found = await attributes();
    expect(found["consumers.status.total"]).toBe("2");
    expect(found["consumers.list.[0]"]).toMatch(
      /^Id: g\.u1, Index: 0, Pending: 0, Status: Running, Idle: \d+(\.\d+)?m?s, Window: 7, Slots: 7, AutoCommit: false, Tags: tags\[a=b foo=bar\]$/,
    );
    expect(found["consumers.list.[1]"]).toMatch(/^Id: eas\.u2, .*AutoCommit: true$/);
    expect(found["groups.list.[1]"]).toMatch(/^Id: eas, Index: \d{19}, Pending: 0, Delivered: 1, Consumers: 1$/);
    a.cut();
    await eventually(async () => expect((await attributes())["consumers.list.[0]"]).toMatch(/Status: Leaving/));
  });

  test("reports the consumer of an item to search, in the caller's group", async () => {
    const { emulator, send, put } = await open();
    const [index] = await put(1);
    const a = await overWebSocket(emulator, "", { uid: "w", gid: "q" });
    await eventually(() => expect(a.frames).toHaveLength(1));
    const search = async (gid: string) =>
      (await send("GET", `?_search_=true&_index_=${index}`, { headers: { [USER]: "me", [GROUP]: gid } })).json();
    expect(await search("q")).toEqual({ ConsumerId: "q.w", IsPending: true, WaitCount: 0 });
    expect(await search("eas")).toEqual({ ConsumerId: "eas.me", IsPending: false, WaitCount: 0 });
  });

  test("moves an item to the dead-letter queue after too many negative commits, where it can be watched", async () => {
    const { emulator, send, put, input } = await open({ maxDeliveries: 2, deadItems: "dead-letter" });
    const a = await overWebSocket(emulator);
    const [index] = await put(1, "?k=v");
    for (const count of [1, 2]) {
      await eventually(() => expect(a.frames).toHaveLength(count));
      await send("PUT", `?_indexes_=${index}&_negative_=true`, { body: "_code_=Bad" });
    }
    expect([input.length, input.deadLetters?.length]).toEqual([0, 1]);
    expect(input.dead).toMatchObject([{ index, gid: "eas", action: "dead-letter" }]);
    expect(input.attempts(BigInt(index!))).toEqual({ deliveries: 2, negatives: 2 });
    expect(input.attempts(BigInt(index!), "another")).toEqual({ deliveries: 0, negatives: 0 });
    expect(input.deadLetters?.items[0]?.tags).toMatchObject({ k: "v" });
    const rear = await fetch(emulator.endpoint + withDefaults("_auto_commit_=true"), {
      headers: { ...headersOf({}), "X-EAS-QueueService-Access-Rear": "true" },
    });
    expect((await rear.body!.getReader().read()).value?.length).toBeGreaterThan(10);
    expect(input.deadLetters?.length).toBe(0);
  });
});

describe("the WebSocket dialer in memory", () => {
  const core = (queue: EmulatorQueueOptions = {}) => createEmulator({ token: "t", queues: { q: queue } });

  test("rejects like a real dialer", async () => {
    const emulator = core();
    await expect(dial(emulator, "", {}, "wrong")).rejects.toMatchObject({ status: 401, sent: "maybe" });
    emulator.fault({ reset: "before-headers" });
    await expect(dial(emulator)).rejects.toBeInstanceOf(TransportError);
    const signal = AbortSignal.timeout(20);
    emulator.fault({ stall: "before-headers" });
    const headers = Object.entries(headersOf({}));
    const stalled = emulator.dialWebSocket("ws://e/api/predict/q?_watch_=true", { headers, signal });
    expect(await stalled.catch((error) => error)).toBe(signal.reason);
    const dialing = emulator.dialWebSocket("ws://", { headers, signal: new AbortController().signal });
    await expect(dialing).rejects.toMatchObject({ sent: "no", final: true });
    expect(emulator.cutConnections()).toBe(0);
  });

  test("pings, pauses, closes and ends like a real dialer", async () => {
    const emulator = core();
    const { input } = emulator.queue("q")!;
    const events: unknown[] = [];
    const listen = (connection: WebSocketConnection) => {
      connection.onMessage = () => events.push("message");
      connection.onClose = (close) => events.push(close);
      connection.onPong = () => events.push("pong");
    };
    const connection = await dial(emulator, "_auto_commit_=true");
    listen(connection);
    connection.ping?.();
    connection.send("ignored");
    await eventually(() => expect(events).toEqual(["pong"]));
    connection.pause?.();
    const large = new Uint8Array(600 * 1024);
    for (let i = 0; i < 4; i++) input.put(large);
    await settle();
    expect([events.length, input.length]).toEqual([1, 2]);
    connection.resume?.();
    await eventually(() => expect(events).toEqual(["pong", ...Array(4).fill("message")]));
    connection.close(3000, "enough");
    await eventually(() => expect(events.at(-1)).toEqual({ code: 3000, reason: "enough" }));
    expect(input.pending.size).toBe(0);
    input.put("x");
    const second = await dial(emulator);
    listen(second);
    second.terminate();
    await eventually(() => expect(events.at(-1)).toEqual({ code: 1006, reason: "" }));
    expect([events.length, input.pending.size, input.length]).toEqual([7, 0, 1]);
  });

  test("is consistent with an HTTP watch through fetch, which ends with its signal", async () => {
    const emulator = core();
    const { input } = emulator.queue("q")!;
    const gone = new AbortController();
    const headers = headersOf({});
    const watch = () => emulator.fetch(new Request(`http://e${withDefaults("")}`, { headers, signal: gone.signal }));
    const reader = (await watch()).body!.getReader();
    const index = input.put("x");
    expect((await reader.read()).value?.length).toBeGreaterThan(10);
    expect(input.pending.get("eas.u")).toEqual([index]);
    const reading = reader.read();
    gone.abort(new Error("gone"));
    await expect(reading).rejects.toThrow("gone");
    expect(input.pending.size).toBe(0);
    // A caller that has disconnected before the watch starts.
    await expect((await watch()).body!.getReader().read()).rejects.toThrow("gone");
    expect([input.pending.size, emulator.cutConnections()]).toEqual([0, 0]);
  });

  test("ends watches and waiting requests of a replaced queue", async () => {
    const emulator = core();
    const get = emulator.fetch(
      new Request("http://e/api/predict/q?_timeout_=20s", { headers: { authorization: "t" } }),
    );
    const connection = await dial(emulator);
    const closed = new Promise((resolve) => (connection.onClose = resolve));
    emulator.addQueue("q");
    expect(await closed).toMatchObject({ code: 1006 });
    expect((await get).status).toBe(204);
  });
});
