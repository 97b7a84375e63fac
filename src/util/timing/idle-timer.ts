/** Number of checks within the limit. Several checks limit the error caused by a timer that fires late. */
const CHECKS = 4;
/** Grace period before `onIdle` is called, in milliseconds, so that data that has already arrived can be read. */
const READ_MS = 50;

/**
 * Calls `onIdle` after a period without activity. Time during which the event loop was blocked or the process was
 * stopped does not count: if a timer fires late, only its intended delay is added. `touch` costs one comparison.
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
    // Read the clock only once for many calls in one event-loop turn.
    if (this.#isTouched) return;
    this.#isTouched = true;
    queueMicrotask(() => {
      this.#isTouched = false;
      this.#touchedAt = performance.now();
    });
  }

  #arm(): void {
    const rest = this.#limit - this.#idle;
    // At the limit, wait a little longer, so that an event loop that was blocked can read data that has already
    // arrived.
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
