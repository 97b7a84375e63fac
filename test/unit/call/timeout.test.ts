import { afterEach, describe, expect, test, vi } from "vitest";
import { EasTimeoutError } from "../../../src/index.js";
import { Timeouts, TimerEntry } from "../../../src/util/timing/timers.js";
import { clientOf, errorOf, RecordingTransport, startServer, turn } from "../../support/calls.js";
import { answer, answerAfter, drip, stallBeforeHeaders, stallInBody } from "../../support/misbehaving-server.js";

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const never = <T>(): Promise<T> => new Promise<T>(() => {});

describe("phases", () => {
  test.each([
    ["headers", stallBeforeHeaders],
    ["body", stallInBody],
  ] as const)("%s", async (phase, behaviour) => {
    const server = await startServer();
    server.always(behaviour);
    const error = await errorOf(clientOf(server, { timeout: 300, retryCount: 0 }).predict("x"));
    expect(error).toBeInstanceOf(EasTimeoutError);
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase, timeout: 300, attempts: 1, retryable: true });
    expect(error.message).toContain("300 ms");
  });

  test("connect: makes all retries for a TLS handshake without a response", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const server = await startServer();
    const error = await errorOf(
      clientOf({ origin: server.origin.replace("http:", "https:") }, { timeout: 60, retryCount: 2 }).predict("x"),
    );
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "connect", timeout: 60, attempts: 3 });
    expect(server.requests).toHaveLength(0);
  });

  test("connect: uses the phase that a custom transport sets", async () => {
    const transport = new RecordingTransport((request) => {
      request.phase = "connect";
      return never();
    });
    const error = await errorOf(
      clientOf({ origin: "http://h" }, { transport, timeout: 30, retryCount: 1 }).predict("x"),
    );
    expect(error).toMatchObject({ phase: "connect", attempts: 2 });
  });

  test("a transport that reads the signal after the attempt ended finds it aborted", async () => {
    const transport = new RecordingTransport(() => never());
    await errorOf(clientOf({ origin: "http://h" }, { transport, timeout: 30, retryCount: 1 }).predict("x"));
    expect(transport.requests.map(({ signal }) => signal.aborted)).toEqual([true, true]);
  });

  test("body: includes the time to decode", async () => {
    const { platform } = await import("../../../src/platform/node/platform.js");
    vi.spyOn(platform, "inflate").mockReturnValue(never());
    const server = await startServer();
    server.always(answer(200, { "Content-Encoding": "gzip" }, "x"));
    const error = await errorOf(clientOf(server, { timeout: 300, retryCount: 0 }).predict("x"));
    expect(error).toMatchObject({ phase: "body", attempts: 1 });
  });

  test("total: ends an attempt", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const error = await errorOf(clientOf(server, { timeout: 5000, totalTimeout: 100 }).predict("x"));
    expect(error).toMatchObject({ phase: "total", timeout: 100, attempts: 1, retryable: true });
  });

  test("total: ends the wait for a token", async () => {
    const server = await startServer();
    const error = await errorOf(clientOf(server, { token: () => never(), totalTimeout: 60 }).predict("x"));
    expect(error).toMatchObject({ phase: "total", timeout: 60, attempts: 0 });
    expect(server.connections).toBe(0);
  });

  test("total: ends the wait for a free connection", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server, { maxConnectionCount: 1 });
    const controller = new AbortController();
    const first = errorOf(client.predict("x", { signal: controller.signal }));
    await server.seen();
    const error = await errorOf(client.predict("y", { totalTimeout: 60 }));
    expect(error).toMatchObject({ phase: "total", timeout: 60, attempts: 0 });
    controller.abort();
    await first;
    expect(server.requests).toHaveLength(1);
  });

  test("total: includes compression", async () => {
    const server = await startServer();
    const client = clientOf(server, { compression: { name: "slow", compress: () => never() }, totalTimeout: 60 });
    const error = Promise.race([errorOf(client.predict("x")), new Promise((resolve) => setTimeout(resolve, 500))]);
    expect(await error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "total" });
  });

  test("total: includes the wait for a connection before the first attempt", async () => {
    const server = await startServer();
    server.play(answerAfter(300, 200), stallBeforeHeaders);
    const client = clientOf(server, { maxConnectionCount: 1 });
    const first = client.predict("x");
    await server.seen();
    // Without counting the wait, it would end with the phase "headers" after 300 + 900 ms.
    const second = await errorOf(client.predict("y", { timeout: 900, totalTimeout: 1000 }));
    await first;
    expect(second).toMatchObject({ phase: "total", timeout: 1000, attempts: 1 });
  });
});

