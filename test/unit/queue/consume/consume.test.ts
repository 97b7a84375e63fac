import { getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { createEmulator } from "../../../../src/emulator/index.js";
import type { DataFrame, FailureAction } from "../../../../src/index.js";
import { errorOf, until } from "../../../support/calls.js";
import { byHand, delays, open, start, turns } from "../../../support/workers.js";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("running handlers", () => {
  test("runs at most `concurrency` handlers, reuses each slot, and commits each item when its handler is done", async () => {
    const { input, client, indexes } = open();
    const put = Array.from({ length: 8 }, (_, i) => input.put(`${i}`));
    const { runs, handler, most, texts } = byHand();
    const { watched, stop, done } = start(client(), handler, { concurrency: 3 });
    await until(() => runs.length === 3);
    await turns();
    expect(texts()).toEqual(["0", "1", "2"]);
    expect(input.commits).toEqual([]);
    runs[1]?.done();
    await until(() => runs.length === 4);
    expect(indexes()).toEqual([put[1]]);
    for (let next = 0; next < 8; next++) {
      await until(() => runs.length > next);
      runs[next]?.done();
    }
    await until(() => input.length === 0);
    expect(most()).toBe(3);
    expect(texts()).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    expect(watched.state).toBe("pending");
    stop();
    await done;
    expect(new Set(indexes())).toEqual(new Set(put));
    expect(input.negatives).toEqual([]);
  });

  test.each([
    [{}, "2"],
    [{ concurrency: 5 }, "10"],
    [{ concurrency: 5, window: 7 }, "7"],
  ])("with the options %j requests a window of %s", async (options, window) => {
    const { emulator, client } = open();
    start(client(), () => {}, options);
    await until(() => emulator.requests.length > 0);
    expect(new URL(emulator.requests[0]!.url, "http://e").searchParams.get("_window_")).toBe(window);
  });

  test("does not commit an item that the handler returned to the queue", async () => {
    const { input, client } = open();
    input.put("a");
    let times = 0;
    start(client(), async (frame) => {
      if (++times === 1) await frame.negative();
    });
    await until(() => input.length === 0);
    expect(times).toBe(2);
    expect(input.negatives).toHaveLength(1);
  });

  test("handles one item at a time by default, in order, beginning at `index`", async () => {
    const { input, client } = open();
    input.put("before");
    const first = input.put("a");
    input.put("b");
    const { runs, handler, most, texts } = byHand();
    start(client(), handler, { index: first });
    await until(() => runs.length === 1);
    await turns();
    expect(texts()).toEqual(["a"]);
    runs[0]?.done();
    await until(() => runs.length === 2);
    runs[1]?.done();
    await until(() => input.length === 1);
    expect(texts()).toEqual(["a", "b"]);
    expect(most()).toBe(1);
  });

  test("runs at most `window` handlers when the window is smaller than the concurrency", async () => {
    const { input, client } = open();
    for (let i = 0; i < 5; i++) input.put(`${i}`);
    const { runs, handler, most } = byHand();
    start(client(), handler, { concurrency: 4, window: 2 });
    for (let next = 0; next < 5; next++) {
      await until(() => runs.length > next);
      runs[next]?.done();
    }
    await until(() => input.length === 0);
    expect(most()).toBeLessThanOrEqual(2);
  });

  test("commits the item when a synchronous handler returns", async () => {
    const { input, client } = open();
    const seen: string[] = [];
    for (let i = 0; i < 20; i++) input.put(`${i}`);
    start(client(), (frame) => void seen.push(frame.text()));
    await until(() => input.length === 0);
    expect(seen).toHaveLength(20);
  });

  test("shares the items between two consumers of one group", async () => {
    const { input, client } = open();
    const put = Array.from({ length: 12 }, (_, i) => input.put(`${i}`));
    const [one, two] = [byHand(), byHand()];
    start(client(), one.handler, { concurrency: 2, window: 2 });
    start(client(), two.handler, { concurrency: 2, window: 2 });
    await until(() => one.runs.length === 2 && two.runs.length === 2);
    await until(() => {
      for (const run of [...one.active, ...two.active]) run.done();
      return input.length === 0;
    });
    expect(new Set([...one.runs, ...two.runs].map(({ frame }) => frame.index))).toEqual(new Set(put));
    expect(one.runs.length + two.runs.length).toBe(12);
    expect(input.pushes).toHaveLength(12);
  });

  test("keeps no reference to handled frames", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const { input, client } = open();
    const seen: WeakRef<DataFrame>[] = [];
    const { watched } = start(client(), (frame) => void seen.push(new WeakRef(frame)));
    for (let i = 0; i < 50; i++) input.put(`${i}`);
    await until(() => seen.length === 50 && input.length === 0);
    await turns();
    collect();
    expect(watched.state).toBe("pending");
    // The last frames may still be on the stack.
    expect(seen.filter((reference) => reference.deref() !== undefined).length).toBeLessThan(10);
  });
});

