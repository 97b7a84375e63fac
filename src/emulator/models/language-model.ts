import { CHINESE } from "./llm/chinese.js";
import { ENGLISH } from "./llm/english.js";
import { NgramModel, tokenize } from "./ngram.js";
import { randomBits } from "./random-bits.js";

/** Every line of the training text is a passage. The model stops at the end of a passage. */
const END = "\n";
/**
 * History length that keeps passages coherent. Longer than needed for prediction: on held-out text, more than 4 tokens
 * do not improve it.
 */
const ORDER = 8;
/**
 * Temperature below which the most likely token is always chosen, because powers would overflow. vLLM has the same
 * limit.
 */
const MIN_TEMPERATURE = 1e-5;

/** Parameters for choosing the next token. */
export interface Sampling {
  /** 0 always chooses the most likely token; 1 samples tokens by their probability. */
  readonly temperature: number;
  /** Samples only from the most likely tokens with this total probability; 1 includes all tokens. */
  readonly topP: number;
  /** Samples only from this number of most likely tokens; 0 includes all tokens. */
  readonly topK: number;
  /** Seed for random numbers: the same seed and prompt produce the same text. Default: the prompt. */
  readonly seed: number | string | undefined;
  /** Maximum number of tokens. */
  readonly maxTokens: number;
  /** Whether to continue after the end of a passage. */
  readonly ignoresEnd: boolean;
}

/** Reason why generation ended: at the end of a passage, or at the maximum number of tokens. */
export type FinishReason = "stop" | "length";

const models = new Map<string, NgramModel>();

/** Returns the model of a training text, which is trained on first use. */
function modelOf(text: string): NgramModel {
  let model = models.get(text);
  if (model === undefined) {
    model = new NgramModel(tokenize(text), ORDER);
    models.set(text, model);
  }
  return model;
}

/**
 * Continues a prompt, token by token: in Chinese if the prompt contains Chinese characters, in English otherwise. If
 * the training text never continues after the prompt's last token, or the prompt ends a passage, a new passage starts.
 */
export function* generate(prompt: string, sampling: Sampling): Generator<string, FinishReason> {
  const model = modelOf(/\p{Script=Han}/u.test(prompt) ? CHINESE : ENGLISH);
  const random = randomNumbers(String(sampling.seed ?? prompt));
  const read = tokenize(prompt).slice(1 - ORDER);
  const history = model.hasFollower(read.at(-1) ?? "") ? read : [END];
  let count = 0;
  while (count < sampling.maxTokens) {
    const token = choose(model, history, sampling, random);
    history.push(token);
    if (history.length >= ORDER) history.shift();
    if (token === END && !sampling.ignoresEnd) {
      if (count > 0) return "stop";
    } else {
      count++;
      yield token;
    }
  }
  return "length";
}

function choose(
  model: NgramModel,
  history: readonly string[],
  { temperature, topP, topK }: Sampling,
  random: () => number,
): string {
  const { vocabulary } = model;
  const likely = model.distribution(history).subarray(0, vocabulary.length);
  // Exclude the end of a passage, because passages are never empty.
  if (history.at(-1) === END) likely[model.idOf(END)] = 0;
  const max = likely.reduce((a, b) => Math.max(a, b));
  if (temperature < MIN_TEMPERATURE) return vocabulary[likely.indexOf(max)]!;
  // Use weights relative to the maximum, so that a low temperature does not round all of them to 0.
  let chosen = Array.from(likely, (p, id) => ({ id, weight: (p / max) ** (1 / temperature) }));
  chosen = chosen.filter(({ weight }) => weight > 0);
  if (topK > 0 || topP < 1) {
    chosen.sort((a, b) => b.weight - a.weight);
    if (topK > 0) chosen = chosen.slice(0, topK);
    chosen = chosen.slice(0, countOf(chosen, topP));
  }
  return vocabulary[chosen[countOf(chosen, random()) - 1]!.id]!;
}

/** Returns the number of leading weights whose sum reaches the given fraction of the total. */
function countOf(weights: readonly { readonly weight: number }[], fraction: number): number {
  const all = weights.reduce((total, { weight }) => total + weight, 0);
  let sum = 0;
  const at = weights.findIndex(({ weight }) => {
    sum += weight;
    return sum >= fraction * all;
  });
  // Rounding errors may keep the sum below the total.
  return at === -1 ? weights.length : at + 1;
}

/** Returns a generator of numbers from 0 to 1 that is seeded with a text. */
function randomNumbers(text: string): () => number {
  const bits = randomBits(text);
  return () => bits() / 2 ** 32;
}
