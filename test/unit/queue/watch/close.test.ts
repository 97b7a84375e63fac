import { getEventListeners } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EasDecodeError } from "../../../../src/index.js";
import { TransportError } from "../../../../src/platform/contract.js";
import { watch as look, until } from "../../../support/calls.js";
import {
  clientFor,
  eventually,
  fakeClient,
  frameBytes,
  openQueue,
  SOON,
  settle,
  Told,
  TRANSPORTS,
  watchWith,
} from "../../../support/queue-watch.js";

// These tests end a watch by close(), by an abort, and by a break out of the iteration.

afterEach(() => void vi.useRealTimers());

const tick = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;

describe.each(TRANSPORTS)("a watch over %s", (transport) => {
  test("ends immediately with many pending next() calls, and leaves no timer, socket or listener", async () => {
    const { client, emulator, input } = await openQueue();
    const queue = client();
    const before = { timers: timers(), sockets: sockets() };
    const told = new Told();
    const { signal } = new AbortController();
    const watcher = queue.watch(0, 5, { transport, signal, onStatus: told.onStatus });
    const waiting = [watcher.next(), watcher.next(), watcher.next()];
    await eventually(() => expect(told.count("open")).toBe(1));
    await settle();
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    const start = performance.now();
    const closing = watcher.close();
    expect(await Promise.all(waiting)).toEqual(Array(3).fill({ done: true, value: undefined }));
    await closing;
    await watcher.close();
    await watcher.closed;
    expect(performance.now() - start).toBeLessThan(2_500);
    expect(await watcher.next()).toEqual({ done: true, value: undefined });
    expect(watcher.isClosed).toBe(true);
    expect(told.statuses.at(-1)).toEqual({ state: "closed", error: undefined });
    expect(told.states).toEqual(["open", "closed"]);
    expect(getEventListeners(signal, "abort")).toEqual([]);
    await queue.close();
    // until() creates no timer, which would be counted here.
    await until(() => timers() <= before.timers && sockets() <= before.sockets);
    // The server has closed the connection.
    await eventually(() => expect([...input.pending.keys()]).toEqual([]));
    expect(emulator.cutConnections()).toBe(0);
  });

  test("closes on a break out of the iteration, and leaves uncommitted items to other consumers", async () => {
    const { client, put, input } = await openQueue();
    put(3);
    const watcher = client({ uid: "first" }).watch(0, 3, { transport });
    for await (const frame of watcher) {
      expect(frame.index).toBe(1n);
      break;
    }
    expect(watcher.isClosed).toBe(true);
    await watcher.closed;
    const { indexes, frames } = watchWith(client({ uid: "second" }), 0, 3, { transport });
    await eventually(() => expect(indexes()).toEqual([1n, 2n, 3n]));
    await Promise.all(frames.map((frame) => frame.commit()));
    expect(input.length).toBe(0);
  });

  test("rejects the iteration once with the reason of an abort", async () => {
    const { client } = await openQueue();
    const abort = new AbortController();
    const reason = { mine: true };
    const told = new Told();
    const watcher = client().watch(0, 3, { transport, signal: abort.signal, onStatus: told.onStatus });
    const waiting = [watcher.next(), watcher.next()];
    await eventually(() => expect(told.count("open")).toBe(1));
    abort.abort(reason);
    await expect(waiting[0]).rejects.toBe(reason);
    expect(await waiting[1]).toEqual({ done: true, value: undefined });
    await watcher.closed;
    expect(told.statuses.at(-1)).toEqual({ state: "closed", error: reason });
    expect(getEventListeners(abort.signal, "abort")).toEqual([]);
    const late = client({ uid: "late" }).watch(0, 3, { transport, signal: abort.signal });
    await expect(late.next()).rejects.toBe(reason);
    await late.closed;
  });

  test("can be closed before it is connected, and while the token is pending", async () => {
    const { endpoint } = await openQueue();
    for (const token of ["x", () => new Promise<string>(() => {})]) {
      for (const index of [0, -1]) {
        const told = new Told();
        const client = clientFor(endpoint, { token });
        const watcher = client.watch(index, 1, { transport, onStatus: told.onStatus });
        const next = watcher.next();
        if (typeof token === "function") await settle();
        await watcher.close();
        expect(await next).toEqual({ done: true, value: undefined });
        expect(told.states).toEqual(["closed"]);
      }
    }
  });

  test("can be closed while it waits to reconnect", async () => {
    const { client, cut } = await openQueue();
    const told = new Told();
    const reconnect = { minDelay: 60_000, maxDelay: 60_000 };
    const watcher = client().watch(0, 1, { transport, reconnect, onStatus: told.onStatus });
    await eventually(() => expect(told.count("open")).toBe(1));
    await settle();
    await cut();
    await eventually(() => expect(told.count("reconnecting")).toBe(1));
    const start = performance.now();
    await watcher.close();
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(told.states).toEqual(["open", "reconnecting", "closed"]);
  });
});

