import { describe, expect, test } from "vitest";
import { EasHttpError, EasNetworkError } from "../../../../src/index.js";
import { type ProxiedRequest, type ProxyVerdict, startFaultProxy } from "../../../support/fault-proxy.js";
import { clientFor, eventually, openQueue, settle, Told, watchWith } from "../../../support/queue-watch.js";

// These tests let commits and negatives fail over real sockets, and check what the service and the application receive.

const PUSHING = ["websocket", "http"] as const;
const pass = (): ProxyVerdict => "pass";

/** Starts a queue behind a proxy with configurable failures, and a client of the proxy. */
async function openFaulty(settings: Parameters<typeof openQueue>[0] = {}) {
  const queue = await openQueue({ maxDeliveries: Number.POSITIVE_INFINITY, ...settings });
  const proxy = await startFaultProxy(queue.endpoint, pass);
  const told = new Told();
  const client = (options = {}) => clientFor(proxy.endpoint, { logger: told.logger, ...options });
  return { ...queue, proxy, told, client };
}

/** Applies `verdict` to the first `times` requests of an operation. */
function failing(operation: ProxiedRequest["operation"], verdict: ProxyVerdict, times = 1) {
  let left = times;
  return (request: ProxiedRequest): ProxyVerdict => (request.operation === operation && left-- > 0 ? verdict : "pass");
}

