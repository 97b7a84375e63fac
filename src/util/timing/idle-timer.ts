/** Parts of the limit after which the timer looks again whether it was late. */
const PARTS = 4;
/** Time for what has arrived to be read before silence is reported. */
const READ_MS = 50;

/**
 * Calls back when nothing was heard for some time. Time in which the event loop was blocked, or the process was stopped, is
 * not silence, since nothing could be heard in it: a late timer counts only as the time that it was armed for. Costs a
 * comparison for each sign of life.
 */
export class IdleTimer {
  readonly #limit: number;
  readonly #onIdle: () => void;
  /** Milliseconds without a sign of life, as of the last look. */
  #silent = 0;
  #heardAt: number | undefined;
  #isHeard = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(milliseconds: number, onIdle: () => void) {
    this.#limit = milliseconds;
    this.#onIdle = onIdle;
  }

  /** Begins to listen. */
  start(): void {
    this.stop();
    this.#silent = 0;
    this.#heardAt = undefined;
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Takes note of a sign of life. */
  touch(): void {
    // Of many in one turn only the first asks for the time.
    if (this.#isHeard) return;
    this.#isHeard = true;
    queueMicrotask(() => {
      this.#isHeard = false;
      this.#heardAt = performance.now();
    });
  }

  #arm(): void {
    const rest = this.#limit - this.#silent;
    // At the limit the event loop gets one more turn: it may have been blocked, and a sign of life may wait to be read.
    const armed = rest > 0 ? Math.ceil(Math.min(rest, this.#limit / PARTS)) : READ_MS;
    this.#timer = setTimeout(() => {
      if (this.#heardAt !== undefined) {
        this.#silent = Math.min(armed, performance.now() - this.#heardAt);
        this.#heardAt = undefined;
      } else if (rest > 0) {
        this.#silent += armed;
      } else {
        return this.#onIdle();
      }
      this.#arm();
    }, armed);
  }
}
