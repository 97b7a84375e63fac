/**
 * Cuts text into tokens: a Han character, a word or a number with the space before it, or any other single character. Joined
 * they are the text again.
 */
export function tokenize(text: string): string[] {
  return text.match(/\p{Script=Han}| ?[\p{Script=Latin}\p{M}'’]+| ?\p{N}+|[\s\S]/gu) ?? [];
}

/** What is taken off every count and given to the shorter history; chosen on lines that were held out. */
const DISCOUNT = 0.75;

/**
 * A language model: how likely each token is to come next, counted in a text after histories of every length below `order`
 * and interpolated by the method of Kneser and Ney: a shorter history counts after how many different tokens it was seen.
 */
export class NgramModel {
  /** The tokens that it knows, in the order in which the text has them. */
  readonly vocabulary: readonly string[];
  readonly #order: number;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #text: Uint32Array;
  /** By token: the places in the text that come after it. */
  readonly #places: readonly number[][];
  /** What is likely without a history. */
  readonly #first: Float64Array;

  /** Trains on the tokens of a text; `order` is the length of the longest history and one. */
  constructor(tokens: readonly string[], order: number) {
    const ids = new Map<string, number>();
    for (const token of tokens) if (!ids.has(token)) ids.set(token, ids.size);
    this.vocabulary = [...ids.keys()];
    this.#order = order;
    this.#ids = ids;
    this.#text = Uint32Array.from(tokens, (token) => ids.get(token) as number);
    this.#places = this.vocabulary.map(() => []);
    for (let at = 1; at < tokens.length; at++) this.#places[this.#text[at - 1]!]!.push(at);
    this.#first = new Float64Array(ids.size + 1).fill(1 / (ids.size + 1));
    this.#count(this.#first, this.#places.flat(), 0);
  }

  /**
   * How likely each token of the vocabulary is to come after `history`, of which the last tokens count, and at the end how
   * likely any other is: numbers whose sum is 1. The caller's own memory.
   */
  distribution(history: readonly string[]): Float64Array {
    const likely = this.#first.slice();
    let places: readonly number[] | undefined;
    for (let length = 1; length < this.#order && length <= history.length; length++) {
      const id = this.#ids.get(history.at(-length) as string);
      if (id === undefined) break;
      places = places === undefined ? this.#places[id]! : places.filter((at) => this.#text[at - length] === id);
      if (places.length === 0) break;
      this.#count(likely, places, length);
    }
    return likely;
  }

  /** Where `distribution` has a token. */
  idOf(token: string): number {
    return this.#ids.get(token) ?? this.vocabulary.length;
  }

  /** Whether the text goes on after this token anywhere. */
  hasFollower(token: string): boolean {
    return (this.#places[this.idOf(token)]?.length ?? 0) > 0;
  }

  /** Interpolates with what stands at these places, which all have the same history of this length. */
  #count(likely: Float64Array, places: readonly number[], length: number): void {
    const isLongest = length === this.#order - 1;
    const counts = new Map<number, number>();
    const seen = new Set<number>();
    let all = 0;
    for (const at of places) {
      const id = this.#text[at]!;
      if (!isLongest) {
        const withTokenBefore = (this.#text[at - length - 1] ?? this.vocabulary.length) * likely.length + id;
        if (seen.has(withTokenBefore)) continue;
        seen.add(withTokenBefore);
      }
      counts.set(id, (counts.get(id) ?? 0) + 1);
      all++;
    }
    if (all === 0) return;
    const rest = (DISCOUNT * counts.size) / all;
    for (let id = 0; id < likely.length; id++) likely[id]! *= rest;
    for (const [id, count] of counts) likely[id]! += (count - DISCOUNT) / all;
  }
}
