/** Number of deleted entries above which the arrays are compacted. */
const MAX_DELETED = 1024;

/**
 * A map for indexes that are mostly added and deleted in ascending order. Faster than a `Map`, with which a watch spent
 * a sixth of its time on hashing indexes.
 */
export class AscendingIndexes<T extends object> {
  /** Number of entries. */
  size = 0;
  /** The maximum of all indexes that were ever added. */
  max = -1n;
  /** The indexes, sorted. Positions before `#first` contain deleted entries. */
  #indexes: bigint[] = [];
  /** The values. Undefined for deleted entries. */
  #values: (T | undefined)[] = [];
  #first = 0;

  /** Returns the value of an index, or undefined if the map does not contain the index. */
  get(index: bigint): T | undefined {
    const at = this.#placeOf(index);
    return this.#indexes[at] === index ? this.#values[at] : undefined;
  }

  /** Adds an entry. Its index must not be in the map. */
  add(index: bigint, value: T): void {
    this.size++;
    if (index > this.max) {
      this.max = index;
      this.#indexes.push(index);
      this.#values.push(value);
      return;
    }
    const at = this.#placeOf(index);
    const old = this.#indexes[at] === index ? 1 : 0;
    this.#indexes.splice(at, old, index);
    this.#values.splice(at, old, value);
  }

  /** Deletes an entry. Returns its value, or undefined if the map does not contain the index. */
  delete(index: bigint): T | undefined {
    const at = this.#placeOf(index);
    const value = this.#indexes[at] === index ? this.#values[at] : undefined;
    if (value === undefined) return undefined;
    this.#values[at] = undefined;
    this.size--;
    while (this.#first < this.#values.length && this.#values[this.#first] === undefined) this.#first++;
    if (this.#indexes.length > 2 * this.size + MAX_DELETED) {
      this.#indexes = this.#indexes.filter((_, i) => this.#values[i] !== undefined);
      this.#values = this.#values.filter((each) => each !== undefined);
      this.#first = 0;
    }
    return value;
  }

  /** Returns the values in index order. */
  values(): T[] {
    return this.#values.filter((each) => each !== undefined);
  }

  /** Returns the position of an index, or the position at which it would be inserted. */
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
