/** As many indexes may be kept that have gone, before they are cleared away. */
const MOST_GONE = 1024;

/**
 * A set of indexes that mostly come, and mostly go, in ascending order. A `Set` hashes each of them: that was a sixth of all
 * the time of a watch.
 */
export class AscendingIndexes {
  size = 0;
  /** The greatest that was ever in it. */
  greatest = -1n;
  /** In order from `#first` on, where the first is that is still in it. */
  #indexes: bigint[] = [];
  #isHere: boolean[] = [];
  #first = 0;

  has(index: bigint): boolean {
    const at = this.#placeOf(index);
    return this.#indexes[at] === index && (this.#isHere[at] as boolean);
  }

  /** Adds one that is not in it. */
  add(index: bigint): void {
    this.size++;
    if (index > this.greatest) {
      this.greatest = index;
      this.#indexes.push(index);
      this.#isHere.push(true);
      return;
    }
    const at = this.#placeOf(index);
    const old = this.#indexes[at] === index ? 1 : 0;
    this.#indexes.splice(at, old, index);
    this.#isHere.splice(at, old, true);
  }

  /** Takes one away; whether it was there. */
  delete(index: bigint): boolean {
    if (!this.has(index)) return false;
    this.#isHere[this.#placeOf(index)] = false;
    this.size--;
    while (this.#isHere[this.#first] === false) this.#first++;
    if (this.#indexes.length > 2 * this.size + MOST_GONE) {
      this.#indexes = this.#indexes.filter((_, i) => this.#isHere[i]);
      this.#isHere = this.#isHere.filter(Boolean);
      this.#first = 0;
    }
    return true;
  }

  /** Where it is, or belongs. */
  #placeOf(index: bigint): number {
    let low = this.#first;
    if (this.#indexes[low] === index) return low;
    let high = this.#indexes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#indexes[middle] as bigint) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
