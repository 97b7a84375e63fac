import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { EasDecodeError, EasNetworkError, EasTimeoutError } from "../../../../src/index.js";
import { TransportError, type WebSocketConnection } from "../../../../src/platform/contract.js";
import { fetchTransport } from "../../../../src/platform/web/fetch-transport.js";
import { watch as look, turn } from "../../../support/calls.js";
import {
  clientFor,
  eventually,
  FakeSocket,
  FakeStream,
  fakeClient,
  frameBytes,
  openQueue,
  prefixed,
  TRANSPORTS,
  watchWith,
} from "../../../support/queue-watch.js";

// These tests check which failures a watch retries, for how long, and which failures end it.

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const tick = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);

// Load the code that is loaded on first use, so that the tests depend only on fake timers.
beforeAll(() => import("../../../../src/call/lazy.js"));

describe("Retry-After", () => {
  /** Opens a watch over HTTP whose first connect is answered with 503 and Retry-After. */
  async function refused(retryAfter: string, reconnect = {}) {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0);
    const { client, transport } = fakeClient();
    const { stream } = transport;
    transport.stream = async () => {
      transport.stream = stream;
      const refusal = new FakeStream();
      refusal.push(undefined);
      return Object.assign(refusal, { status: 503, headers: new Headers({ "retry-after": retryAfter }) });
    };
    const { told } = watchWith(client, 0, 1, { transport: "http", reconnect });
    await tick();
    const [status] = told.statuses;
    return { transport, told, delay: status?.state === "reconnecting" ? status.delay : undefined };
  }

  test("is the minimum delay before the next connect", async () => {
    const { transport, told, delay } = await refused("7");
    expect(delay).toBe(7000);
    await tick(6999);
    expect(transport.streams).toHaveLength(0);
    await tick(1);
    expect(transport.streams).toHaveLength(1);
    await tick();
    expect(told.states).toEqual(["reconnecting", "open"]);
  });

  test("is limited to one minute", async () => {
    expect((await refused("86400")).delay).toBe(60_000);
  });

  test("does not shorten the configured delay", async () => {
    expect((await refused("1", { minDelay: 8000 })).delay).toBeGreaterThanOrEqual(4000);
  });

  test.each(["http", "poll"] as const)("is read from the service's response over %s", async (transport) => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const { client, emulator } = await openQueue();
    emulator.fault({ status: 503, headers: { "Retry-After": "9" } });
    const { told, watcher } = watchWith(client(), 0, 1, { transport });
    await eventually(() => expect(told.count("reconnecting")).toBe(1));
    expect(told.statuses[0]).toMatchObject({ delay: 9000, cause: { status: 503, retryAfter: 9000 } });
    await watcher.close();
  });
});

describe("a permanent failure of the connect ends the watch", () => {
  const opaque = fetchTransport({ fetch: () => Promise.reject(new TypeError("Failed to fetch")), opaque: true });

  test.each(["http", "poll"] as const)("over %s, when a browser blocks the response", async (transport) => {
    for (const index of [0, -1]) {
      const client = clientFor("http://127.0.0.1:9", { transport: opaque });
      const { errors, done, told } = watchWith(client, index, 1, { transport });
      await done;
      expect(errors).toEqual([expect.any(EasNetworkError)]);
      expect(errors[0]).toMatchObject({ retryable: false, message: expect.stringMatching(/CORS/) });
      expect(told.states).toEqual(["closed"]);
    }
  });

  test.each(["websocket", "http"] as const)(
    "over %s, with the value that a token function throws twice",
    async (transport) => {
      const { endpoint } = await openQueue();
      for (const thrown of ["no token", new Error("no token"), Object.assign(new Error("x"), { code: 7 })]) {
        const token = vi.fn(async () => Promise.reject(thrown));
        const { errors, done, watcher } = watchWith(clientFor(endpoint, { token }), 0, 1, { transport });
        await done;
        await watcher.closed;
        expect(errors).toEqual([thrown]);
        expect(token).toHaveBeenCalledTimes(2);
      }
    },
  );

  test("but not when the origin was reached before", async () => {
    const { endpoint } = await openQueue();
    let isOffline = false;
    const send = (...[url, init]: Parameters<typeof fetch>) =>
      isOffline ? Promise.reject(new TypeError("Failed to fetch")) : fetch(url, init);
    const client = clientFor(endpoint, { transport: fetchTransport({ fetch: send as never, opaque: true }) });
    await client.attributes();
    isOffline = true;
    const { told } = watchWith(client, 0, 1, { transport: "http" });
    await eventually(() => expect(told.count("reconnecting")).toBe(2));
    isOffline = false;
    await eventually(() => expect(told.count("open")).toBe(1));
  });

  test("over a WebSocket that cannot be created", async () => {
    vi.useFakeTimers();
    const { client, dialer } = fakeClient({ token: () => "x" });
    dialer.instead = async () => {
      throw new TransportError("cannot open a WebSocket with this URL", { sent: "no", final: true });
    };
    const { errors, told } = watchWith(client, 0, 1);
    await tick(1000);
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_NETWORK", retryable: false })]);
    expect(told.states).toEqual(["closed"]);
    expect(dialer.dials).toHaveLength(1);
  });

  test("does not retry a get whose items may be lost", async () => {
    const { client, put, emulator } = await openQueue();
    const { frames, told } = watchWith(client(), 0, 1, { transport: "poll", autoCommit: true });
    await eventually(() => expect(told.count("open")).toBe(1));
    emulator.fault({ reset: "before-headers" });
    put(1);
    emulator.cutConnections();
    await eventually(() => expect(told.count("open")).toBe(2));
    put(1);
    await eventually(() => expect(frames.length).toBeGreaterThan(0));
  });
});

