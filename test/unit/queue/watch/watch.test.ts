import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../../src/emulator/index.js";
import { type DataFrame, EasQueueClosedError } from "../../../../src/index.js";
import { platform } from "../../../../src/platform/node/platform.js";
import {
  collect,
  eventually,
  openQueue,
  SOON,
  settle,
  type Told,
  TRANSPORTS,
  watchWith,
} from "../../../support/queue-watch.js";

// These tests run watches over all transports, against the emulator behind a real listener.

describe.each(TRANSPORTS)("a watch over %s", (transport) => {
  const pushes = transport !== "poll";
  /** Waits for open connections. A poll whose window is full has no connection and does not notice a cut. */
  const opened = (told: Told, count: number) =>
    pushes ? eventually(() => expect(told.count("open")).toBe(count)) : settle();

  test("delivers existing and new items in order to many concurrent next() calls", async () => {
    const { client, input } = await openQueue();
    const watcher = client().watch(0, 100, { transport });
    const waiting = Array.from({ length: 30 }, () => watcher.next());
    for (let i = 0; i < 20; i++) input.put(`item ${i}`, { tags: { n: String(i) } });
    await sleep(30);
    for (let i = 20; i < 30; i++) input.put(`item ${i}`, { tags: { n: String(i) } });
    const frames = (await Promise.all(waiting)).map(({ value }) => value as DataFrame);
    expect(frames.map((frame) => frame.text())).toEqual(frames.map((_, i) => `item ${i}`));
    expect(frames[7]?.tags).toMatchObject({ n: "7", requestId: expect.any(String) });
    expect(watcher.transport).toBe(transport);
    await Promise.all(frames.map((frame) => frame.commit()));
    expect(input.length).toBe(0);
  });

  test("holds at most `window` items until a commit, and sends the commits of one turn together", async () => {
    const { client, input, put, emulator } = await openQueue();
    put(30);
    const { frames, told } = watchWith(client(), 0, 10, { transport });
    await eventually(() => expect(frames).toHaveLength(10));
    await settle();
    expect(frames).toHaveLength(10);
    await Promise.all(frames.map((frame) => frame.commit()));
    await eventually(() => expect(frames).toHaveLength(20));
    const commits = emulator.requests.filter(({ method }) => method === (pushes ? "PUT" : "DELETE"));
    expect(commits).toHaveLength(1);
    expect(new URL(commits[0]?.url as string, "http://x").searchParams.get("_indexes_")).toBe("1,2,3,4,5,6,7,8,9,10");
    expect(input.length).toBe(20);
    expect(told.statuses).toEqual([{ state: "open", transport }]);
  });

  test("does not hand out a held or committed frame again after a reconnect", async () => {
    const { client, input, put, cut } = await openQueue();
    put(6);
    const { frames, indexes, told } = watchWith(client(), 0, 5, { transport });
    await eventually(() => expect(frames).toHaveLength(5));
    await frames[0]?.commit();
    await eventually(() => expect(frames).toHaveLength(6));
    for (let round = 0; round < 3; round++) {
      await cut();
      const before = frames.length;
      input.put("later");
      await frames[before - 5]?.commit();
      await opened(told, round + 2);
      await eventually(() => expect(frames).toHaveLength(before + 1));
      await settle();
    }
    expect(indexes()).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n]);
    if (pushes) {
      expect(told.statuses.find(({ state }) => state === "reconnecting")).toMatchObject({
        cause: expect.objectContaining({ code: "ERR_EAS_NETWORK" }),
        failures: 1,
      });
    }
    await Promise.all(frames.map((frame) => frame.commit()));
    expect(input.length).toBe(0);
    if (pushes) expect(input.pushes.some(({ delivery }) => delivery > 1)).toBe(true);
  });

  test("counts a commit that is in flight when the connection is cut", async () => {
    const { client, input, put, emulator } = await openQueue();
    put(2);
    const { frames, told } = watchWith(client(), 0, 5, { transport });
    await eventually(() => expect(frames).toHaveLength(2));
    // Wait until a poll has its next get in flight.
    await settle();
    emulator.fault({ delay: 150, service: "q" });
    const committing = frames[0]?.commit();
    await eventually(() => expect(emulator.requests.some(({ method }) => /PUT|DELETE/.test(method))).toBe(true));
    emulator.cutConnections();
    await opened(told, 2);
    await committing;
    await settle();
    emulator.cutConnections();
    await settle(60);
    expect(frames).toHaveLength(2);
    expect(input.items.map(({ index }) => index)).toEqual([2n]);
  });

  test("keeps a frame held when its commit fails, so that the commit can be retried", async () => {
    const { client, input, put, emulator, cut } = await openQueue();
    put(1);
    const { frames, told } = watchWith(client(), 0, 5, { transport });
    await eventually(() => expect(frames).toHaveLength(1));
    await settle();
    emulator.fault({ status: 500, service: "q" });
    await expect(frames[0]?.commit()).rejects.toMatchObject({ status: 500 });
    await cut();
    await opened(told, 2);
    await settle();
    expect(frames).toHaveLength(1);
    await frames[0]?.commit();
    expect(input.length).toBe(0);
  });

  test("fixes the start of a watch from now on at the first connect, and skips no later item", async () => {
    const { client, input, put, cut } = await openQueue();
    put(3);
    const { indexes, told, frames } = watchWith(client(), -1, 50, {
      transport,
      onStatus(status) {
        told.onStatus(status);
        if (status.state === "reconnecting") input.put("between");
      },
    });
    await eventually(() => expect(told.count("open")).toBe(1));
    await settle();
    expect(frames).toEqual([]);
    await cut();
    await eventually(() => expect(told.count("open")).toBe(2));
    put(1);
    await eventually(() => expect(input.length).toBe(frames.length + 3));
    expect(indexes()).toEqual(frames.map((_, i) => BigInt(i + 4)));
    expect(frames.map((frame) => frame.text())).toContain("between");
  });

  test("supports indexOnly, tags and autoCommit", async () => {
    const { client, input, put } = await openQueue();
    put(2, { tags: { kind: "a" } });
    put(2, { tags: { kind: "b" } });
    const tagged = watchWith(client({ uid: "tagged" }), 0, 5, { transport, tags: { kind: "b" }, indexOnly: true });
    await eventually(() => expect(tagged.indexes()).toEqual([3n, 4n]));
    // A get has no such option, so a poll receives the data too.
    if (pushes) expect(tagged.frames[0]?.data.length).toBe(0);
    expect(tagged.frames[0]?.tags.kind).toBe("b");
    await tagged.watcher.close();
    const auto = watchWith(client({ uid: "auto" }), 0, 1, { transport, autoCommit: true });
    await eventually(() => expect(auto.indexes()).toEqual([1n, 2n, 3n, 4n]));
    expect(input.length).toBe(0);
    const before = input.commits.length;
    await auto.frames[0]?.commit();
    await auto.frames[0]?.negative();
    auto.frames[0]?.release();
    expect([input.commits.length, input.negatives.length]).toEqual([before, 0]);
    put(50);
    await eventually(() => expect(auto.frames).toHaveLength(54));
    expect(input.length).toBe(0);
  });

  test("ends when the queue has ended and all items were delivered", async () => {
    const { client, put, input } = await openQueue();
    put(3);
    const queue = client();
    const texts: string[] = [];
    const { watcher, told } = { told: [] as unknown[], watcher: queue.watch(0, 1, { transport, reconnect: SOON }) };
    await queue.end();
    for await (const frame of watcher) {
      texts.push(frame.text());
      await frame.commit();
    }
    expect(texts).toEqual(["item 0", "item 1", "item 2"]);
    expect(input.length).toBe(0);
    await watcher.closed;
    expect(told).toEqual([]);
    await expect(watcher.next()).resolves.toEqual({ done: true, value: undefined });
  });

  test("allows one watcher at a time per client", async () => {
    const { client } = await openQueue();
    const queue = client();
    const first = queue.watch(0, 1, { transport });
    expect(() => queue.watch(0, 1)).toThrow(/already has a watcher/);
    await first.close();
    await queue.watch(0, 1, { transport }).close();
  });

  test("receives released and nacked items again", async () => {
    const { client, put, input } = await openQueue({ maxDeliveries: Number.POSITIVE_INFINITY });
    put(1);
    const { frames, indexes } = watchWith(client(), 0, 5, { transport });
    await eventually(() => expect(frames).toHaveLength(1));
    // No other frame is held, so only a reconnect or a poll from the start redelivers this frame.
    frames[0]?.release();
    await eventually(() => expect(frames).toHaveLength(2));
    for (let i = 2; i < (pushes ? 30 : 2); i++) {
      await frames.at(-1)?.negative("Model.Error", "again");
      await eventually(() => expect(frames).toHaveLength(i + 1));
    }
    expect(new Set(indexes())).toEqual(new Set([1n]));
    await frames.at(-1)?.commit();
    expect(input.length).toBe(0);
  });

  test("continues when all frames of a full window were released", async () => {
    const { client, put } = await openQueue();
    put(8);
    const { frames, indexes } = watchWith(client(), 0, 3, { transport });
    await eventually(() => expect(frames).toHaveLength(3));
    for (const frame of frames.splice(0)) frame.release();
    await eventually(() => expect(frames).toHaveLength(3));
    // A poll continues after the released frames, and returns to them later.
    expect(indexes()).toEqual(pushes ? [1n, 2n, 3n] : [4n, 5n, 6n]);
    await Promise.all(frames.splice(0).map((frame) => frame.commit()));
    await eventually(() => expect(frames.length).toBeGreaterThan(0));
  });

  test.runIf(pushes)("accepts a negative and a release of frames from before a cut", async () => {
    const { client, put, cut, input } = await openQueue({ maxDeliveries: Number.POSITIVE_INFINITY });
    put(2);
    const { frames, indexes, told } = watchWith(client(), 0, 2, { transport });
    await eventually(() => expect(frames).toHaveLength(2));
    await cut();
    await opened(told, 2);
    await settle();
    await frames[0]?.negative();
    frames[1]?.release();
    // A released frame comes with a reconnect, which waits until no other frame is held.
    for (let i = 2; i < 4; i++) {
      await eventually(() => expect(frames.length).toBeGreaterThan(i));
      await frames[i]?.commit();
    }
    expect(indexes().slice(2).sort()).toEqual([1n, 2n]);
    expect(input.negatives).toHaveLength(1);
    expect(input.length).toBe(0);
  });
});