describe.each(PUSHING)("over %s", (transport) => {
  test.each<[string, ProxyVerdict]>([
    ["is answered with 500", 500],
    ["is answered with 429", 429],
    ["is temporarily answered with 401", 401],
    ["is lost before it reaches the service", "reset"],
    ["loses its response", "lose"],
  ])("retries a commit that %s in the background, and keeps receiving items", async (_, verdict) => {
    const { client, proxy, put, input } = await openFaulty();
    put(6);
    const { frames, indexes, watcher } = watchWith(client(), 0, 2, { transport });
    await eventually(() => expect(frames).toHaveLength(2));
    proxy.decide(failing("commit", verdict, 2));
    const failures: unknown[] = [];
    for (let handled = 0; handled < 6; handled++) {
      await eventually(() => expect(frames.length).toBeGreaterThan(handled));
      await frames[handled]?.commit().catch((error) => failures.push(error));
    }
    await eventually(() => expect(input.length).toBe(0));
    expect(failures.length).toBeGreaterThan(0);
    expect(indexes()).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
    expect(proxy.of("watch")).toHaveLength(1);
    await watcher.close();
  });

  test("logs one warning for a commit that keeps failing, and stops its retries with the watcher", async () => {
    const { client, proxy, put, told, input } = await openFaulty();
    put(1);
    const { frames, watcher } = watchWith(client(), 0, 2, { transport });
    await eventually(() => expect(frames).toHaveLength(1));
    proxy.decide(failing("commit", 500, 1e9));
    await expect(frames[0]?.commit()).rejects.toBeInstanceOf(EasHttpError);
    await eventually(() => expect(proxy.of("commit").length).toBeGreaterThan(5));
    expect(told.warnings).toEqual([expect.stringContaining("will be retried")]);
    await watcher.close();
    // close() makes one more attempt, and no attempt follows it.
    await settle();
    const sent = proxy.of("commit").length;
    await settle(60);
    expect(proxy.of("commit")).toHaveLength(sent);
    expect(input.length).toBe(1);
    expect(told.warnings).toHaveLength(2);
    expect(told.warnings[1]).toContain("could not be committed");
  });

  test("logs one warning for commits that fail repeatedly with one cause", async () => {
    const { client, proxy, put, told, input } = await openFaulty();
    put(3);
    const { frames, watcher } = watchWith(client(), 0, 3, { transport });
    await eventually(() => expect(frames).toHaveLength(3));
    for (const [i, frame] of frames.entries()) {
      // Both the commit and its first retry fail.
      proxy.decide(failing("commit", 500, 2));
      await expect(frame.commit()).rejects.toBeInstanceOf(EasHttpError);
      await eventually(() => expect(input.length).toBe(2 - i));
    }
    expect(told.warnings).toEqual([expect.stringContaining("will be retried")]);
    await watcher.close();
  });

  test("does not hand out an item again that is pushed while its commit is retried", async () => {
    const { client, proxy, put, input, emulator } = await openFaulty();
    put(2);
    const { frames, indexes, told } = watchWith(client(), 0, 2, {
      transport,
      reconnect: { minDelay: 10, maxDelay: 10 },
    });
    await eventually(() => expect(frames).toHaveLength(2));
    let isFailing = true;
    proxy.decide(({ operation }) => (operation === "commit" && isFailing ? 500 : "pass"));
    await expect(frames[0]?.commit()).rejects.toBeInstanceOf(EasHttpError);
    emulator.cutConnections();
    await eventually(() => expect(told.count("open")).toBe(2));
    await eventually(() => expect(input.pushes.filter(({ index }) => index === 1n)).toHaveLength(2));
    isFailing = false;
    await eventually(() => expect(input.items.map(({ index }) => index)).toEqual([2n]));
    expect(indexes()).toEqual([1n, 2n]);
  });

  test("commits the other items of a batch in which the service refuses one item", async () => {
    const { client, proxy, put, input } = await openFaulty();
    put(4);
    const { frames } = watchWith(client(), 0, 4, { transport });
    await eventually(() => expect(frames).toHaveLength(4));
    proxy.decide(({ operation, indexes }) => (operation === "commit" && indexes.includes("2") ? 400 : "pass"));
    await Promise.allSettled(frames.map((frame) => frame.commit()));
    await eventually(() => expect(input.items.map(({ index }) => index)).toEqual([2n]));
  });

  test.each(["release", "negative"] as const)("%s after a failed commit cancels its retries", async (method) => {
    const { client, proxy, put, input } = await openFaulty();
    put(1);
    const { frames } = watchWith(client(), 0, 1, { transport, reconnect: { minDelay: 50, maxDelay: 50 } });
    await eventually(() => expect(frames).toHaveLength(1));
    proxy.decide(failing("commit", "reset", 1));
    await expect(frames[0]?.commit()).rejects.toBeInstanceOf(EasNetworkError);
    await frames[0]?.[method]();
    await eventually(() => expect(frames).toHaveLength(2));
    await settle(120);
    expect(input.length).toBe(1);
    expect(proxy.of("commit")).toHaveLength(1);
    await frames[1]?.commit();
    expect(input.length).toBe(0);
  });

  test.each(["commit", "delete"] as const)("retries the client's own %s of held items", async (method) => {
    const { client, proxy, put, input } = await openFaulty();
    put(3);
    const queue = client();
    const { frames } = watchWith(queue, 0, 1, { transport });
    proxy.decide(failing(method, 503, 1));
    await eventually(() => expect(frames).toHaveLength(1));
    await expect(queue[method](1n)).rejects.toBeInstanceOf(EasHttpError);
    await eventually(() => expect(frames).toHaveLength(2));
    expect(input.items.map(({ index }) => index)).toEqual([2n, 3n]);
  });

  test("retries a negative that was not carried out, until it is counted once", async () => {
    const { client, proxy, put, input } = await openFaulty();
    put(1);
    const { frames } = watchWith(client(), 0, 5, { transport });
    await eventually(() => expect(frames).toHaveLength(1));
    proxy.decide(failing("negative", 429, 3));
    await expect(frames[0]?.negative("Model.Error", "bad")).rejects.toMatchObject({ status: 429 });
    await eventually(() => expect(frames).toHaveLength(2));
    expect(input.negatives).toMatchObject([{ index: 1n, code: "Model.Error", reason: "bad" }]);
    expect(proxy.of("watch")).toHaveLength(1);
    await frames[1]?.commit();
    expect(input.length).toBe(0);
  });

  test.each<[string, ProxyVerdict, number]>([
    ["that may have been carried out", 500, 0],
    ["whose response is lost", "lose", 1],
    ["that is refused permanently", 400, 0],
  ])("does not retry a negative %s, and receives the item again", async (_, verdict, carriedOut) => {
    const { client, proxy, put, input } = await openFaulty();
    put(1);
    const { frames, indexes } = watchWith(client(), 0, 5, { transport });
    await eventually(() => expect(frames).toHaveLength(1));
    proxy.decide(failing("negative", verdict, 1));
    await expect(frames[0]?.negative()).rejects.toBeInstanceOf(Error);
    await eventually(() => expect(frames).toHaveLength(2));
    expect(input.negatives).toHaveLength(carriedOut);
    expect(proxy.of("negative")).toHaveLength(1);
    // The window must count the frame only once, so that releases still work.
    frames[1]?.release();
    await eventually(() => expect(frames).toHaveLength(3));
    await frames[2]?.commit();
    expect(indexes()).toEqual([1n, 1n, 1n]);
    expect(input.length).toBe(0);
  });

  test("completes 20 items whose commits and negatives each fail once", async () => {
    const { client, proxy, put, input } = await openFaulty();
    put(20);
    const failed = new Set<string>();
    proxy.decide(({ operation, indexes }) => {
      if (operation !== "commit" && operation !== "negative") return "pass";
      const isFirst = indexes.some((index) => !failed.has(index));
      for (const index of indexes) failed.add(index);
      return isFirst ? 500 : "pass";
    });
    const { frames, watcher } = watchWith(client(), 0, 3, { transport });
    let handled = 0;
    while (input.length > 0) {
      await eventually(() => expect(input.length === 0 || frames.length > handled).toBe(true));
      const frame = frames[handled++];
      const isFirst = !frames.slice(0, handled - 1).some(({ index }) => index === frame?.index);
      const answered = isFirst && handled % 2 === 0 ? frame?.negative() : frame?.commit();
      await answered?.catch(() => {});
    }
    expect(failed.size).toBe(20);
    await watcher.close();
  });
});

