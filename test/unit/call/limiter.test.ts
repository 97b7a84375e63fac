import { describe, expect, test } from "vitest";
import { Limiter } from "../../../src/call/connections/limiter.js";
import { clientOf, RecordingTransport, startServer, transportAnswer, turn, until, watch } from "../../support/calls.js";
import { answer, answerWhen } from "../../support/misbehaving-server.js";

describe("Limiter", () => {
  test("admits requests up to the limit, and the others in order of arrival", async () => {
    const limiter = new Limiter(2);
    expect([limiter.tryAcquire(), limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, true, false]);
    const order: number[] = [];
    for (const i of [1, 2, 3]) void limiter.acquire().done.then(() => order.push(i));
    await turn();
    expect(order).toEqual([]);
    limiter.release();
    await turn();
    expect(order).toEqual([1]);
    limiter.release();
    limiter.release();
    await turn();
    expect(order).toEqual([1, 2, 3]);
  });

  test("does not let a new request overtake waiters", async () => {
    const limiter = new Limiter(1);
    limiter.tryAcquire();
    const waiting = watch(limiter.acquire().done);
    expect(limiter.tryAcquire()).toBe(false);
    limiter.release();
    // The slot is already assigned, although the waiter has not run yet.
    expect(limiter.tryAcquire()).toBe(false);
    await turn();
    expect(waiting.state).toBe("resolved");
    limiter.release();
    expect(limiter.tryAcquire()).toBe(true);
  });

  test("limits long-lived requests to half of the slots, and lets short requests overtake them", async () => {
    const limiter = new Limiter(4);
    expect([limiter.tryAcquire(true), limiter.tryAcquire(true), limiter.tryAcquire(true)]).toEqual([true, true, false]);
    const held = watch(limiter.acquire(true).done);
    expect([limiter.tryAcquire(), limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, true, false]);
    const short = watch(limiter.acquire().done);
    limiter.release();
    await turn();
    expect([held.state, short.state]).toEqual(["pending", "resolved"]);
    limiter.release(true);
    await turn();
    expect(held.state).toBe("resolved");
  });

  test("gives a single slot to long-lived requests too", async () => {
    const limiter = new Limiter(1);
    expect([limiter.tryAcquire(true), limiter.tryAcquire()]).toEqual([true, false]);
    limiter.release(true);
    expect(limiter.tryAcquire()).toBe(true);
  });

  test("a canceled wait rejects with the reason and takes no slot", async () => {
    const limiter = new Limiter(1);
    limiter.tryAcquire();
    const [first, second] = [limiter.acquire(), limiter.acquire()];
    const outcomes = [watch(first.done), watch(second.done)];
    first.cancel("gone");
    first.cancel("gone again");
    await turn();
    expect(outcomes[0]).toEqual({ state: "rejected", value: "gone" });
    limiter.release();
    await turn();
    expect(outcomes[1]?.state).toBe("resolved");
    limiter.release();
    expect(limiter.tryAcquire()).toBe(true);
  });

  test("canceling after the slot was taken has no effect", async () => {
    const limiter = new Limiter(1);
    limiter.tryAcquire();
    const wait = limiter.acquire();
    const outcome = watch(wait.done);
    limiter.release();
    wait.cancel("too late");
    await turn();
    expect(outcome.state).toBe("resolved");
    expect(limiter.tryAcquire()).toBe(false);
    limiter.release();
    expect(limiter.tryAcquire()).toBe(true);
  });

  test("a higher limit admits waiters at once; a lower limit keeps requests in flight", async () => {
    const limiter = new Limiter(1);
    limiter.tryAcquire();
    const waiting = [1, 2, 3].map(() => watch(limiter.acquire().done));
    limiter.limit = 3;
    await turn();
    expect(waiting.map(({ state }) => state)).toEqual(["resolved", "resolved", "pending"]);
    limiter.limit = 1;
    limiter.release();
    limiter.release();
    await turn();
    expect(waiting[2]?.state).toBe("pending");
    limiter.release();
    await turn();
    expect(waiting[2]?.state).toBe("resolved");
  });
});