test("a poll also receives the items behind an item with a priority", async () => {
  const { client, input } = await openQueue();
  input.put("low");
  input.put("high", { priority: 1 });
  input.put("low");
  const { indexes } = watchWith(client(), 0, 10, { transport: "poll" });
  await eventually(() => expect(indexes().sort()).toEqual([1n, 2n, 3n]));
});

test("a release does not end a watch with `reconnect: false`", async () => {
  const { client, put } = await openQueue();
  put(1);
  const { frames, errors, told } = watchWith(client(), 0, 1, { transport: "websocket", reconnect: false });
  for (let i = 1; i <= 3; i++) {
    await eventually(() => expect(frames).toHaveLength(i));
    frames.at(-1)?.release();
  }
  expect(errors).toEqual([]);
  expect(told.count("closed")).toBe(0);
});

test("a watch does not end when it releases frames that another consumer holds", async () => {
  const { client, put, emulator, input } = await openQueue();
  put(2);
  const a = watchWith(client({ uid: "a" }), 0, 2, { transport: "websocket" });
  await eventually(() => expect(a.frames).toHaveLength(2));
  const b = watchWith(client({ uid: "b" }), 0, 5, { transport: "websocket" });
  await eventually(() => expect(b.told.count("open")).toBe(1));
  emulator.cutConnections(({ uid }) => uid === "a");
  await eventually(() => expect(b.frames).toHaveLength(2));
  await eventually(() => expect(a.told.count("open")).toBe(2));
  for (const frame of a.frames) frame.release();
  await eventually(() => expect(a.told.count("open")).toBe(3));
  await settle(100);
  expect(a.told.count("closed")).toBe(0);
  await b.watcher.close();
  await eventually(() => expect(a.frames).toHaveLength(4));
  expect(input.length).toBe(2);
});