describe("a queue with counter indexes that is deleted and recreated", () => {
  const recreate = (emulator: Awaited<ReturnType<typeof openQueue>>["emulator"]) =>
    (emulator.addQueue("q", { indexShape: "counter" }) as NonNullable<ReturnType<typeof emulator.queue>>).input;

  test.each(PUSHING)("over %s: commits no item of the new queue that was not handed out", async (transport) => {
    const { client, put, emulator, told } = await openFaulty();
    put(10);
    const { frames } = watchWith(client(), 0, 20, { transport });
    await eventually(() => expect(frames).toHaveLength(10));
    await Promise.all(frames.map((frame) => frame.commit()));
    const fresh = recreate(emulator);
    for (let i = 0; i < 15; i++) fresh.put(`new ${i}`);
    emulator.cutConnections();
    await eventually(() => expect(frames).toHaveLength(25));
    expect(fresh.commits).toEqual([]);
    expect(frames.slice(10).map((frame) => frame.text())).toEqual(Array.from({ length: 15 }, (_, i) => `new ${i}`));
    expect(told.warnings).toEqual([expect.stringContaining("was recreated")]);
    await Promise.all(frames.slice(10).map((frame) => frame.commit()));
    expect(fresh.length).toBe(0);
  });

  test.each(PUSHING)("over %s: does not apply the acknowledgment of an old item to a new item", async (transport) => {
    const { client, put, emulator, proxy } = await openFaulty();
    put(4);
    const { frames, told } = watchWith(client(), 0, 20, { transport, reconnect: { minDelay: 300, maxDelay: 300 } });
    await eventually(() => expect(frames).toHaveLength(4));
    const old = frames.slice();
    proxy.decide(failing("commit", 500, 1));
    await expect(old[0]?.commit()).rejects.toBeInstanceOf(EasHttpError);
    emulator.cutConnections();
    await eventually(() => expect(told.count("reconnecting")).toBe(1));
    const fresh = recreate(emulator);
    for (let i = 0; i < 4; i++) fresh.put(`new ${i}`);
    // One old item is committed before the reconnect, one in the background, and the others after the reconnect.
    await old[1]?.commit();
    await eventually(() => expect(frames).toHaveLength(8));
    await old[2]?.commit();
    await old[3]?.negative();
    old[3]?.release();
    await settle(60);
    expect(fresh.commits).toEqual([]);
    expect(fresh.negatives).toEqual([]);
    await Promise.all(frames.slice(4).map((frame) => frame.commit()));
    expect(fresh.length).toBe(0);
    expect(frames).toHaveLength(8);
  });

  test("does not apply a commit that is being retried to an item of the new queue", async () => {
    const { client, put, emulator, proxy } = await openFaulty();
    put(1);
    const { frames, told } = watchWith(client({ retryCount: 5 }), 0, 20, { transport: "websocket" });
    await eventually(() => expect(frames).toHaveLength(1));
    let isThere = true;
    // Only commits fail while the queue exists, and all requests fail while it does not exist.
    proxy.decide(({ operation }) => (operation === "commit" || !isThere ? 503 : "pass"));
    const committing = frames[0]?.commit().catch(() => {});
    await eventually(() => expect(proxy.of("commit").length).toBeGreaterThan(0));
    isThere = false;
    emulator.cutConnections();
    await eventually(() => expect(told.count("reconnecting")).toBeGreaterThan(1));
    const fresh = recreate(emulator);
    fresh.put("new");
    proxy.decide(pass);
    await committing;
    await eventually(() => expect(frames).toHaveLength(2));
    await settle(60);
    expect(fresh.commits).toEqual([]);
    expect(frames[1]?.text()).toBe("new");
  });

  test("delivers all items of the new queue to a watch from now on", async () => {
    const { client, put, emulator, proxy } = await openFaulty();
    put(50);
    const { frames, told } = watchWith(client(), -1, 20, { transport: "websocket" });
    await eventually(() => expect(told.count("open")).toBe(1));
    const fresh = recreate(emulator);
    emulator.cutConnections();
    await eventually(() => expect(told.count("open")).toBe(2));
    for (let i = 0; i < 3; i++) fresh.put(`new ${i}`);
    await eventually(() => expect(frames).toHaveLength(3));
    expect(proxy.of("attributes").length).toBe(2);
  });

  test("does not read an item before its commit when indexes are made of the time", async () => {
    const { client, put, emulator, proxy, input } = await openFaulty({ indexShape: "time" });
    put(2);
    const { frames, told } = watchWith(client(), 0, 2, { transport: "websocket" });
    await eventually(() => expect(frames).toHaveLength(2));
    emulator.cutConnections();
    await eventually(() => expect(told.count("open")).toBe(2));
    await Promise.all(frames.map((frame) => frame.commit()));
    expect(input.length).toBe(0);
    expect(proxy.of("get")).toEqual([]);
  });
});
