/**
 * Weighted round robin in the very order of the official Python SDK (weighted_round_robin.py): the list is gone through again
 * and again with a threshold that falls from the greatest weight by the greatest common divisor, and each that weighs as
 * much has its turn. A tree of maxima finds the next one, where the official SDK tries one after another.
 */
export class WeightedRoundRobin {
  /** A node's children are at twice its place; the leaves are the weights. */
  readonly #maxima: Float64Array;
  readonly #counts: readonly number[];
  readonly #leaves: number;
  readonly #step: number;
  #threshold = 0;
  #next = 0;

  /** What weighs nothing, or less, never has its turn. */
  constructor(weights: readonly number[]) {
    const counts = inIntegers(weights);
    this.#counts = counts;
    this.#leaves = 2 ** Math.ceil(Math.log2(Math.max(1, counts.length)));
    this.#maxima = new Float64Array(2 * this.#leaves);
    this.#maxima.set(counts, this.#leaves);
    for (let node = this.#leaves - 1; node > 0; node--) this.#compare(node);
    this.#step = counts.reduce(greatestCommonDivisor, 0);
  }

  /** The place in the list of whose turn it is; undefined when nobody has one. */
  next(): number | undefined {
    const most = this.#weight(1);
    if (most === 0) return undefined;
    let at = this.#threshold > 0 ? this.#find(this.#next) : undefined;
    if (at === undefined) {
      // Whoever weighed more than all others may have been left out since.
      this.#threshold = Math.min(this.#threshold - this.#step, most);
      if (this.#threshold <= 0) this.#threshold = most;
      at = this.#find(0) as number;
    }
    this.#next = at + 1;
    return at;
  }

  /** Leaves out a place of the list until it is taken in again. */
  leaveOut(at: number, isOut: boolean): void {
    let node = this.#leaves + at;
    this.#maxima[node] = isOut ? 0 : (this.#counts[at] as number);
    for (node >>= 1; node > 0; node >>= 1) this.#compare(node);
  }

  #compare(node: number): void {
    this.#maxima[node] = Math.max(this.#weight(2 * node), this.#weight(2 * node + 1));
  }

  #weight(node: number): number {
    return this.#maxima[node] as number;
  }

  /** The first from `start` on that weighs as much as the threshold. */
  #find(start: number): number | undefined {
    if (start >= this.#leaves) return undefined;
    let node = start + this.#leaves;
    while (this.#weight(node) < this.#threshold) {
      // Up past all whose right side was looked at, then to what is right of them.
      while (node % 2 === 1) node = (node - 1) / 2;
      if (node === 0) return undefined;
      node++;
    }
    while (node < this.#leaves) {
      node *= 2;
      if (this.#weight(node) < this.#threshold) node++;
    }
    return node - this.#leaves;
  }
}

/** Steps between nothing and the greatest weight, where weights are no integers. */
const STEPS = 1000;

/** The weights as integers: as they are, or in proportion where they are fractions, or too large to count with. */
function inIntegers(weights: readonly number[]): readonly number[] {
  const counts = weights.map((weight) => (weight > 0 ? Math.min(weight, Number.MAX_VALUE) : 0));
  if (counts.every(Number.isSafeInteger)) return counts;
  const most = counts.reduce((a, b) => Math.max(a, b), 0);
  return counts.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.round((weight / most) * STEPS))));
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