test("a watch with `reconnect: false` ends with the server's close code and reason", async () => {
  const { client } = await openQueue();
  const { watcher, told } = {
    watcher: client({ uid: "same" }).watch(0, 1, { reconnect: false }),
    told: client({ uid: "same" }),
  };
  const { errors, done } = collect(watcher);
  await sleep(50);
  const other = told.watch(0, 1);
  await done;
  expect(errors).toHaveLength(1);
  expect(errors[0]).toBeInstanceOf(EasQueueClosedError);
  expect(errors[0]).toMatchObject({
    closeCode: 4409,
    reason: expect.stringContaining("replaced by another connection"),
  });
  await other.close();
});

describe.each([
  ["in memory", (emulator: Emulator) => ({ transport: emulator.transport, dialWebSocket: emulator.dialWebSocket })],
  ["with the runtime's fetch", () => ({ fetch: globalThis.fetch, dialWebSocket: platform.dialWebSocket })],
] as const)("%s", (_, options) => {
  test.each(TRANSPORTS)("a watch over %s continues after a cut, and closes", async (transport) => {
    const { client, put, cut, emulator, input } = await openQueue();
    put(3);
    const { frames, indexes, watcher, told } = watchWith(client(options(emulator)), 0, 5, { transport });
    await eventually(() => expect(frames).toHaveLength(3));
    await frames[0]?.commit();
    await cut();
    put(2);
    await eventually(() => expect(indexes()).toEqual([1n, 2n, 3n, 4n, 5n]));
    await Promise.all(frames.map((frame) => frame.commit()));
    expect(input.length).toBe(0);
    await watcher.close();
    expect(told.states.at(-1)).toBe("closed");
    await eventually(() => expect([...input.pending.keys()]).toEqual([]));
  });
});
