import { clockNow, hasFakeTimers, startTimer, type TimerHandle } from "./clock.js";

/**
 * Limits waits that follow one another, such as the reads of a stream, to the same time each. One timer serves many waits: it
 * looks at the clock when it fires, so that a wait reads the clock and does not create a timer.
 */
export class WaitTimer {
  readonly #limit: number;
  readonly #onExpire: () => void;
  #since: number | undefined;
  #timer: TimerHandle | undefined;

  /** `limit` is in milliseconds. */
  constructor(limit: number, onExpire: () => void) {
    this.#limit = limit;
    this.#onExpire = onExpire;
  }

  /** Begins a wait. */
  start(): void {
    this.#since = clockNow();
    this.#timer ??= this.#arm(this.#limit);
  }

  /** Ends a wait. The timer may be left to fire once. */
  stop(): void {
    this.#since = undefined;
    // With fake timers the clock may stand still, so that the timer of one wait cannot serve the next.
    if (hasFakeTimers()) this.end();
  }

  /** Ends the last wait: no timer is left. */
  end(): void {
    this.#since = undefined;
    clearTimeout(this.#timer as never);
    this.#timer = undefined;
  }

  #arm(milliseconds: number): TimerHandle {
    return startTimer(() => {
      this.#timer = undefined;
      if (this.#since === undefined) return;
      const left = this.#limit - (clockNow() - this.#since);
      if (left > 0) this.#timer = this.#arm(left);
      else this.#onExpire();
    }, Math.ceil(milliseconds));
  }
}