describe("the timeout of an attempt", () => {
  test("is separate for parallel calls", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server, { retryCount: 0 });
    const order: number[] = [];
    const run = async (timeout: number) => {
      const error = await errorOf(client.predict("x", { timeout }));
      order.push(timeout);
      expect(error).toMatchObject({ phase: "headers", timeout });
    };
    await Promise.all([run(250), run(60), run(150)]);
    expect(order).toEqual([60, 150, 250]);
  });

  test("changes with a setter for the next call, not for the call in flight", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server, { retryCount: 0, timeout: 90 });
    const first = errorOf(client.predict("x"));
    client.setTimeout(40);
    const second = errorOf(client.predict("x"));
    expect([(await first).timeout, (await second).timeout]).toEqual([90, 40]);
  });

  test("starts at dispatch, not in the limiter's queue", async () => {
    const server = await startServer();
    server.play(answerAfter(600, 200, "first"), answer(200, {}, "second"));
    const client = clientOf(server, { maxConnectionCount: 1, retryCount: 0 });
    const first = client.predict("x");
    const second = client.predict("y", { timeout: 500 });
    expect((await first).toString()).toBe("first");
    expect((await second).toString()).toBe("second");
  });

  test("covers the whole attempt, including a body that arrives slowly", async () => {
    const server = await startServer();
    server.always(drip("x".repeat(200_000)));
    const error = await errorOf(clientOf(server, { timeout: 500, retryCount: 0 }).predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "body" });
  });

  test("prevents sending if it fires while undici is loaded", async () => {
    const server = await startServer();
    server.always(stallBeforeHeaders);
    const client = clientOf(server, { maxConnectionCount: 1, retryCount: 0 });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const first = errorOf(client.predict("first", { timeout: 10 }));
    vi.advanceTimersByTime(20);
    expect(await first).toMatchObject({ code: "ERR_EAS_TIMEOUT" });
    vi.useRealTimers();
    server.always(answer(200));
    await client.predict("second", { timeout: 1000 });
    expect(server.requests.map(({ body }) => body.toString())).toEqual(["second"]);
  });

  test("discards a late response of a transport that ignores the signal", async () => {
    let late = (_: never) => {};
    const transport = new RecordingTransport(() => new Promise<never>((resolve) => (late = resolve)));
    const client = clientOf({ origin: "http://h" }, { transport, timeout: 30, retryCount: 0 });
    const error = await errorOf(client.predict("x"));
    expect(error).toMatchObject({ code: "ERR_EAS_TIMEOUT", phase: "headers" });
    late(undefined as never);
    await turn();
  });

  test("leaves no timer after the calls ended and the client is closed", async () => {
    const server = await startServer();
    const timersBefore = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const client = clientOf(server, { retryCount: 1 });
    server.play(answer(200), answer(503, { "Retry-After": "0" }), answer(400), stallBeforeHeaders, stallInBody);
    await client.predict("x");
    await client.predict("x").catch(() => {});
    const controller = new AbortController();
    const aborted = errorOf(client.predict("x", { signal: controller.signal }));
    await server.seen(4);
    controller.abort();
    await aborted;
    await client.predict("x", { timeout: 30, retryCount: 0 }).catch(() => {});
    await client.close();
    const timersAfter = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    expect(timersAfter).toBeLessThanOrEqual(timersBefore);
  });
});

describe("shared timers", () => {
  class Item extends TimerEntry {
    readonly name: string;
    readonly log: string[];
    onExpire: (() => void) | undefined;
    constructor(name: string, log: string[]) {
      super();
      this.name = name;
      this.log = log;
    }
    override expire(): void {
      this.log.push(this.name);
      this.onExpire?.();
    }
  }

  test("expire in order, except stopped timers", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const timeouts = new Timeouts();
    const log: string[] = [];
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => new Item(name, log)) as [Item, Item, Item, Item];
    timeouts.start(a, 100);
    vi.advanceTimersByTime(40);
    timeouts.start(b, 100);
    timeouts.start(c, 100);
    timeouts.start(d, 20);
    timeouts.stop(b);
    timeouts.stop(b);
    expect(vi.getTimerCount()).toBe(2);
    vi.advanceTimersByTime(20);
    expect(log).toEqual(["d"]);
    vi.advanceTimersByTime(40);
    expect(log).toEqual(["d", "a"]);
    vi.advanceTimersByTime(39);
    expect(log).toEqual(["d", "a"]);
    vi.advanceTimersByTime(2);
    expect(log).toEqual(["d", "a", "c"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("handle entries that start or stop while others expire", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const timeouts = new Timeouts();
    const log: string[] = [];
    const [a, b, c] = ["a", "b", "c"].map((name) => new Item(name, log)) as [Item, Item, Item];
    a.onExpire = () => {
      timeouts.stop(b);
      timeouts.start(c, 50);
    };
    timeouts.start(a, 50);
    timeouts.start(b, 50);
    vi.advanceTimersByTime(51);
    expect(log).toEqual(["a"]);
    vi.advanceTimersByTime(51);
    expect(log).toEqual(["a", "c"]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