test("closes the WebSocket with code 1000", async () => {
  vi.useFakeTimers();
  const { client, dialer } = fakeClient();
  const watcher = client.watch(0, 5);
  await tick();
  dialer.last.push(frameBytes(1));
  await watcher.close();
  expect(dialer.last.controls).toEqual(["resume", "close 1000"]);
  // Frames that were received before the close are not delivered.
  expect(await watcher.next()).toEqual({ done: true, value: undefined });
  expect(vi.getTimerCount()).toBe(0);
});

test("terminates the WebSocket after two seconds when the server does not answer the close", async () => {
  vi.useFakeTimers();
  const { client, dialer } = fakeClient();
  const watcher = client.watch(0, 5);
  const next = watcher.next();
  await tick();
  dialer.last.answersClose = false;
  const closed = look(watcher.close());
  expect(await next).toEqual({ done: true, value: undefined });
  dialer.last.push(frameBytes(1));
  await tick(1999);
  expect(closed.state).toBe("pending");
  await tick(1);
  expect(closed.state).toBe("resolved");
  expect(dialer.last.controls.at(-1)).toBe("terminate");
  expect(vi.getTimerCount()).toBe(0);
});

test("can be closed during the first dial and during a redial", async () => {
  vi.useFakeTimers();
  for (const again of [false, true]) {
    const { client, dialer } = fakeClient();
    const told = new Told();
    if (!again) dialer.instead = () => new Promise(() => {});
    const watcher = client.watch(0, 5, { onStatus: told.onStatus, reconnect: SOON });
    await tick();
    if (again) {
      dialer.instead = () => new Promise(() => {});
      dialer.last.connection.terminate();
      await tick(30);
      expect(dialer.dials).toHaveLength(2);
    }
    await watcher.close();
    expect(dialer.dials.at(-1)?.signal.aborted).toBe(true);
    expect(told.states).toEqual(again ? ["open", "reconnecting", "closed"] : ["closed"]);
    expect(vi.getTimerCount()).toBe(0);
    expect(getEventListeners(dialer.dials.at(-1)?.signal as AbortSignal, "abort")).toEqual([]);
  }
});

test("closes a socket that opens after the watcher was closed", async () => {
  vi.useFakeTimers();
  const { client, dialer } = fakeClient();
  const told = new Told();
  const watcher = client.watch(0, 5, { onStatus: told.onStatus });
  await Promise.resolve();
  const closed = watcher.close();
  await tick(3000);
  await closed;
  for (const socket of dialer.sockets) expect(socket.controls.at(-1)).toBe("close 1000");
  expect(told.states).toEqual(["closed"]);
  expect(vi.getTimerCount()).toBe(0);
});

test("delivers no buffered frame after close() when the watch had failed", async () => {
  vi.useFakeTimers();
  const { client, dialer } = fakeClient();
  const watcher = client.watch(0, 5, { reconnect: false });
  await tick();
  dialer.last.push(frameBytes(1), frameBytes(2), Uint8Array.of(0x1a, 0x7f, 1));
  dialer.last.connection.terminate();
  await watcher.closed;
  expect((await watcher.next()).value?.index).toBe(1n);
  await watcher.close();
  await expect(watcher.next()).rejects.toMatchObject({ code: "ERR_EAS_QUEUE_CLOSED", closeCode: 1006 });
  expect(await watcher.next()).toEqual({ done: true, value: undefined });
});

test("rejects one of several pending next() calls when the watch fails", async () => {
  vi.useFakeTimers();
  const { client, transport } = fakeClient({ maxResponseBytes: 10 });
  const watcher = client.watch(0, 5, { transport: "http" });
  const waiting = [watcher.next(), watcher.next()];
  const first = waiting[0]?.catch((reason) => reason);
  await tick();
  transport.last.push(new Uint8Array(80).fill(9));
  await tick();
  expect(await first).toBeInstanceOf(EasDecodeError);
  expect(await waiting[1]).toEqual({ done: true, value: undefined });
});

test("leaves no listener and no timer after hundreds of reconnects", async () => {
  vi.useFakeTimers();
  const { client, dialer } = fakeClient();
  const { signal } = new AbortController();
  const told = new Told();
  const watcher = client.watch(0, 5, { signal, onStatus: told.onStatus, reconnect: { minDelay: 1, maxDelay: 1 } });
  for (let i = 0; i < 300; i++) {
    await tick(2);
    if (i % 3 === 0) {
      dialer.instead = async () => {
        throw new TransportError("no", { sent: "no" });
      };
    } else dialer.instead = undefined;
    dialer.last.connection.terminate();
  }
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  expect(vi.getTimerCount()).toBeLessThan(5);
  await watcher.close();
  expect(vi.getTimerCount()).toBe(0);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});
