/** Attempts that are remembered. */
const REMEMBERED = 256;
/** Attempts after which it is worked out anew, and before which it is not known. */
const RENEWED = 32;

/** How long attempts took lately: the time within which 95 of 100 were answered. */
export class Latency {
  readonly #times = new Float64Array(REMEMBERED);
  #count = 0;
  #p95: number | undefined;

  /** Milliseconds; undefined until enough is known. */
  get p95(): number | undefined {
    return this.#p95;
  }

  add(milliseconds: number): void {
    this.#times[this.#count % REMEMBERED] = milliseconds;
    this.#count++;
    if (this.#count % RENEWED !== 0) return;
    const sorted = this.#times.slice(0, this.#count).sort();
    this.#p95 = sorted[Math.floor(sorted.length * 0.95)];
  }
}

/** What a service may have of second attempts at first, and at the most. */
const ALLOWANCE = 10;
/** What each call adds. */
const SHARE = 0.1;

/** Keeps second attempts to a tenth of the calls, however slow the service becomes. */
export class HedgeBudget {
  #left: number = ALLOWANCE;

  earn(): void {
    this.#left = Math.min(ALLOWANCE, this.#left + SHARE);
  }

  /** Takes one; false when there is none left. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
