import { getEventListeners } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import { linkSignal, pause, raceAbort, sleep, unlinkSignal, waitFor } from "../../../src/util/timing/abort.js";
import { errorOf } from "../../support/calls.js";

const REASON = new Error("stop");
const never = new Promise<never>(() => {});

function fired(): AbortSignal {
  return AbortSignal.abort(REASON);
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

describe("a signal that fired before the wait", () => {
  test.each<[string, () => Promise<unknown>]>([
    ["raceAbort", () => raceAbort(never, fired())],
    ["raceAbort of work that is done", () => raceAbort(Promise.resolve(1), fired())],
    ["pause", () => pause(2 ** 30, fired())],
    ["waitFor", () => waitFor(sleep(2 ** 30), fired())],
  ])("%s rejects at once with its reason", async (_, wait) => {
    vi.useFakeTimers();
    expect(await errorOf(wait())).toBe(REASON);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("linkSignal aborts its target at once and adds no listener", () => {
    const signal = fired();
    const abort = vi.fn();
    linkSignal(signal, { abort });
    expect(abort).toHaveBeenCalledExactlyOnceWith(REASON);
    expect(listeners(signal)).toBe(0);
  });
});

describe("a signal that fires during the wait", () => {
  test.each<[string, (signal: AbortSignal) => Promise<unknown>]>([
    ["raceAbort", (signal) => raceAbort(never, signal)],
    ["pause", (signal) => pause(2 ** 30, signal)],
    ["waitFor", (signal) => waitFor(sleep(2 ** 30), signal)],
  ])("%s rejects with its reason and leaves no timer and no listener", async (_, wait) => {
    vi.useFakeTimers();
    const controller = new AbortController();
    const error = errorOf(wait(controller.signal));
    controller.abort(REASON);
    expect(await error).toBe(REASON);
    expect(vi.getTimerCount()).toBe(0);
    expect(listeners(controller.signal)).toBe(0);
  });
});

describe("a signal that does not fire", () => {
  test("raceAbort settles as the work does and leaves no listener", async () => {
    const { signal } = new AbortController();
    expect(await raceAbort(Promise.resolve("done"), signal)).toBe("done");
    expect(await errorOf(raceAbort(Promise.reject(REASON), signal))).toBe(REASON);
    expect(listeners(signal)).toBe(0);
  });

  test("all targets share one listener, which is removed with the last of them", () => {
    const controller = new AbortController();
    const targets = Array.from({ length: 20 }, () => ({ abort: vi.fn() }));
    for (const target of targets) linkSignal(controller.signal, target);
    expect(listeners(controller.signal)).toBe(1);
    const [first, ...rest] = targets;
    unlinkSignal(controller.signal, first as (typeof targets)[0]);
    controller.abort(REASON);
    expect(first?.abort).not.toHaveBeenCalled();
    for (const { abort } of rest) expect(abort).toHaveBeenCalledExactlyOnceWith(REASON);
    for (const target of rest) unlinkSignal(controller.signal, target);
    expect(listeners(controller.signal)).toBe(0);
  });
});

afterEach(() => {
  vi.useRealTimers();
});
