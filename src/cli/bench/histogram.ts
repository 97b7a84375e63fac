/** Ratio of the upper to the lower bound of a bucket. The relative error of a percentile is at most 1 %. */
const GROWTH = 1.01;
/** The smallest value that is distinguished from 0, in milliseconds. */
const MIN_VALUE = 0.001;

/** Counts values in buckets whose width grows with the value, so that memory does not depend on the number of values. */
export class Histogram {
  readonly #buckets = new Map<number, number>();
  #count = 0;
  #sum = 0;
  #squares = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  /** Adds a value in milliseconds. Throws a `RangeError` for a negative value, which would mean a wrong clock. */
  add(value: number): void {
    if (!(value >= 0)) throw new RangeError(`a histogram accepts values of at least 0, not ${value}`);
    const bucket = value < MIN_VALUE ? 0 : 1 + Math.floor(Math.log(value / MIN_VALUE) / Math.log(GROWTH));
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
    this.#count++;
    this.#sum += value;
    this.#squares += value * value;
    this.#min = Math.min(this.#min, value);
    this.#max = Math.max(this.#max, value);
  }

  /** Number of values. */
  get count(): number {
    return this.#count;
  }

  /** The mean of all values, or 0 if there are none. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** The smallest value, or 0 if there are no values. */
  get min(): number {
    return this.#count === 0 ? 0 : this.#min;
  }

  /** The largest value, or 0 if there are no values. */
  get max(): number {
    return this.#max;
  }

  /** The squared coefficient of variation: the variance divided by the square of the mean. */
  get variation(): number {
    const { mean } = this;
    return mean === 0 ? 0 : Math.max(0, this.#squares / this.#count / (mean * mean) - 1);
  }

  /** Returns the value that the given percentage of the values does not exceed, or 0 if there are no values. */
  percentile(percentage: number): number {
    const rank = Math.max(1, Math.ceil((percentage / 100) * this.#count));
    let seen = 0;
    for (const [bucket, count] of this.#sorted()) {
      seen += count;
      if (seen >= rank) return Math.min(this.#max, Math.max(this.min, upperBound(bucket)));
    }
    return 0;
  }

  /**
   * Divides the span from the smallest to the largest value into `size` ranges of equal ratio, and returns the count in
   * each.
   */
  ranges(size: number): { readonly from: number; readonly to: number; readonly count: number }[] {
    if (this.#count === 0) return [];
    const low = Math.max(MIN_VALUE, this.min);
    const ratio = Math.max(GROWTH ** size, this.#max / low) ** (1 / size);
    const ranges = Array.from({ length: size }, (_, i) => ({
      from: low * ratio ** i,
      to: low * ratio ** (i + 1),
      count: 0,
    }));
    for (const [bucket, count] of this.#sorted()) {
      const middle = Math.max(low, upperBound(bucket) / Math.sqrt(GROWTH));
      const index = Math.min(size - 1, Math.max(0, Math.floor(Math.log(middle / low) / Math.log(ratio))));
      (ranges[index] as { count: number }).count += count;
    }
    return ranges;
  }

  #sorted(): [number, number][] {
    return [...this.#buckets].sort(([a], [b]) => a - b);
  }
}

function upperBound(bucket: number): number {
  return bucket === 0 ? 0 : MIN_VALUE * GROWTH ** bucket;
}
