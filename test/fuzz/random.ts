/** A random number generator (mulberry32), seeded by any text. */
export class Random {
  #state = 0x9e3779b9;

  constructor(seed: string) {
    for (const character of seed)
      this.#state = Math.imul(this.#state ^ (character.codePointAt(0) as number), 0x01000193);
    for (let i = 0; i < 8; i++) this.#bits();
  }

  #bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** Returns an integer from `min` to `max`. */
  between(min: number, max: number): number {
    return min + Math.floor((this.#bits() / 2 ** 32) * (max - min + 1));
  }

  /** Returns true with probability 1 / `n`. */
  once(n: number): boolean {
    return this.between(1, n) === 1;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.between(0, list.length - 1)] as T;
  }

  /** Returns a list of at most `max` results of `make`. */
  list<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.between(0, max) }, make);
  }
}
