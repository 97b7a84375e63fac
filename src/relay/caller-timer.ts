/** Number of bytes after which the caller's time limit restarts. */
const PROGRESS_BYTES = 1024;

/**
 * Limits how long a relay waits for its caller, so that slow callers do not occupy connections to the service. Only
 * the time between `start` and `stop` counts. The time in which the service is slow does not count. One timer serves
 * all waits: it reads the clock when it fires, so no wait has to create a timer.
 */
export class CallerTimer {
  readonly #limit: number;
  readonly #onExpire: () => void;
  #waited = 0;
  #progress = 0;
  /** Time at which the current wait began; undefined between waits. */
  #since: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `limit` is in milliseconds, and may be `Infinity`. */
  constructor(limit: number, onExpire: () => void) {
    this.#limit = limit;
    this.#onExpire = onExpire;
  }

  /** Begins a wait, unless a wait is already in progress. */
  start(): void {
    if (this.#limit === Number.POSITIVE_INFINITY || this.#since !== undefined) return;
    this.#since = performance.now();
    this.#timer ??= setTimeout(this.#check, Math.max(0, this.#limit - this.#waited));
  }

  /** Ends a wait in which the caller sent or received `bytes` bytes. The timer may still fire once. */
  stop(bytes = 0): void {
    if (this.#since === undefined) return;
    this.#waited += performance.now() - this.#since;
    this.#since = undefined;
    this.#progress += bytes;
    if (this.#progress < PROGRESS_BYTES) return;
    this.#waited = 0;
    this.#progress = 0;
  }

  /** Ends the last wait and clears the timer. */
  end(): void {
    this.#since = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #check = (): void => {
    this.#timer = undefined;
    const since = this.#since;
    if (since === undefined) return;
    const left = this.#limit - this.#waited - (performance.now() - since);
    if (left > 0) {
      this.#timer = setTimeout(this.#check, Math.ceil(left));
      return;
    }
    // If the event loop was blocked, data may have arrived in the meantime. That data is read before the wait expires.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#since === since) this.#onExpire();
      else if (this.#since !== undefined) this.#check();
    }, 0);
  };
}
