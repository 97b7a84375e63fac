import { afterEach, describe, expect, test, vi } from "vitest";
import { nodeTransport } from "../../../../src/node.js";
import { platform as node } from "../../../../src/platform/node/platform.js";
import {
  eventually,
  fakeClient,
  frameBytes,
  openQueue,
  Told,
  TRANSPORTS,
  watchWith,
} from "../../../support/queue-watch.js";

// An item larger than maxResponseBytes is reported once and returned to the queue, and later items are delivered.

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const LIMIT = 10_000;

describe.each(TRANSPORTS)("an item larger than maxResponseBytes over %s", (transport) => {
  test.each([1, 4])("is skipped by a worker with a window of %i, and reported once", async (window) => {
    const { client, input, emulator } = await openQueue({ maxDeliveries: 2 });
    const told = new Told();
    const put = (size: number) => input.put("x".repeat(size));
    const small = [put(10), put(LIMIT - 100)];
    const large = [put(2 * LIMIT), put(LIMIT)];
    small.push(put(11), put(12));
    const queue = client({ maxResponseBytes: LIMIT, logger: told.logger });
    const handled: bigint[] = [];
    const done = queue.consume((frame) => void handled.push(frame.index), {
      transport,
      window,
      reconnect: { minDelay: 4, maxDelay: 20 },
      onStatus: told.onStatus,
    });
    await eventually(() => expect(handled).toEqual(small));
    await eventually(() => expect(input.length).toBe(transport === "poll" ? 2 : 0));
    const reports = told.warnings.filter((warning) => /could not be read/.test(warning));
    expect(reports).toEqual(large.map((index) => expect.stringMatching(`item ${index} could not be read`)));
    if (transport !== "poll") {
      const negatives = input.negatives.map(({ index, code }) => [index, code]);
      // The item is returned once per delivery, until it reaches the maximum number of deliveries.
      expect(negatives.sort()).toEqual([...large, ...large].map((index) => [index, "Unreadable"]).sort());
    }
    const watches = emulator.requests.filter(({ url }) => url.includes("_watch_=true")).length;
    expect(watches).toBeLessThanOrEqual(transport === "websocket" ? 6 : 1);
    expect(told.count("reconnecting")).toBe(Math.max(0, watches - 1));
    await queue.close();
    await done;
  });

  test("rejects next with an EasDecodeError and continues the watch", async () => {
    const { client, input } = await openQueue({ maxDeliveries: 2 });
    input.put("first");
    input.put("x".repeat(2 * LIMIT));
    input.put("last");
    const { frames, errors, watcher } = watchWith(client({ maxResponseBytes: LIMIT }), 0, 5, { transport });
    await eventually(() => expect(frames.map((frame) => frame.text())).toEqual(["first", "last"]));
    expect(errors).toEqual([expect.objectContaining({ code: "ERR_EAS_DECODE" })]);
    await watcher.close();
  });

  test("is lost with autoCommit, while later items are delivered", async () => {
    const { client, input } = await openQueue();
    const { frames, errors, watcher, told } = watchWith(client({ maxResponseBytes: LIMIT }), 0, 5, {
      transport,
      autoCommit: true,
    });
    await eventually(() => expect(told.count("open")).toBe(1));
    input.put("first");
    await eventually(() => expect(frames).toHaveLength(1));
    input.put("x".repeat(2 * LIMIT));
    await eventually(() => expect(errors.length + told.count("reconnecting")).toBeGreaterThan(0));
    await eventually(() => expect(told.count("open")).toBe(transport === "websocket" ? 2 : 1));
    input.put("last");
    await eventually(() => expect(frames.map((frame) => frame.text())).toEqual(["first", "last"]));
    expect(watcher.isClosed).toBe(false);
    await watcher.close();
  });
});

test.each(["websocket", "poll"] as const)(
  "an item that is deleted before its index is read is not an error, over %s",
  async (transport) => {
    const { client, input, emulator, restart } = await openQueue();
    const other = client();
    const network = nodeTransport();
    let lookups = 0;
    const queue = client({
      maxResponseBytes: LIMIT,
      dialWebSocket: node.dialWebSocket as NonNullable<typeof node.dialWebSocket>,
      transport: {
        send: (request) => network.send(request),
        // The item was too large to receive. This request looks up its index.
        async stream(request) {
          if (lookups === 0) await other.clear();
          const response = await (network.stream as NonNullable<typeof network.stream>)(request);
          lookups++;
          return response;
        },
        close: () => network.close(),
      },
    });
    input.put("x".repeat(2 * LIMIT));
    const { frames, errors, watcher, told } = watchWith(queue, 0, 5, { transport });
    await eventually(() => expect(lookups).toBe(1));
    input.put("next");
    await eventually(() => expect(frames.map((frame) => frame.text())).toEqual(["next"]));
    expect(errors).toEqual([]);
    expect(input.negatives).toEqual([]);
    expect(lookups).toBe(1);
    if (transport === "websocket") {
      const indexOnly = () =>
        emulator.requests
          .filter(({ url }) => url.includes("_watch_"))
          .map(({ url }) => url.includes("_index_only_=true"));
      expect(indexOnly()).toEqual([false, true]);
      await restart();
      // The next connection requests frames with their data again.
      await eventually(() => expect(told.count("open")).toBe(3));
      expect(indexOnly()).toEqual([false, true, false]);
    } else {
      expect(told.states).toEqual(["open"]);
    }
    await watcher.close();
  },
);

test("requests polled items one by one when only their total is too large", async () => {
  const { client, input, emulator } = await openQueue();
  input.put("x");
  for (let i = 0; i < 10; i++) input.put("x".repeat(LIMIT / 2));
  const { frames, errors, watcher, told } = watchWith(client({ maxResponseBytes: LIMIT }), 0, 20, {
    transport: "poll",
  });
  await eventually(() => expect(frames).toHaveLength(11));
  expect(errors).toEqual([]);
  expect(told.states).toEqual(["open"]);
  expect(emulator.requests.filter(({ url }) => /_length_=/.test(url)).length).toBeLessThan(40);
  await watcher.close();
});

test("returns an item that is redelivered immediately with increasing delays", async () => {
  vi.useFakeTimers();
  const { client, dialer, transport } = fakeClient({ maxResponseBytes: 100 });
  const { answer } = transport;
  const returned: number[] = [];
  transport.answer = async (request) => {
    if (request.path.includes("_negative_")) {
      returned.push(performance.now());
      dialer.last.push(frameBytes(7, new Uint8Array(200)));
    }
    return answer(request);
  };
  const { errors, watcher } = watchWith(client, 0, 5);
  await vi.advanceTimersByTimeAsync(0);
  dialer.last.push(frameBytes(7, new Uint8Array(200)));
  for (let i = 0; i < 60; i++) {
    await vi.advanceTimersByTimeAsync(1000);
    dialer.last.connection.onPong?.();
  }
  const waits = returned.slice(1).map((at, i) => at - (returned[i] as number));
  expect(waits.slice(0, 9).map(Math.round)).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  expect(errors).toHaveLength(1);
  await watcher.close();
  expect(vi.getTimerCount()).toBe(0);
});
