/** Calls back when nothing was heard for some time. Costs a comparison for each sign of life, and neither timer nor clock. */
export class SilenceTimer {
  readonly #limit: number;
  readonly #onSilence: () => void;
  #heardAt = 0;
  #isHeard = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(milliseconds: number, onSilence: () => void) {
    this.#limit = milliseconds;
    this.#onSilence = onSilence;
  }

  /** Begins to listen. */
  start(): void {
    this.stop();
    this.#heardAt = performance.now();
    this.#arm(this.#limit);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Takes note of a sign of life. */
  heard(): void {
    // Of many in one turn only the first asks for the time.
    if (this.#isHeard) return;
    this.#isHeard = true;
    queueMicrotask(() => {
      this.#isHeard = false;
      this.#heardAt = performance.now();
    });
  }

  #arm(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      const rest = this.#heardAt + this.#limit - performance.now();
      if (rest > 0) this.#arm(Math.ceil(rest));
      else this.#onSilence();
    }, milliseconds);
  }
}
