/**
 * Splits text into tokens: a Han character, a word or number with a preceding space, or any other single character. Joining
 * the tokens restores the text.
 */
export function tokenize(text: string): string[] {
  return text.match(/\p{Script=Han}| ?[\p{Script=Latin}\p{M}'’]+| ?\p{N}+|[\s\S]/gu) ?? [];
}

/** Discount applied to every count in favor of the shorter history, tuned on held-out lines. */
const DISCOUNT = 0.75;

/**
 * A language model that predicts the next token. Counts the tokens after histories of every length below `order` and
 * interpolates the counts with the Kneser-Ney method. In a shorter history, a token counts once for each distinct
 * preceding token.
 */
export class NgramModel {
  /** The known tokens, in order of their first occurrence. */
  readonly vocabulary: readonly string[];
  readonly #order: number;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #text: Uint32Array;
  /** For each token, the positions in the text that follow it. */
  readonly #places: readonly number[][];
  /** The token distribution that does not depend on previous tokens. */
  readonly #first: Float64Array;

  /** Trains the model on the tokens of a text. `order` is the maximum length of a history plus one. */
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
   * Returns the probability of each vocabulary token after the last tokens of `history`. The last element is the
   * probability of any other token. The numbers add up to 1. The caller owns the array.
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

  /** Returns the index of a token in `distribution`. */
  idOf(token: string): number {
    return this.#ids.get(token) ?? this.vocabulary.length;
  }

  /** Whether any token follows this one in the text. */
  hasFollower(token: string): boolean {
    return (this.#places[this.idOf(token)]?.length ?? 0) > 0;
  }

  /** Interpolates with the tokens at these positions, which all have the same history of this length. */
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
