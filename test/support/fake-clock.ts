import { afterEach, beforeEach, expect, vi } from "vitest";

/** Runs the tests of the surrounding `describe` with fake timers and the longest random delays. Each must end without a timer. */
export function useFakeClock(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: 0 });
    vi.spyOn(Math, "random").mockReturnValue(1);
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
}

/** Fires all timers, and returns the promise, which they should have settled. */
export async function settled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  await vi.runAllTimersAsync();
  return promise;
}
