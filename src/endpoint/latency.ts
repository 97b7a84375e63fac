/** Number of recent attempts whose response times are kept. */
const MAX_SAMPLES = 256;
/**
 * Number of attempts between computations of the percentile. The percentile is unknown before the first computation.
 */
const SAMPLES_PER_UPDATE = 32;

/** Computes the 95th percentile of recent response times. */
export class Latency {
  readonly #times = new Float64Array(MAX_SAMPLES);
  #count = 0;
  #p95: number | undefined;

  /** The 95th percentile in milliseconds. Undefined before the 32nd attempt. */
  get p95(): number | undefined {
    return this.#p95;
  }

  /** Records an attempt's response time. */
  add(milliseconds: number): void {
    this.#times[this.#count % MAX_SAMPLES] = milliseconds;
    this.#count++;
    if (this.#count % SAMPLES_PER_UPDATE !== 0) return;
    const sorted = this.#times.slice(0, this.#count).sort();
    this.#p95 = sorted[Math.floor(sorted.length * 0.95)];
  }
}

/** Initial and maximum number of hedges in a service's budget. */
const MAX_HEDGES = 10;
/** Number of hedges that each call adds to the budget. */
const HEDGES_PER_CALL = 0.1;

/** Limits hedges to a tenth of all calls so that a slow service does not receive twice the load. */
export class HedgeBudget {
  #left: number = MAX_HEDGES;

  /** Adds the share of a hedge that each call contributes. */
  earn(): void {
    this.#left = Math.min(MAX_HEDGES, this.#left + HEDGES_PER_CALL);
  }

  /** Takes one hedge. Returns false if the budget is empty. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