test("admits waiters in order of arrival with random cancellations and durations", async () => {
  const limiter = new Limiter(4);
  for (let i = 0; i < 4; i++) limiter.tryAcquire();
  const order: number[] = [];
  // Every third request is long-lived, and every fifth wait is canceled.
  const waits = Array.from({ length: 30 }, (_, i) => limiter.acquire(i % 3 === 0));
  waits.forEach(
    ({ done }, i) =>
      void done.then(
        () => order.push(i),
        () => {},
      ),
  );
  for (let i = 0; i < 30; i += 5) waits[i]?.cancel("gone");
  const left = Array.from({ length: 30 }, (_, i) => i).filter((i) => i % 5 !== 0);
  // Released at once, so that a long-lived request always finds a slot.
  for (const i of [-1, ...left]) {
    limiter.release(i >= 0 && i % 3 === 0);
    await turn();
  }
  expect(order).toEqual(left);
  for (let i = 0; i < 3; i++) limiter.release();
  expect([limiter.tryAcquire(true), limiter.tryAcquire(true), limiter.tryAcquire(true)]).toEqual([true, true, false]);
});

test("waiting long-lived requests do not block short requests, and keep their own order", async () => {
  const limiter = new Limiter(2);
  expect([limiter.tryAcquire(true), limiter.tryAcquire()]).toEqual([true, true]);
  const long = [1, 2].map(() => watch(limiter.acquire(true).done));
  const short = [1, 2].map(() => watch(limiter.acquire().done));
  for (const each of short) {
    limiter.release();
    await turn();
    expect(each.state).toBe("resolved");
  }
  limiter.release();
  // A slot is free, but not for long-lived requests.
  expect([limiter.tryAcquire(true), long.map(({ state }) => state)]).toEqual([false, ["pending", "pending"]]);
  limiter.release(true);
  await turn();
  expect(long.map(({ state }) => state)).toEqual(["resolved", "pending"]);
});

describe("requests in flight", () => {
  test.each([1, 3])("never exceed maxConnectionCount %i, whatever fails", async (maxConnectionCount) => {
    let inFlight = 0;
    let most = 0;
    const transport = new RecordingTransport(async ({ signal }, count) => {
      most = Math.max(most, ++inFlight);
      // An aborted request is no longer in flight.
      signal.addEventListener("abort", () => inFlight--);
      await turn();
      if (!signal.aborted) inFlight--;
      if (count % 5 === 0) throw new Error("broken");
      return transportAnswer(count % 3 === 0 ? 503 : 200, { "retry-after": "0" });
    });
    const client = clientOf({ origin: "http://h" }, { transport, maxConnectionCount, retryOn: () => undefined });
    const calls = Array.from({ length: 40 }, (_, i) => {
      const controller = new AbortController();
      if (i % 7 === 0) setImmediate(() => controller.abort("stop"));
      return client.predict("x", { signal: controller.signal }).catch(() => {});
    });
    await Promise.all(calls);
    expect(most).toBe(maxConnectionCount);
    // All slots are free again: requests up to the limit are sent at once.
    const before = transport.requests.length;
    const again = Array.from({ length: maxConnectionCount }, () => client.predict("x").catch(() => {}));
    expect(transport.requests.length - before).toBe(maxConnectionCount);
    await Promise.all(again);
  });

  test("use as many connections on Node", async () => {
    const server = await startServer();
    let free = () => {};
    server.always(answerWhen(new Promise<void>((resolve) => (free = resolve)), 200));
    const client = clientOf(server, { maxConnectionCount: 4 });
    const calls = Array.from({ length: 20 }, () => client.predict("x"));
    await server.seen(4);
    for (let i = 0; i < 5; i++) await turn();
    expect(server.requests).toHaveLength(4);
    free();
    await Promise.all(calls);
    expect([server.requests.length, server.connections]).toEqual([20, 4]);
  });

  test("hold no slot during the delay of a retry", async () => {
    const server = await startServer();
    server.play(answer(503, { "Retry-After": "30" }));
    const client = clientOf(server, { maxConnectionCount: 1 });
    const controller = new AbortController();
    const waiting = watch(client.predict("x", { signal: controller.signal }));
    await server.seen();
    expect((await client.predict("y")).toString()).toBe("ok");
    expect(waiting.state).toBe("pending");
    controller.abort("done");
    await until(() => waiting.state === "rejected");
  });

  test("have a separate limit for each host", async () => {
    const stalled = new RecordingTransport(() => new Promise(() => {}));
    const client = clientOf({ origin: "http://one" }, { transport: stalled, maxConnectionCount: 1 });
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [client.predict("x", { signal }), client.predict("x", { signal })];
    calls.push(client.setEndpoint("http://two").predict("x", { signal }));
    await turn();
    expect(stalled.requests.map(({ origin }) => origin)).toEqual(["http://one", "http://two"]);
    controller.abort("done");
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(calls.map(() => "rejected"));
  });
});
