import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  EasHttpError,
  EasQueueClosedError,
  type Token,
  type WatchOptions,
  type WatchStatus,
} from "../../../../src/index.js";
import { TransportError } from "../../../../src/platform/contract.js";
import { TOKEN, transportAnswer } from "../../../support/calls.js";
import {
  clientFor,
  eventually,
  expectNoToken,
  fakeClient,
  frameBytes,
  openQueue,
  SOON,
  settle,
  Told,
  TRANSPORTS,
  watchWith,
} from "../../../support/queue-watch.js";

// These tests check when a watch reconnects, and which errors end it.

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const tick = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);
const REFUSED = async (): Promise<never> => {
  throw new TransportError("connect ECONNREFUSED", { sent: "no", systemCode: "ECONNREFUSED" });
};

/** Returns the delays that a watcher reports while the server refuses it `count` times. */
async function delays(count: number, random: number, reconnect: WatchOptions["reconnect"]) {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(random);
  const told = new Told();
  const { client, dialer } = fakeClient({ logger: told.logger });
  dialer.instead = REFUSED;
  const { watcher } = watchWith(client, 0, 1, { reconnect, onStatus: told.onStatus });
  while (told.count("reconnecting") < count && told.count("closed") === 0) await tick(100);
  await watcher.close();
  const all = told.statuses.flatMap((status) => (status.state === "reconnecting" ? [status] : []));
  return { told, delays: all.map(({ delay }) => delay), failures: all.map(({ failures }) => failures) };
}

describe("delays", () => {
  test("double up to a limit, and vary between half of the delay and the full delay", async () => {
    const { delays: all, failures, told } = await delays(9, 0.9999999, undefined);
    expect(all.map(Math.round)).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
    expect(failures).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    // All failures have the same cause, so they are logged once.
    expect(told.warnings).toHaveLength(1);
    expect(told.warnings[0]).toMatch(/failed 2 times in a row.*ECONNREFUSED/);
    expectNoToken(told.statuses, told.warnings);
  });

  test("are at least half of the nominal delay", async () => {
    expect((await delays(8, 0, {})).delays).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect((await delays(4, 0.5, { minDelay: 40, maxDelay: 100 })).delays).toEqual([30, 60, 75, 75]);
  });

  test("last as long as configured", async () => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const { client, dialer } = fakeClient();
    dialer.instead = REFUSED;
    client.watch(0, 1);
    await tick(149);
    expect(dialer.dials).toHaveLength(1);
    await tick(1);
    expect(dialer.dials).toHaveLength(2);
    await tick(300);
    expect(dialer.dials).toHaveLength(3);
  });

  test("start again at the minimum after a good connection", async () => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0);
    const { client, dialer } = fakeClient();
    const { told, frames } = watchWith(client, 0, 5, { reconnect: { attempts: 3 } });
    for (let round = 0; round < 4; round++) {
      dialer.instead = undefined;
      await tick(1000);
      dialer.last.push(frameBytes(round + 1));
      dialer.instead = REFUSED;
      dialer.last.connection.terminate();
      await tick(300);
    }
    dialer.instead = undefined;
    await tick(1000);
    expect(frames).toHaveLength(4);
    const failures = told.statuses.flatMap((status) => (status.state === "reconnecting" ? [status.failures] : []));
    expect(failures).toEqual([1, 2, 1, 2, 1, 2, 1, 2].flatMap((count) => (count === 2 ? [2, 3] : [count])));
    expect(told.states.at(-1)).toBe("open");
  });

  test("end after the configured attempts", async () => {
    vi.useFakeTimers();
    for (const [reconnect, dials] of [
      [false, 1],
      [{ attempts: 0 }, 1],
      [{ attempts: 2 }, 3],
    ] as const) {
      const { client, dialer } = fakeClient();
      dialer.instead = REFUSED;
      const { told, errors, done } = watchWith(client, 0, 1, { reconnect });
      await tick(5000);
      await done;
      expect(dialer.dials).toHaveLength(dials);
      expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_NETWORK", systemCode: "ECONNREFUSED" })]);
      expect(told.statuses.at(-1)).toEqual({ state: "closed", error: errors[0] });
      expectNoToken(errors, told.statuses);
    }
  });

  test("a watch with `reconnect: false` delivers all received frames, and then ends with the server's close", async () => {
    vi.useFakeTimers();
    const { client, dialer } = fakeClient();
    const watcher = client.watch(0, 5, { reconnect: false });
    await tick();
    dialer.last.push(frameBytes(1));
    dialer.last.connection.end({ code: 4001, reason: "moved" });
    await watcher.closed;
    expect((await watcher.next()).value?.index).toBe(1n);
    const error = await watcher.next().catch((reason) => reason);
    expect(error).toBeInstanceOf(EasQueueClosedError);
    expect(error).toMatchObject({ closeCode: 4001, reason: "moved" });
    expect(await watcher.next()).toEqual({ done: true, value: undefined });
  });

  test("a watch does not end when its idle connections are closed", async () => {
    vi.useFakeTimers();
    const { client, dialer, transport } = fakeClient();
    const { told } = watchWith(client, 0, 5);
    for (let i = 0; i < 5; i++) {
      await tick(7000);
      dialer.last.connection.end({ code: 1000, reason: "idle" });
      await tick(100);
    }
    expect(told.states.at(-1)).toBe("open");
    transport.answer = async () => transportAnswer(200, {}, '{"meta.state":"End"}');
    dialer.last.connection.end({ code: 1000, reason: "" });
    await tick(30);
    expect(told.states.at(-1)).toBe("closed");
  });
});

