// This clock advances together with fake timers, because test suites often fake `setTimeout` but not
// `performance.now()`.

// The original functions, captured on import. Test suites may later replace the globals with fake timers.
const setTimeoutAtImport = /* @__PURE__ */ (() => globalThis.setTimeout)();
const nowAtImport = /* @__PURE__ */ (() => globalThis.performance?.now)();

/** Time by which fake timers are ahead of `performance.now()`, in milliseconds. */
let ahead = 0;

/**
 * Whether `setTimeout` is faked, for example by vitest, jest, sinon or `node:test`, but `performance.now()` is not.
 * If so, the real clock does not advance with the timers.
 */
export function hasFakeTimers(): boolean {
  const { setTimeout, performance } = globalThis;
  return (setTimeout !== setTimeoutAtImport || "clock" in setTimeout) && performance.now === nowAtImport;
}

/**
 * Returns the current time on a monotonic clock, in milliseconds: `performance.now()` plus the time by which fake
 * timers are ahead.
 */
export function clockNow(): number {
  return performance.now() + ahead;
}

/** The return value of `setTimeout`. Opaque, because its type differs between runtimes. */
export interface TimerHandle {
  readonly isTimerHandle?: never;
}

/** Calls `callback` after `milliseconds`. With fake timers, advances the clock by the same time before the callback. */
export function startTimer(callback: () => void, milliseconds: number): TimerHandle {
  if (!hasFakeTimers()) return setTimeout(callback, milliseconds) as TimerHandle;
  const due = clockNow() + milliseconds;
  return setTimeout(() => {
    ahead += Math.max(0, due - clockNow());
    callback();
  }, milliseconds) as TimerHandle;
}