describe("a dialer that ignores its signal", () => {
  /** Creates a client whose dials stay pending until the test settles them. */
  function stubborn() {
    vi.useFakeTimers();
    const dials: { resolve: (connection: WebSocketConnection) => void; reject: (reason: unknown) => void }[] = [];
    const dialWebSocket = () => new Promise<WebSocketConnection>((resolve, reject) => dials.push({ resolve, reject }));
    return { dials, client: fakeClient({ timeout: 3000, dialWebSocket }).client };
  }

  test("does not delay close(), and its late connection is terminated", async () => {
    const { client, dials } = stubborn();
    const watcher = client.watch(0, 1);
    await tick();
    const closed = look(watcher.close());
    await tick();
    expect(closed.state).toBe("resolved");
    expect(vi.getTimerCount()).toBe(0);
    const late = new FakeSocket({ ping: true, pause: true });
    dials[0]?.resolve(late.connection);
    await tick();
    expect(late.controls).toEqual(["terminate"]);
  });

  test("does not delay the timeout, and its late failure causes no unhandled rejection", async () => {
    const { client, dials } = stubborn();
    const { told, indexes } = watchWith(client, 0, 1);
    await tick(3030);
    expect(told.statuses).toEqual([
      expect.objectContaining({ state: "reconnecting", cause: expect.any(EasTimeoutError) }),
    ]);
    expect(dials).toHaveLength(2);
    const second = new FakeSocket({ ping: true, pause: true });
    dials[1]?.resolve(second.connection);
    await tick();
    // The first dial fails late. The third dial, below, resolves to a connection that cannot be terminated.
    dials[0]?.reject(new Error("late"));
    await tick();
    second.push(frameBytes(1));
    await tick();
    expect(told.states).toEqual(["reconnecting", "open"]);
    expect(indexes()).toEqual([1n]);
    second.connection.terminate();
    await tick(3060);
    dials[2]?.resolve({ terminate: () => expect.fail("broken") } as unknown as WebSocketConnection);
    await tick();
    vi.useRealTimers();
    await turn();
    expect(told.count("reconnecting")).toBe(3);
  });

  test.each(["websocket", "http"] as const)("does not delay close() in any turn of a connect over %s", async (over) => {
    for (const index of [0, -1]) {
      for (let turns = 0; turns < 60; turns++) {
        vi.useFakeTimers();
        const { client, transport } = fakeClient({
          token: async () => "x",
          dialWebSocket: () => new Promise(() => {}),
        });
        transport.opens = false;
        const watcher = client.watch(index, 1, { transport: over });
        for (let i = 0; i < turns; i++) await Promise.resolve();
        const closed = look(watcher.close());
        await tick();
        expect([turns, closed.state]).toEqual([turns, "resolved"]);
        expect(vi.getTimerCount()).toBe(0);
      }
    }
  });

  test("ends the watch with its error when it throws synchronously", async () => {
    vi.useFakeTimers();
    const { client } = fakeClient({
      dialWebSocket: () => {
        throw new Error("no sockets here");
      },
    });
    const { told } = watchWith(client, 0, 1, { reconnect: false });
    await tick();
    expect(told.statuses).toEqual([
      { state: "closed", error: expect.objectContaining({ message: expect.stringMatching(/no sockets here/) }) },
    ]);
  });
});

