import { CHINESE } from "./llm/chinese.js";
import { ENGLISH } from "./llm/english.js";
import { randomBits } from "./random-bits.js";
import { isCommon, wordsOf } from "./words.js";

/** Length of an embedding, unless the request asks for fewer dimensions. */
export const EMBEDDING_DIMENSIONS = 512;

/** Weights of a text's features: words, parts of words, and Han characters. */
export type Features = ReadonlyMap<string, number>;

const COMMON_WEIGHT = 0.05;
/** Weight of word parts, which match misspelled words and words with different endings. */
const PART_WEIGHT = 0.25;

/**
 * Returns the subject of a text as weighted features. Words that are rare in the training texts of the language model weigh
 * more than frequent words. Common words such as "the" have almost no weight.
 */
export function featuresOf(text: string): Features {
  const counts = new Map<string, number>();
  const add = (feature: string, weight: number) => counts.set(feature, (counts.get(feature) ?? 0) + weight);
  for (const word of wordsOf(text)) {
    const weight = weightOf(word);
    add(word, weight);
    if (isCommon(word)) continue;
    for (const part of partsOf(word)) add(part, weight * PART_WEIGHT);
  }
  // A text that consists only of punctuation needs a feature, too.
  if (counts.size === 0) add(`=${text}`, 1);
  return new Map([...counts].map(([feature, weight]) => [feature, Math.sqrt(weight)]));
}

/** Returns the similarity of two texts, from 0 (nothing in common) to 1 (the same words). */
export function similarity(a: Features, b: Features): number {
  let product = 0;
  for (const [feature, weight] of a) product += weight * (b.get(feature) ?? 0);
  return product / Math.sqrt(sumOfSquares(a.values()) * sumOfSquares(b.values()));
}

/**
 * Returns a unit vector for a text. The angle between two vectors approximates the `similarity` of their texts: every
 * feature adds a fixed direction, which is selected by a hash of the feature. A shorter vector uses the first
 * dimensions of a longer vector.
 */
export function embed(features: Features, dimensions: number): Float32Array {
  const vector = new Float64Array(EMBEDDING_DIMENSIONS);
  for (const [feature, weight] of features) {
    const bits = randomBits(feature);
    for (let at = 0; at < vector.length; at += 32) {
      const signs = bits();
      for (let bit = 0; bit < 32; bit++) vector[at + bit]! += (signs >>> bit) & 1 ? weight : -weight;
    }
  }
  const first = vector.subarray(0, dimensions);
  const length = Math.sqrt(sumOfSquares(first));
  // Avoid a zero vector: with few dimensions, the directions may cancel each other out.
  if (length === 0) first[0] = 1;
  return Float32Array.from(first, (value) => value / (length || 1));
}

function sumOfSquares(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}

function partsOf(word: string): string[] {
  const characters = [...`<${word}>`];
  if (/\p{Script=Han}/u.test(word)) return characters.slice(1, -1).map((character) => `.${character}`);
  return characters.slice(2).map((_, index) => `.${characters.slice(index, index + 3).join("")}`);
}

/** Number of passages that contain each word. Counted on first use. */
let frequencies: ReadonlyMap<string, number> | undefined;

function weightOf(word: string): number {
  if (isCommon(word)) return COMMON_WEIGHT;
  frequencies ??= countPassages();
  return 1 / Math.sqrt(1 + (frequencies.get(word) ?? 0));
}

function countPassages(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const passage of `${ENGLISH}\n${CHINESE}`.split("\n")) {
    for (const word of new Set(wordsOf(passage))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}
