import { clockNow, hasFakeTimers, startTimer, type TimerHandle } from "./clock.js";

/**
 * Limits the duration of consecutive waits, such as the reads of a stream. Only the time between `start` and `stop`
 * counts. A single timer serves many waits: it reads the clock when it fires, so that starting a wait does not create one.
 */
export class WaitTimer {
  readonly #limit: number;
  readonly #onExpire: () => void;
  readonly #progressBytes: number;
  /** Duration of the previous waits since the last progress. */
  #waited = 0;
  #progress = 0;
  /** Time at which the current wait began; undefined between waits. */
  #since: number | undefined;
  #timer: TimerHandle | undefined;

  /**
   * `onExpire` is called when the waits since the last progress take longer than `limit` milliseconds. `limit` may be
   * `Infinity`. Progress is made by waits that transfer `progressBytes` bytes in total. By default, each wait that
   * ends is progress.
   */
  constructor(limit: number, onExpire: () => void, progressBytes = 0) {
    this.#limit = limit;
    this.#onExpire = onExpire;
    this.#progressBytes = progressBytes;
  }

  /** Starts a wait, unless a wait is already in progress. */
  start(): void {
    if (this.#limit === Number.POSITIVE_INFINITY || this.#since !== undefined) return;
    this.#since = clockNow();
    this.#timer ??= startTimer(this.#check, Math.ceil(Math.max(0, this.#limit - this.#waited)));
  }

  /** Ends a wait in which `bytes` bytes were transferred. The timer may still fire once, which has no effect. */
  stop(bytes = 0): void {
    const since = this.#since;
    if (since === undefined) return;
    this.#since = undefined;
    this.#progress += bytes;
    if (this.#progress >= this.#progressBytes) {
      this.#waited = 0;
      this.#progress = 0;
    } else {
      this.#waited += clockNow() - since;
    }
    // With fake timers, the clock may not advance, so one wait's timer cannot serve the next wait.
    if (hasFakeTimers()) this.end();
  }

  /** Ends the last wait and clears the timer. */
  end(): void {
    this.#since = undefined;
    clearTimeout(this.#timer as never);
    this.#timer = undefined;
  }

  readonly #check = (): void => {
    this.#timer = undefined;
    const since = this.#since;
    if (since === undefined) return;
    const left = this.#limit - this.#waited - (clockNow() - since);
    if (left > 0) this.#timer = startTimer(this.#check, Math.ceil(left));
    else if (hasFakeTimers()) this.#onExpire();
    else this.#timer = startTimer(() => this.#expire(since), 0);
  };

  /**
   * Expires the wait that began at `since`. Called one event-loop turn after the limit: if the event loop was blocked,
   * data that arrived in the meantime is read first.
   */
  #expire(since: number): void {
    this.#timer = undefined;
    if (this.#since === since) this.#onExpire();
    else this.#check();
  }
}
