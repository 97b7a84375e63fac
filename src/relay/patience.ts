/** A caller that makes this much progress has the whole time again. */
const PROGRESS_BYTES = 1024;

/**
 * Limits how long a relay waits for its caller, so that callers that stall or drip do not occupy connections to the service.
 * Only the time between `start` and `stop` counts: a service that is slow costs the caller nothing.
 */
export class Patience {
  readonly #limit: number;
  readonly #onExpire: () => void;
  #waited = 0;
  #progress = 0;
  #since = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `limit` is in milliseconds, and may be `Infinity`. */
  constructor(limit: number, onExpire: () => void) {
    this.#limit = limit;
    this.#onExpire = onExpire;
  }

  /** From now on it is the caller's turn. */
  start(): void {
    if (this.#limit === Number.POSITIVE_INFINITY || this.#timer !== undefined) return;
    this.#since = performance.now();
    const expire = () => {
      // After a long turn of the event loop, what the caller did in the meantime is read first.
      this.#timer = setTimeout(this.#onExpire, 0);
    };
    this.#timer = setTimeout(expire, Math.max(0, this.#limit - this.#waited));
  }

  /** Ends the caller's turn, in which it sent or received `bytes`. */
  stop(bytes = 0): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waited += performance.now() - this.#since;
    this.#progress += bytes;
    if (this.#progress < PROGRESS_BYTES) return;
    this.#waited = 0;
    this.#progress = 0;
  }
}
