/** Calls back when nothing was heard for some time. Costs a comparison for each sign of life, and not a timer. */
export class SilenceTimer {
  readonly #limit: number;
  readonly #onSilence: () => void;
  #heardAt = 0;
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
    this.#heardAt = performance.now();
  }

  #arm(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      const rest = this.#heardAt + this.#limit - performance.now();
      if (rest > 0) this.#arm(Math.ceil(rest));
      else this.#onSilence();
    }, milliseconds);
  }
}