describe.each(TRANSPORTS)("failures of the first connect over %s", (transport) => {
  const watching = (endpoint: string, options: { token?: Token; queueName?: string }, index = 0) => {
    const told = new Told();
    const watch = watchWith(clientFor(endpoint, { logger: told.logger, ...options }), index, 1, {
      transport,
      onStatus: told.onStatus,
    });
    return { ...watch, told };
  };

  test("rejects a wrong token with an error that does not contain it", async () => {
    const { endpoint } = await openQueue({ token: "another" });
    for (const index of [0, -1]) {
      const { errors, done, told, watcher } = watching(endpoint, {}, index);
      await done;
      expect(errors).toEqual([expect.any(EasHttpError)]);
      expect(errors[0]).toMatchObject({ status: 401 });
      expect(told.states).toEqual(["closed"]);
      expectNoToken(errors, told.statuses, told.warnings);
      await watcher.closed;
    }
  });

  test("rejects when the queue does not exist", async () => {
    const { endpoint } = await openQueue();
    const { errors, done } = watching(endpoint, { queueName: "nowhere" });
    await done;
    expect(errors).toEqual([expect.objectContaining({ status: 404 })]);
  });

  test("calls the token function once more after a 401", async () => {
    const { endpoint, put } = await openQueue();
    put(1);
    const stale = vi.fn(() => "stale");
    const refused = watching(endpoint, { token: stale });
    await refused.done;
    expect(refused.errors).toEqual([expect.objectContaining({ status: 401 })]);
    expect(stale).toHaveBeenCalledTimes(2);
    const fresh = vi.fn(async () => (fresh.mock.calls.length === 1 ? "stale" : TOKEN));
    const { frames, told } = watching(endpoint, { token: fresh });
    await eventually(() => expect(frames).toHaveLength(1));
    expect(told.states.slice(0, 2)).toEqual(["reconnecting", "open"]);
    expectNoToken(told.statuses);
  });

  test("waits for a service that is not ready", async () => {
    const { endpoint, put, emulator } = await openQueue();
    put(1);
    for (const status of [503, 500, 429]) emulator.fault({ status });
    const { frames, told } = watching(endpoint, {});
    await eventually(() => expect(frames).toHaveLength(1));
    expect(told.states.slice(0, 4)).toEqual(["reconnecting", "reconnecting", "reconnecting", "open"]);
    // A poll also logs that its items are not assigned to a consumer.
    expect(told.warnings.filter((warning) => /in a row/.test(warning))).toHaveLength(2);
  });

  test("logs a token that expires while the watch is open, and waits for a valid token", async () => {
    const { endpoint, cut, put } = await openQueue();
    const told = new Told();
    const client = clientFor(endpoint, { logger: told.logger });
    const { frames, errors, watcher } = watchWith(client, 0, 1, { transport, onStatus: told.onStatus });
    await eventually(() => expect(told.count("open")).toBe(1));
    client.setToken("no-longer-good");
    await cut();
    await eventually(() => expect(told.count("reconnecting")).toBeGreaterThan(3));
    const last = told.statuses.filter(({ state }) => state === "reconnecting").at(-1);
    expect(last).toMatchObject({ cause: { status: 401 } });
    expect(errors).toEqual([]);
    expect(told.warnings.filter((warning) => /401/.test(warning))).toHaveLength(1);
    expectNoToken(told.statuses, told.warnings);
    client.setToken(TOKEN);
    put(1);
    await eventually(() => expect(frames).toHaveLength(1));
    await watcher.close();
  });
});

test.each([
  [
    "throws",
    () => {
      throw new Error("mine");
    },
  ],
  ["rejects", () => Promise.reject(new Error("mine"))],
])("a watch continues when its status listener and its logger fail (%s)", async (_, fail) => {
  const { client, put, cut } = await openQueue();
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => rejections.push(reason);
  process.on("unhandledRejection", onRejection);
  onTestFinished(() => void process.off("unhandledRejection", onRejection));
  const warnings: string[] = [];
  const warn = (message: string) => {
    warnings.push(message);
    return fail();
  };
  const statuses: string[] = [];
  const onStatus = ({ state }: WatchStatus) => {
    statuses.push(state);
    return fail() as never;
  };
  put(2);
  const watcher = client({ logger: { warn } }).watch(0, 1, { reconnect: SOON, onStatus });
  await (await watcher.next()).value?.commit();
  await cut();
  await (await watcher.next()).value?.commit();
  await watcher.close();
  await settle();
  expect(statuses).toEqual(expect.arrayContaining(["open", "reconnecting", "closed"]));
  expect(warnings.filter((message) => message.includes("onStatus failed: mine"))).toHaveLength(1);
  expect(rejections).toEqual([]);
});
