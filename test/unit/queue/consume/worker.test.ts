import { afterEach, describe, expect, test, vi } from "vitest";
import { errorOf, until, watch } from "../../../support/calls.js";
import { byHand, delays, open, start, turns } from "../../../support/workers.js";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a worker", () => {
  test("is a promise, and has its counters, ready() and stop()", async () => {
    const { input, client } = open();
    const { runs, handler } = byHand();
    const worker = client().consume(handler, { concurrency: 2 });
    expect(worker).toBeInstanceOf(Promise);
    expect(worker.stats).toEqual({
      inWork: 0,
      handled: 0,
      failed: 0,
      deadLettered: 0,
      lastError: undefined,
      connected: false,
    });
    await worker.ready();
    expect(worker.stats.connected).toBe(true);
    for (const text of ["a", "b", "c"]) input.put(text);
    await until(() => runs.length === 2);
    expect(worker.stats).toMatchObject({ inWork: 2, handled: 0 });
    for (let next = 0; next < 3; next++) {
      await until(() => runs.length > next);
      runs[next]?.done();
    }
    await until(() => input.length === 0);
    const stopped = worker.stop();
    await expect(worker.stop()).resolves.toBe(undefined);
    await stopped;
    await worker;
    expect(worker.stats).toMatchObject({ inWork: 0, handled: 3, failed: 0, connected: false });
  });

  test("counts failures and remembers the last error", async () => {
    delays(0);
    const { input, client } = open();
    input.put("a");
    const error = new Error("once");
    let runs = 0;
    const { worker } = start(client(), () => {
      if (++runs === 1) throw error;
    });
    await until(() => input.length === 0);
    expect(worker.stats).toMatchObject({ handled: 1, failed: 1, lastError: error });
  });

  test("reports a lost connection, and ready() waits for the next one", async () => {
    const { emulator, client } = open();
    const states: string[] = [];
    const { worker } = start(client(), () => {}, { onStatus: ({ state }) => void states.push(state) });
    await worker.ready();
    emulator.fault({ status: 503 });
    emulator.cutConnections();
    await until(() => states.includes("reconnecting"));
    expect(worker.stats.connected).toBe(false);
    expect(worker.stats.lastError).toBeInstanceOf(Error);
    await worker.ready();
    expect(worker.stats.connected).toBe(true);
    expect(states.at(-1)).toBe("open");
  });

  test("rejects ready() with the error that ended it", async () => {
    const { client } = open();
    const worker = client({ token: "wrong" }).consume(() => {});
    expect(await errorOf(worker.ready())).toMatchObject({ status: 401 });
    const error = await errorOf(worker);
    expect(error).toMatchObject({ status: 401 });
    expect(worker.stats).toMatchObject({ connected: false, lastError: error });
    expect(await errorOf(worker.ready())).toMatchObject({ status: 401 });
  });

  test("rejects ready() with EasClosedError once it is stopped", async () => {
    const { emulator, client } = open();
    emulator.fault({ stall: "before-headers" });
    const worker = client().consume(() => {});
    const ready = watch(worker.ready());
    await until(() => emulator.requests.length === 1);
    await worker.stop();
    await turns();
    expect(ready).toMatchObject({ state: "rejected", value: { code: "ERR_EAS_CLOSED" } });
    expect(await errorOf(worker.ready())).toMatchObject({ code: "ERR_EAS_CLOSED" });
  });

  test("causes no unhandled rejection when ready() is not called and the options are invalid", async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => void unhandled.push(reason);
    process.on("unhandledRejection", listener);
    const { client } = open();
    expect(await errorOf(client().consume(() => {}, { concurrency: 0 }))).toMatchObject({ name: "RangeError" });
    expect(await errorOf(client({ token: "wrong" }).consume(() => {}))).toMatchObject({ status: 401 });
    await turns();
    process.off("unhandledRejection", listener);
    expect(unhandled).toEqual([]);
  });
});

describe("invalid options of a worker", () => {
  const other = { put: async () => ({}) };

  test.each<[string, object, string, RegExp]>([
    ["maxAttempts without deadLetter", { maxAttempts: 3 }, "ERR_EAS_ARG_WATCH", /deadLetter is missing/],
    ["maxAttempts of 0", { maxAttempts: 0, deadLetter: () => {} }, "ERR_EAS_ARG_OPTION", /at least 1/],
    ["deadLetter without put", { deadLetter: {} }, "ERR_EAS_ARG_OPTION", /deadLetter .*QueueClient or a function/],
    ["deadLetter null", { deadLetter: null }, "ERR_EAS_ARG_OPTION", /deadLetter is null/],
    ["sink that is a function", { sink: () => {} }, "ERR_EAS_ARG_OPTION", /sink .*QueueClient/],
    ["negative drainTimeout", { drainTimeout: -1 }, "ERR_EAS_ARG_TIMEOUT", /drainTimeout is -1/],
    ["onStatus that is not a function", { onStatus: 1 }, "ERR_EAS_ARG_OPTION", /onStatus is 1/],
    ["unknown option", { concurency: 2, sink: other }, "ERR_EAS_ARG_OPTION", /did you mean concurrency/],
  ])("rejects %s, and sends nothing", async (_, options, code, message) => {
    const { emulator, client } = open();
    const error = await errorOf(client().consume(() => {}, options as never));
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(message);
    await turns();
    expect(emulator.requests).toEqual([]);
  });

  test.each(["sink", "deadLetter"])("rejects the consuming client itself as %s", async (name) => {
    const { client } = open();
    const queue = client();
    const error = await errorOf(queue.consume(() => {}, { [name]: queue }));
    expect(error.message).toContain(`${name} is the client that consumes`);
  });
});