describe("without a reconnect", () => {
  test.each(TRANSPORTS)("the end of the queue ends the iteration without an error over %s", async (transport) => {
    const { client, put } = await openQueue();
    put(2);
    const queue = client();
    const { indexes, errors, frames, done, told } = watchWith(queue, 0, 5, { transport, reconnect: false });
    await eventually(() => expect(frames).toHaveLength(2));
    await Promise.all(frames.map((frame) => frame.commit()));
    await queue.end();
    await done;
    expect(indexes()).toEqual([1n, 2n]);
    expect(errors).toEqual([]);
    expect(told.statuses.at(-1)).toEqual({ state: "closed", error: undefined });
  });

  test.each([
    [1000, []],
    [1001, [expect.objectContaining({ code: "ERR_EAS_QUEUE_CLOSED", closeCode: 1001 })]],
    [1005, [expect.objectContaining({ code: "ERR_EAS_QUEUE_CLOSED", closeCode: 1005 })]],
  ])("a WebSocket closed with %i ends the watch after the received frames", async (code, expected) => {
    vi.useFakeTimers();
    const { client, dialer } = fakeClient();
    const { errors, indexes, told } = watchWith(client, 0, 5, { reconnect: { attempts: 0 } });
    await tick();
    dialer.last.push(frameBytes(1));
    dialer.last.connection.end({ code, reason: "" });
    await tick();
    expect(indexes()).toEqual([1n]);
    expect(errors).toEqual(expected);
    expect(told.states).toEqual(["open", "closed"]);
  });

  test.each([
    ["between two frames", 0, []],
    ["inside a frame", 3, [expect.objectContaining({ code: "ERR_EAS_NETWORK" })]],
  ])("an HTTP response that ends %s ends the watch", async (_, missing, expected) => {
    vi.useFakeTimers();
    const { client, transport } = fakeClient();
    const { errors, told } = watchWith(client, 0, 5, { transport: "http", reconnect: false });
    await tick();
    const bytes = prefixed(frameBytes(1));
    transport.last.push(bytes.subarray(0, bytes.length - missing), undefined);
    await tick();
    expect(errors).toEqual(expected);
    expect(told.states).toEqual(["open", "closed"]);
  });
});

describe("a watch from now on", () => {
  test.each(["abc", "-1", "1.5", "18446744073709551616", "99999999999999999999999", "18446744073709551615"])(
    "rejects with a decode error when the queue's last entry is %s",
    async (last) => {
      vi.useFakeTimers();
      const { client, transport, dialer } = fakeClient({ token: () => "x" });
      const { answer } = transport;
      transport.answer = async (request) => ({
        ...(await answer(request)),
        body: new TextEncoder().encode(JSON.stringify({ "stream.lastEntry": last })),
      });
      const { errors, told } = watchWith(client, -1, 5);
      await tick();
      expect(errors).toEqual([expect.any(EasDecodeError)]);
      expect(errors[0]).toMatchObject({ format: "queue" });
      expect(told.states).toEqual(["closed"]);
      expect(dialer.dials).toEqual([]);
    },
  );
});

describe("a failed upgrade without a reported status", () => {
  const mute = () => Promise.reject(new TransportError("no WebSocket", { sent: "maybe" }));

  test("is checked over HTTP, where a 401 ends the watch", async () => {
    const { client: clientWith } = await openQueue();
    const watcher = clientWith({ token: "wrong", dialWebSocket: mute }).watch(0, 1, { transport: "websocket" });
    await expect(watcher.next()).rejects.toMatchObject({ code: "ERR_EAS_HTTP", status: 401 });
  });

  test("is retried when the check over HTTP succeeds", async () => {
    const { client: clientWith } = await openQueue();
    const client = clientWith({ dialWebSocket: mute });
    const causes = new Promise((resolve) => {
      client.watch(0, 1, {
        transport: "websocket",
        onStatus: (status) => status.state === "reconnecting" && resolve(status.cause),
      });
    });
    expect(await causes).toMatchObject({ code: "ERR_EAS_NETWORK", retryable: true });
  });
});
