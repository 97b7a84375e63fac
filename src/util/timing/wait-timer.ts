import { clockNow, hasFakeTimers, startTimer, type TimerHandle } from "./clock.js";

/**
 * Limits the duration of consecutive waits, such as the reads of a stream. All waits have the same limit. One timer
 * serves many waits. It compares the clock when it fires, so that starting a wait does not create a timer.
 */
export class WaitTimer {
  readonly #limit: number;
  readonly #onExpire: () => void;
  #since: number | undefined;
  #timer: TimerHandle | undefined;

  /** `onExpire` is called when a wait takes longer than `limit` milliseconds. */
  constructor(limit: number, onExpire: () => void) {
    this.#limit = limit;
    this.#onExpire = onExpire;
  }

  /** Starts a wait. */
  start(): void {
    this.#since = clockNow();
    this.#timer ??= this.#arm(this.#limit);
  }

  /** Ends a wait. The timer may still fire once, without effect. */
  stop(): void {
    this.#since = undefined;
    // With fake timers, the clock may not advance, so the timer of one wait cannot serve the next wait.
    if (hasFakeTimers()) this.end();
  }

  /** Ends the last wait and clears the timer. */
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