describe("a failing handler", () => {
  const unreadable = {
    name: "Error",
    get message(): string {
      throw new Error("unreadable");
    },
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const failures: [string, () => void | Promise<void>][] = [
    [
      "throws",
      () => {
        throw new Error("bad");
      },
    ],
    ["rejects", () => Promise.reject(new Error("bad"))],
    ["rejects with undefined", () => Promise.reject()],
    ["rejects with an object without a prototype", () => Promise.reject(Object.create(null))],
    ["rejects with an error whose name is a symbol", () => Promise.reject({ name: Symbol("n"), message: "bad" })],
    ["rejects with an error whose message cannot be read", () => Promise.reject(unreadable)],
    ["rejects with a revoked proxy", () => Promise.reject(revoked.proxy)],
  ];

  test.each(failures)("redelivers the item of a handler that %s, and commits the others", async (_, fail) => {
    delays(0);
    const { input, client } = open();
    const [bad, good] = [input.put("bad"), input.put("good")];
    const seen: string[] = [];
    start(client(), (frame) => {
      seen.push(frame.text());
      return seen.length === 1 ? fail() : undefined;
    });
    await until(() => input.length === 0);
    expect([...seen].sort()).toEqual(["bad", "bad", "good"]);
    expect(input.negatives.map(({ index }) => index)).toEqual([bad]);
    expect(new Set(input.commits.map(({ index }) => index))).toEqual(new Set([bad, good]));
  });

  test("doubles the delay with each consecutive failure up to ten seconds, and resets it after a success", async () => {
    const asked = delays(0);
    const { input, client } = open({ maxDeliveries: Number.POSITIVE_INFINITY });
    input.put("a");
    let tries = 0;
    start(client(), () => {
      if (++tries <= 9) throw new Error("bad");
    });
    await until(() => input.length === 0);
    expect(asked).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    tries = 8;
    input.put("b");
    await until(() => input.length === 0);
    expect(asked.slice(9)).toEqual([100]);
  });

  test("keeps the slot of a failed item occupied during its delay, while other slots continue", async () => {
    delays(1_000_000);
    const { input, client } = open();
    for (const text of ["bad", "b", "c"]) input.put(text);
    const { runs, handler } = byHand();
    start(client(), handler, { concurrency: 2 });
    await until(() => runs.length === 2);
    runs[0]?.fail(new Error("bad"));
    await turns();
    expect(runs).toHaveLength(2);
    expect(input.negatives).toEqual([]);
    runs[1]?.done();
    await until(() => runs.length === 3);
    runs[2]?.done();
    await until(() => input.length === 1);
  });

  test("does not receive an item again after the queue's maximum number of deliveries", async () => {
    delays(0);
    const { input, client } = open({ maxDeliveries: 3 });
    const bad = input.put("bad");
    input.put("good");
    let tries = 0;
    start(client(), (frame) => {
      if (frame.text() === "bad" && ++tries) throw new Error("bad");
    });
    await until(() => input.length === 0);
    expect(tries).toBe(3);
    expect(input.dead).toMatchObject([{ index: bad }]);
  });

  const actions: [string, () => FailureAction | Promise<FailureAction>, { negatives: number; tries: number }][] = [
    ["negative", () => "negative", { negatives: 1, tries: 2 }],
    ["negative in a promise", () => Promise.resolve("negative"), { negatives: 1, tries: 2 }],
    ["release", () => "release", { negatives: 0, tries: 2 }],
    ["commit", () => "commit", { negatives: 0, tries: 1 }],
    ["commit in a promise", () => Promise.resolve("commit"), { negatives: 0, tries: 1 }],
  ];

  test.each(actions)(
    "acknowledges the failed item as onError returns: %s",
    async (_, verdict, { negatives, tries }) => {
      delays(0);
      const { input, client, warnings } = open();
      const bad = input.put("bad");
      input.put("good");
      const error = new Error("bad");
      let seen = 0;
      const onError = vi.fn(verdict);
      start(
        client(),
        (frame) => {
          if (frame.text() === "bad" && ++seen === 1) throw error;
        },
        { onError, window: 1 },
      );
      await until(() => input.length === 0);
      expect(seen).toBe(tries);
      expect(input.negatives).toHaveLength(negatives);
      expect(onError.mock.calls).toMatchObject([[error, { index: bad }, { attempt: 1, delivery: 1 }]]);
      expect(warnings).toEqual([]);
    },
  );

  const wrong: [string, () => unknown][] = [
    [
      "throws",
      () => {
        throw new Error("mine");
      },
    ],
    ["rejects", () => Promise.reject(new Error("mine"))],
    ["throws an object without a prototype", () => Promise.reject(Object.create(null))],
    ["returns undefined", () => undefined],
    ["returns an unknown action", () => "mine"],
    ["returns an object without a prototype", () => Object.create(null)],
  ];

  test.each(wrong)("releases and receives the item again, and frees its slot, when onError %s", async (_, onError) => {
    const asked = delays(0);
    const { input, client, warnings } = open();
    const bad = input.put("bad");
    const good = input.put("good");
    let seen = 0;
    const { watched } = start(
      client(),
      (frame) => {
        if (frame.index === bad && ++seen <= 2) throw new Error("bad");
      },
      { onError: onError as never, window: 1 },
    );
    await until(() => input.length === 0);
    expect(seen).toBe(3);
    // Without delays, the item would be released and received in a busy loop.
    expect(asked).toEqual([100, 200]);
    expect(warnings.filter((message) => message.includes(`item ${bad}`))).toHaveLength(2);
    expect(input.commits.map(({ index }) => index)).toEqual([bad, good]);
    expect(watched.state).toBe("pending");
  });

  test("retries a commit that fails, without running the handler again", async () => {
    const { emulator, input, client } = open();
    for (let i = 0; i < 8; i++) input.put(`${i}`);
    const runs = new Map<bigint, number>();
    start(
      client({ retryCount: 0 }),
      (frame) => {
        runs.set(frame.index, (runs.get(frame.index) ?? 0) + 1);
        emulator.fault({ status: 500 });
      },
      { window: 2 },
    );
    await until(() => input.length === 0);
    expect([...runs.values()]).toEqual(Array(8).fill(1));
  });

  test("logs the item of a handler that throws, and sends the reason to the queue", async () => {
    delays(0);
    const { input, client, warnings } = open();
    const bad = input.put("bad", { tags: { task: "7" } });
    let seen = 0;
    start(client(), () => {
      if (++seen === 1) throw new TypeError("no such model");
    });
    await until(() => input.length === 0);
    expect(warnings).toEqual([expect.stringMatching(`item ${bad} .*"task":"7".*TypeError: no such model`)]);
    expect(input.negatives).toMatchObject([{ index: bad, reason: "TypeError: no such model" }]);
  });

  test("retries a commit whose response is lost, without handling the item again", async () => {
    const { emulator, input, client, warnings } = open();
    input.put("a");
    const { runs, handler } = byHand();
    start(client(), handler, { window: 1 });
    await until(() => runs.length === 1);
    emulator.fault({ reset: "before-headers" });
    runs[0]?.done();
    await until(() => input.length === 0);
    input.put("b");
    await until(() => runs.length === 2);
    expect(runs[1]?.text).toBe("b");
    expect(warnings).toEqual([]);
  });

  test("frees the slot when a negative is refused", async () => {
    delays(0);
    const { emulator, input, client, warnings } = open();
    input.put("bad");
    input.put("good");
    const { runs, handler } = byHand();
    start(client(), handler, { window: 1 });
    await until(() => runs.length === 1);
    emulator.fault({ status: 400 });
    runs[0]?.fail(new Error("bad"));
    await until(() => runs.length === 2);
    runs[1]?.done();
    await until(() => runs.length === 3);
    runs[2]?.done();
    await until(() => input.length === 0);
    expect(warnings).toHaveLength(1);
  });

  test("frees all slots after many failures", async () => {
    delays(0);
    const { input, client } = open({ maxDeliveries: Number.POSITIVE_INFINITY });
    for (let i = 0; i < 30; i++) input.put(`${i}`);
    const tries = new Map<bigint, number>();
    const answers: unknown[] = ["negative", "release", "nonsense"];
    start(
      client(),
      async (frame) => {
        const count = (tries.get(frame.index) ?? 0) + 1;
        tries.set(frame.index, count);
        if (count <= 3) throw new Error("bad");
      },
      { concurrency: 4, onError: (() => answers[Math.floor(Math.random() * 3)]) as never },
    );
    await until(() => input.length === 0);
    expect(tries.size).toBe(30);
  });
});

describe("stopping a worker", () => {
  test("resolves without handling an item when the signal has already fired", async () => {
    const { input, client } = open();
    input.put("a");
    const handler = vi.fn();
    await client().consume(handler, { signal: AbortSignal.abort("gone") });
    await turns();
    expect(handler).not.toHaveBeenCalled();
    expect([...input.pending.values()].flat()).toEqual([]);
    expect(input.length).toBe(1);
  });

  test("resolves while the worker is idle", async () => {
    const { emulator, input, client } = open();
    const queue = client();
    const { stop, done, signal } = start(queue, () => {});
    await until(() => emulator.requests.length === 1);
    await turns();
    stop();
    await done;
    expect(input.pending.size).toBe(0);
    expect(getEventListeners(signal, "abort")).toEqual([]);
    // The client's watcher has ended, so the client can start another watcher.
    const again = start(queue, () => {});
    input.put("a");
    await until(() => input.length === 0);
    again.stop();
    await again.done;
  });

  test("resolves while the worker connects", async () => {
    const { emulator, client } = open();
    emulator.fault({ stall: "before-headers" });
    const { stop, done } = start(client(), () => {});
    await until(() => emulator.requests.length === 1);
    stop();
    await done;
  });

  test("finishes and commits the running handlers while all slots are busy, and no other consumer gets their items", async () => {
    const { input, client } = open();
    for (let i = 0; i < 6; i++) input.put(`${i}`);
    const { runs, handler, texts } = byHand();
    const { stop, done, watched } = start(client({ uid: "one" }), handler, { concurrency: 2 });
    await until(() => runs.length === 2 && input.pushes.length === 4);
    const other = byHand();
    start(client({ uid: "two" }), other.handler, { concurrency: 10 });
    await until(() => other.runs.length === 2);
    stop();
    await turns();
    expect(watched.state).toBe("pending");
    expect(input.commits).toEqual([]);
    runs[0]?.done();
    await until(() => input.commits.length === 1);
    await turns();
    expect(watched.state).toBe("pending");
    expect(runs).toHaveLength(2);
    runs[1]?.done();
    await done;
    expect(texts()).toEqual(["0", "1"]);
    expect(input.commits.map(({ uid }) => uid)).toEqual(["one", "one"]);
    await until(() => other.runs.length === 4);
    expect(other.texts().sort()).toEqual(["2", "3", "4", "5"]);
  });

  test("lets a handler stop its own worker", async () => {
    const { input, client } = open();
    for (let i = 0; i < 5; i++) input.put(`${i}`);
    const controller = new AbortController();
    let count = 0;
    await client().consume(
      () => {
        if (++count === 3) controller.abort();
      },
      { signal: controller.signal, concurrency: 2 },
    );
    expect(count).toBe(3);
    expect(input.commits).toHaveLength(3);
    expect(input.length).toBe(2);
  });

  test("starts no handler after the stop and loses no item, at any moment after a frame", async () => {
    for (let ticks = 0; ticks < 16; ticks++) {
      const { emulator, input, client } = open();
      const controller = new AbortController();
      let afterStop = 0;
      let handled = 0;
      const queue = client({
        dialWebSocket: async (url, options) => {
          const connection = await emulator.dialWebSocket(url, options);
          return wrapMessages(connection, (deliver) => {
            deliver();
            let left = ticks;
            const step = () => (left-- > 0 ? queueMicrotask(step) : controller.abort());
            step();
          });
        },
      });
      const done = queue.consume(
        () => {
          handled++;
          if (controller.signal.aborted) afterStop++;
        },
        { signal: controller.signal },
      );
      await turns(2);
      input.put("a");
      await done;
      expect([ticks, afterStop, handled + input.length]).toEqual([ticks, 0, 1]);
    }
  });

  test.each<FailureAction>(["negative", "release"])(
    "returns a failed item to the queue without waiting for its delay (%s)",
    async (verdict) => {
      const asked = delays(1_000_000);
      const { input, client } = open();
      const bad = input.put("bad");
      const { runs, handler } = byHand();
      const { stop, done } = start(client(), handler, { onError: () => verdict });
      await until(() => runs.length === 1);
      runs[0]?.fail(new Error("bad"));
      await until(() => asked.length === 1);
      stop();
      await done;
      expect(input.negatives.map(({ index }) => index)).toEqual(verdict === "negative" ? [bad] : []);
      expect(input.length).toBe(1);
      expect([...input.pending.values()].flat()).toEqual([]);
    },
  );

  test("acknowledges an item that fails after the stop without a delay", async () => {
    const asked = delays(1_000_000);
    const { input, client } = open();
    input.put("bad");
    const { runs, handler } = byHand();
    const { stop, done } = start(client(), handler);
    await until(() => runs.length === 1);
    stop();
    await turns();
    runs[0]?.fail(new Error("bad"));
    await done;
    expect(asked).toEqual([]);
    expect(input.negatives).toHaveLength(1);
  });

  test("leaves no listeners and causes no warning when many workers share one signal", async () => {
    const warned: Error[] = [];
    const onWarning = (warning: Error) => warned.push(warning);
    process.on("warning", onWarning);
    const { emulator, input, client } = open();
    const controller = new AbortController();
    const { signal } = controller;
    const all = Array.from({ length: 20 }, () => client().consume(() => {}, { signal }));
    await until(() => emulator.requests.length === 20);
    for (let i = 0; i < 100; i++) input.put(`${i}`);
    await until(() => input.length === 0);
    controller.abort();
    await Promise.all(all);
    await turns();
    process.off("warning", onWarning);
    expect(warned).toEqual([]);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});

describe("the worker's watch", () => {
  test("handles no item twice when the connection breaks while handlers run", async () => {
    const { emulator, input, client } = open();
    const put = Array.from({ length: 6 }, (_, i) => input.put(`${i}`));
    const { runs, handler, texts } = byHand();
    start(client(), handler, { concurrency: 2 });
    for (let next = 0; next < 6; next += 2) {
      await until(() => runs.length === next + 2);
      const connections = emulator.requests.filter(({ status }) => status === 101).length;
      expect(emulator.cutConnections()).toBe(1);
      // One handler ends while there is no connection, the other after the new connection has pushed its item again.
      runs[next]?.done();
      await until(() => emulator.requests.filter(({ status }) => status === 101).length > connections);
      await turns();
      runs[next + 1]?.done();
    }
    await until(() => input.length === 0);
    expect(texts()).toEqual(["0", "1", "2", "3", "4", "5"]);
    expect(new Set(input.commits.map(({ index }) => index))).toEqual(new Set(put));
  });

  test("commits the running item once when the connection breaks during the stop", async () => {
    const { emulator, input, client } = open();
    input.put("a");
    const { runs, handler } = byHand();
    const { stop, done } = start(client(), handler);
    await until(() => runs.length === 1);
    stop();
    emulator.cutConnections();
    await turns(50);
    runs[0]?.done();
    await done;
    expect(runs).toHaveLength(1);
    expect(input.length).toBe(0);
  });

  test("skips a frame that cannot be decoded, and logs a warning", async () => {
    const { emulator, input, client, warnings } = open();
    const damaged = [Uint8Array.of(0xff, 0xff), Uint8Array.of(0x08)];
    const queue = client({
      dialWebSocket: async (url, options) => {
        const connection = await emulator.dialWebSocket(url, options);
        return wrapMessages(connection, (deliver, receive) => {
          deliver();
          for (const bytes of damaged.splice(0)) receive(bytes);
        });
      },
    });
    const { runs, handler } = byHand();
    const { watched } = start(queue, handler, { concurrency: 2 });
    input.put("a");
    await until(() => runs.length === 1);
    input.put("b");
    await until(() => runs.length === 2);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain("could not be read");
    for (const { done } of runs) done();
    await until(() => input.length === 0);
    expect(watched.state).toBe("pending");
  });

  test("resolves when the queue has ended and all items are committed", async () => {
    const { input, client } = open();
    for (let i = 0; i < 3; i++) input.put(`${i}`);
    const { runs, handler } = byHand();
    const queue = client();
    const { watched, done } = start(queue, handler);
    await until(() => runs.length === 1);
    await client().end();
    for (let next = 0; next < 3; next++) {
      await until(() => runs.length > next);
      await turns();
      expect(watched.state).toBe("pending");
      runs[next]?.done();
    }
    await done;
    expect(input.length).toBe(0);
    expect(runs).toHaveLength(3);
  });

  test("rejects when the token is wrong", async () => {
    const { client } = open();
    const error = await errorOf(client({ token: "wrong" }).consume(() => {}));
    expect(error).toMatchObject({ name: "EasHttpError", status: 401 });
  });

  test("rejects after a break without reconnect once running items are committed and failed items returned", async () => {
    const asked = delays(1_000_000);
    const { emulator, input, client } = open();
    input.put("bad");
    const good = input.put("good");
    const { runs, handler } = byHand();
    const { watched, done } = start(client(), handler, { concurrency: 2, reconnect: false });
    await until(() => runs.length === 2);
    runs[0]?.fail(new Error("bad"));
    await until(() => asked.length === 1);
    emulator.cutConnections();
    await until(() => input.negatives.length === 1);
    expect(watched.state).toBe("pending");
    runs[1]?.done();
    expect(await errorOf(done)).toMatchObject({ code: "ERR_EAS_QUEUE_CLOSED" });
    expect(input.commits.map(({ index }) => index)).toEqual([good]);
  });

  test("resolves when the client is closed", async () => {
    const { emulator, client } = open();
    const queue = client();
    const { done } = start(queue, () => {});
    await until(() => emulator.requests.length === 1);
    await queue.close();
    await done;
    expect(await errorOf(queue.consume(() => {}))).toMatchObject({ code: "ERR_EAS_CLOSED" });
  });

  test.each(["websocket", "http", "poll"] as const)("receives a failed item again over %s", async (transport) => {
    delays(0);
    const { input, client } = open();
    for (let i = 0; i < 6; i++) input.put(`${i}`);
    const seen: string[] = [];
    const { stop, done } = start(
      client(),
      async (frame) => {
        seen.push(frame.text());
        if (frame.text() === "3" && seen.filter((text) => text === "3").length === 1) throw new Error("bad");
      },
      { transport, concurrency: 2 },
    );
    await until(() => input.length === 0);
    stop();
    await done;
    expect([...seen].sort()).toEqual(["0", "1", "2", "3", "3", "4", "5"]);
  });
});

describe("invalid arguments", () => {
  test.each<[string, unknown, unknown, string]>([
    ["a handler that is not a function", "x", {}, "ERR_EAS_ARG_OPTION"],
    ["options that are null", () => {}, null, "ERR_EAS_ARG_WATCH"],
    ["a concurrency of 0", () => {}, { concurrency: 0 }, "ERR_EAS_ARG_OPTION"],
    ["a concurrency that is not a number", () => {}, { concurrency: "2" }, "ERR_EAS_ARG_OPTION"],
    ["a window of 0", () => {}, { window: 0 }, "ERR_EAS_ARG_WATCH"],
    ["an onError that is not a function", () => {}, { onError: "commit" }, "ERR_EAS_ARG_OPTION"],
    ["a signal that is not an AbortSignal", () => {}, { signal: {} }, "ERR_EAS_ARG_OPTION"],
    ["an index that is not an integer", () => {}, { index: "x" }, "ERR_EAS_ARG_INDEX"],
  ])("rejects %s, and leaves no watcher open", async (_, handler, options, code) => {
    const { emulator, input, client } = open();
    const queue = client();
    expect(await errorOf(queue.consume(handler as never, options as never))).toMatchObject({ code });
    await turns();
    expect(emulator.requests).toEqual([]);
    start(queue, () => {});
    input.put("a");
    await until(() => input.length === 0);
  });

  test("rejects a second consume() of one client", async () => {
    const { client } = open();
    const queue = client();
    start(queue, () => {});
    expect(await errorOf(queue.consume(() => {}))).toMatchObject({ code: "ERR_EAS_ARG_WATCH" });
  });
});

type Connection = Awaited<ReturnType<ReturnType<typeof createEmulator>["dialWebSocket"]>>;

/** Wraps a connection so that the test decides how each message is delivered. */
function wrapMessages(
  connection: Connection,
  around: (deliver: () => void, receive: (data: unknown) => void) => void,
): Connection {
  return new Proxy(connection, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set(target, name, value) {
      const onMessage = (data: unknown) => around(() => value(data), value);
      return Reflect.set(target, name, name === "onMessage" ? onMessage : value, target);
    },
  });
}
