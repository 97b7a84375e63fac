/**
 * Weighted round robin in the order of the official Python SDK (weighted_round_robin.py). Each pass over the list
 * selects the entries whose weight is at least the threshold. After each pass, the threshold is reduced by the GCD of
 * all weights. When it reaches zero, it is reset to the maximum weight.
 */
export class WeightedRoundRobin {
  readonly #weights: readonly number[];
  /** The weights, with 0 for excluded entries. */
  readonly #active: number[];
  readonly #step: number;
  #max = 0;
  #threshold = 0;
  #next = 0;

  /** Entries with a weight of 0 or less are never selected. */
  constructor(weights: readonly number[]) {
    this.#weights = toIntegers(weights);
    this.#active = [...this.#weights];
    this.#max = maxOf(this.#active);
    this.#step = this.#weights.reduce(greatestCommonDivisor, 0);
  }

  /** Returns the position of the next entry, or undefined if no entry can be selected. */
  next(): number | undefined {
    if (this.#max === 0) return undefined;
    let at = this.#threshold > 0 ? this.#find(this.#next) : -1;
    if (at === -1) {
      // The threshold can exceed the maximum after the heaviest entries have been excluded.
      this.#threshold = Math.min(this.#threshold - this.#step, this.#max);
      if (this.#threshold <= 0) this.#threshold = this.#max;
      at = this.#find(0);
    }
    this.#next = at + 1;
    return at;
  }

  /** Excludes the entry at a position, or includes it again. */
  setExcluded(at: number, isExcluded: boolean): void {
    this.#active[at] = isExcluded ? 0 : (this.#weights[at] as number);
    this.#max = maxOf(this.#active);
  }

  /** Returns the position of the first entry at or after `start` that reaches the threshold, or -1 if there is none. */
  #find(start: number): number {
    for (let at = start; at < this.#active.length; at++) {
      if ((this.#active[at] as number) >= this.#threshold) return at;
    }
    return -1;
  }
}

/** Maximum weight after fractional or very large weights are scaled to integers. */
const MAX_SCALED_WEIGHT = 1000;

/**
 * Returns the weights as integers. If any weight is a fraction or above 2^53, all weights are scaled proportionally.
 */
function toIntegers(weights: readonly number[]): readonly number[] {
  const finite = weights.map((weight) => (weight > 0 ? Math.min(weight, Number.MAX_VALUE) : 0));
  if (finite.every(Number.isSafeInteger)) return finite;
  const max = maxOf(finite);
  return finite.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.round((weight / max) * MAX_SCALED_WEIGHT))));
}

function maxOf(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => Math.max(a, b), 0);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
