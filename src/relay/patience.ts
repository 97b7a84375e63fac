/** A caller that makes this much progress has the whole time again. */
const PROGRESS_BYTES = 1024;

/**
 * Limits how long a relay waits for its caller, so that callers that stall or drip do not occupy connections to the service.
 * Only the time between `start` and `stop` counts: a service that is slow costs the caller nothing. One timer serves all turns
 * of the caller: it looks at the clock when it fires, so that a turn reads the clock and does not create a timer.
 */
export class Patience {
  readonly #limit: number;
  readonly #onExpire: () => void;
  #waited = 0;
  #progress = 0;
  /** When the caller's turn began; undefined when it is not the caller's turn. */
  #since: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `limit` is in milliseconds, and may be `Infinity`. */
  constructor(limit: number, onExpire: () => void) {
    this.#limit = limit;
    this.#onExpire = onExpire;
  }

  /** From now on it is the caller's turn. */
  start(): void {
    if (this.#limit === Number.POSITIVE_INFINITY || this.#since !== undefined) return;
    this.#since = performance.now();
    this.#timer ??= setTimeout(this.#look, Math.max(0, this.#limit - this.#waited));
  }

  /** Ends the caller's turn, in which it sent or received `bytes`. The timer may be left to fire once. */
  stop(bytes = 0): void {
    if (this.#since === undefined) return;
    this.#waited += performance.now() - this.#since;
    this.#since = undefined;
    this.#progress += bytes;
    if (this.#progress < PROGRESS_BYTES) return;
    this.#waited = 0;
    this.#progress = 0;
  }

  /** Ends the last turn: no timer is left. */
  end(): void {
    this.#since = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const since = this.#since;
    if (since === undefined) return;
    const left = this.#limit - this.#waited - (performance.now() - since);
    if (left > 0) {
      this.#timer = setTimeout(this.#look, Math.ceil(left));
      return;
    }
    // After a long turn of the event loop, what the caller did in the meantime is read first.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#since === since) this.#onExpire();
      else if (this.#since !== undefined) this.#look();
    }, 0);
  };
}
