import { CHINESE } from "./llm/chinese.js";
import { ENGLISH } from "./llm/english.js";
import { NgramModel, tokenize } from "./ngram.js";
import { randomBits } from "./random-bits.js";

/** A line of the text is a passage: its end is where a model ends by itself. */
const END = "\n";
/** Histories so long that passages hold together; after 4 tokens they tell no more of text that was not read. */
const ORDER = 8;
/** Below it the likeliest token is as good as certain, and powers overflow; vLLM has the same limit. */
const MIN_TEMPERATURE = 1e-5;

/** How a model writes. */
export interface Sampling {
  /** 0 takes the likeliest token always; at 1 each comes as often as its probability says. */
  readonly temperature: number;
  /** Only the likeliest tokens that have this much of the probability together are chosen from; 1 is all. */
  readonly topP: number;
  /** Only so many of the likeliest tokens are chosen from; 0 is all. */
  readonly topK: number;
  /** The source of the random numbers: the same seed and prompt give the same text. Default: the prompt. */
  readonly seed: number | string | undefined;
  readonly maxTokens: number;
  /** Whether to write on where a passage ends. */
  readonly ignoresEnd: boolean;
}

/** Why a model wrote no more: its passage ended, or it was not to write more. */
export type FinishReason = "stop" | "length";

const models = new Map<string, NgramModel>();

/** The model of a text; trained when it is asked for first. */
function modelOf(text: string): NgramModel {
  let model = models.get(text);
  if (model === undefined) {
    model = new NgramModel(tokenize(text), ORDER);
    models.set(text, model);
  }
  return model;
}

/**
 * Writes on from a prompt, token by token: in Chinese where it has Chinese characters, else in English. Where the text that
 * the model has read never goes on after the prompt's last token, a passage begins; a prompt that ends one is followed by
 * the next.
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
  // No passage is empty.
  if (history.at(-1) === END) likely[model.idOf(END)] = 0;
  const most = likely.reduce((a, b) => Math.max(a, b));
  if (temperature < MIN_TEMPERATURE) return vocabulary[likely.indexOf(most)]!;
  // Of the greatest, so that a low temperature does not make all of them 0.
  let chosen = Array.from(likely, (p, id) => ({ id, weight: (p / most) ** (1 / temperature) }));
  chosen = chosen.filter(({ weight }) => weight > 0);
  if (topK > 0 || topP < 1) {
    chosen.sort((a, b) => b.weight - a.weight);
    if (topK > 0) chosen = chosen.slice(0, topK);
    chosen = chosen.slice(0, countOf(chosen, topP));
  }
  return vocabulary[chosen[countOf(chosen, random()) - 1]!.id]!;
}

/** How many of the first weights it takes for this part of them all. */
function countOf(weights: readonly { readonly weight: number }[], part: number): number {
  const all = weights.reduce((total, { weight }) => total + weight, 0);
  let sum = 0;
  const at = weights.findIndex(({ weight }) => {
    sum += weight;
    return sum >= part * all;
  });
  // Rounding may leave the sum below all of it.
  return at === -1 ? weights.length : at + 1;
}

/** Returns a source of numbers from 0 to 1 that depends only on a text. */
function randomNumbers(text: string): () => number {
  const bits = randomBits(text);
  return () => bits() / 2 ** 32;
}
