/** Number of checks within the limit. Each check detects whether the timer itself was late. */
const CHECKS = 4;
/** Time to read data that has arrived before `onIdle` is called. */
const READ_MS = 50;

/**
 * Calls `onIdle` after a period without activity. Time in which the event loop was blocked or the process was
 * stopped does not count: a late timer counts only its own delay. `touch` costs one comparison.
 */
export class IdleTimer {
  readonly #limit: number;
  readonly #onIdle: () => void;
  /** Milliseconds without activity at the last check. */
  #idle = 0;
  #touchedAt: number | undefined;
  #isTouched = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onIdle` is called after `milliseconds` without activity. */
  constructor(milliseconds: number, onIdle: () => void) {
    this.#limit = milliseconds;
    this.#onIdle = onIdle;
  }

  /** Starts the timer, or restarts it. */
  start(): void {
    this.stop();
    this.#idle = 0;
    this.#touchedAt = undefined;
    this.#arm();
  }

  /** Stops the timer. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Records activity. */
  touch(): void {
    // Reads the clock once for many calls in one turn.
    if (this.#isTouched) return;
    this.#isTouched = true;
    queueMicrotask(() => {
      this.#isTouched = false;
      this.#touchedAt = performance.now();
    });
  }

  #arm(): void {
    const rest = this.#limit - this.#idle;
    // At the limit, one more delay lets a blocked event loop read the data that has already arrived.
    const delay = rest > 0 ? Math.ceil(Math.min(rest, this.#limit / CHECKS)) : READ_MS;
    this.#timer = setTimeout(() => {
      if (this.#touchedAt !== undefined) {
        this.#idle = Math.min(delay, performance.now() - this.#touchedAt);
        this.#touchedAt = undefined;
      } else if (rest > 0) {
        this.#idle += delay;
      } else {
        return this.#onIdle();
      }
      this.#arm();
    }, delay);
  }
}
