import { afterEach, beforeEach, expect, test, vi } from "vitest";

// The code of a watch's connections is loaded on first use. In a page, the load uses the network and can fail.

const LOADED_LATER = "../../../../src/queue/lazy.js";

beforeEach(() => void vi.resetModules());
afterEach(() => void vi.doUnmock(LOADED_LATER));

async function queueWith(load: () => unknown) {
  vi.doMock(LOADED_LATER, load as () => object);
  const { QueueClient } = await import("../../../../src/index.js");
  const requests: string[] = [];
  const transport = {
    send: async ({ method, path }: { method: string; path: string }) => {
      requests.push(`${method} ${path}`);
      return { status: 200, headers: new Headers(), body: new TextEncoder().encode("7"), contentEncoding: undefined };
    },
    close: async () => {},
  };
  const queue = new QueueClient({ endpoint: "http://127.0.0.1:9", queueName: "q", transport, logger: null });
  const states: unknown[] = [];
  const onStatus = (status: unknown) => void states.push(status);
  return { queue, requests, states, options: { transport: "poll", onStatus } as const };
}

const offline = () => Promise.reject(new Error("offline"));

test("a watch whose code cannot be loaded ends with the error", async () => {
  const { queue, requests, states, options } = await queueWith(offline);
  const watcher = queue.watch(0, 5, options);
  const error = await watcher.next().catch((error: unknown) => error);
  // A failing load rejects with the loader's own error.
  expect(String((error as Error).cause ?? error)).toContain("offline");
  await watcher.closed;
  expect(states).toEqual([{ state: "closed", error }]);
  expect(await watcher.next()).toEqual({ done: true, value: undefined });
  expect(requests).toEqual([]);
  // The client still works, and can start another watch.
  expect(await queue.put("x")).toMatchObject({ index: 7n });
  await expect(queue.watch(0, 5, options).next()).rejects.toThrow();
});

test("consume() whose code cannot be loaded rejects, and calls no handler", async () => {
  const { queue } = await queueWith(offline);
  const handler = vi.fn();
  const error = await queue.consume(handler, { transport: "poll" }).catch((error: unknown) => error);
  expect(String((error as Error).cause ?? error)).toContain("offline");
  expect(handler).not.toHaveBeenCalled();
});

test("consume() ends immediately when it is stopped, or its client is closed, while its code is loading", async () => {
  const { queue, requests } = await queueWith(() => new Promise(() => {}));
  const controller = new AbortController();
  const stopped = queue.consume(() => {}, { transport: "poll", signal: controller.signal });
  controller.abort();
  await stopped;
  const closed = queue.consume(() => {}, { transport: "poll" });
  await queue.close();
  await closed;
  expect(requests).toEqual([]);
});

test("a watch that is closed while its code is loading ends immediately, without an error", async () => {
  const { queue, requests, states, options } = await queueWith(() => new Promise(() => {}));
  const watcher = queue.watch(0, 5, options);
  const waiting = watcher.next();
  await watcher.close();
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(states).toEqual([{ state: "closed", error: undefined }]);
  await queue.close();
  expect(requests).toEqual([]);
});

test("a watch that is aborted while its code is loading rejects with the reason", async () => {
  const { queue, states, options } = await queueWith(() => new Promise(() => {}));
  const controller = new AbortController();
  const watcher = queue.watch(0, 5, { ...options, signal: controller.signal });
  const waiting = watcher.next();
  const reason = new Error("enough");
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await watcher.closed;
  expect(states).toEqual([{ state: "closed", error: reason }]);
});
