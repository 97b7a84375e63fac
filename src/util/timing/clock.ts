// Test suites often fake `setTimeout` and leave `performance.now()` alone. Time that only timers know of must still count.

// Functions at import. Fake timers replace them later.
const setTimeoutAtImport = /* @__PURE__ */ (() => globalThis.setTimeout)();
const nowAtImport = /* @__PURE__ */ (() => globalThis.performance?.now)();

/** Milliseconds by which fake timers are ahead of `performance.now()`. */
let ahead = 0;

/**
 * Whether `setTimeout` is faked, as by vitest, jest, sinon or `node:test`, and `performance.now()` is not. The clock then tells
 * nothing of the time that the timers have passed.
 */
export function hasFakeTimers(): boolean {
  const { setTimeout, performance } = globalThis;
  return (setTimeout !== setTimeoutAtImport || "clock" in setTimeout) && performance.now === nowAtImport;
}

/** Milliseconds of a monotonic clock: `performance.now()`, and time that has passed only for fake timers. */
export function clockNow(): number {
  return performance.now() + ahead;
}

/** What `setTimeout` returns. Its type differs between runtimes, and not every consumer's compiler knows it. */
export interface TimerHandle {
  readonly isTimerHandle?: never;
}

/** Calls back after `milliseconds`. With fake timers, the clock has advanced by as much then. */
export function startTimer(callback: () => void, milliseconds: number): TimerHandle {
  if (!hasFakeTimers()) return setTimeout(callback, milliseconds) as TimerHandle;
  const due = clockNow() + milliseconds;
  return setTimeout(() => {
    ahead += Math.max(0, due - clockNow());
    callback();
  }, milliseconds) as TimerHandle;
}
