import { show } from "../../../../util/argument-errors.js";
import { isRecord } from "../../../../util/realms.js";
import type { Sampling } from "../../../models/language-model.js";
import { tokenize } from "../../../models/ngram.js";
import { LLM_CONTEXT_TOKENS, type LlmSettings, readModel } from "../settings.js";
import type { ToolCall } from "../tools.js";
import { type Fields, invalid, LlmRefusal, readBoolean, readNumber } from "./fields.js";

/** A request for text, independent of the API through which it arrived. */
export interface TextRequest {
  /** Name of the model. */
  readonly model: string;
  /** The text for the model to continue. */
  readonly prompt: string;
  /** Number of tokens in the prompt and its context. */
  readonly promptTokens: number;
  /** Parameters for choosing tokens. */
  readonly sampling: Sampling;
  /** Whether the reply is a separate message. If not, the reply continues the prompt. */
  readonly isMessage: boolean;
  /** Stop sequences. The reply ends before the first stop sequence. */
  readonly stops: readonly string[];
  /** Number of replies. */
  readonly count: number;
  /** Whether the response is streamed. */
  readonly isStreamed: boolean;
  /** Whether a streamed response ends with the token usage. */
  readonly includesUsage: boolean;
  /** The reasoning at the start of the reply, if any. */
  readonly reasoning?: string | undefined;
  /** The text of the reply, unless the model generates it. */
  readonly fixedText?: string | undefined;
  /** Functions that the reply calls instead of sending text. */
  readonly calls?: readonly ToolCall[] | undefined;
}

/** Reads the body of `/v1/completions`. Throws an `LlmRefusal` if the body is invalid. */
export function readCompletionRequest(fields: Fields, settings: LlmSettings): TextRequest {
  const model = readModel(fields, settings);
  refuse(fields, COMPLETION_UNSUPPORTED);
  const prompts = Array.isArray(fields.prompt) ? (fields.prompt as unknown[]) : [fields.prompt];
  const [prompt] = prompts;
  if (typeof prompt !== "string" || prompts.length !== 1) throw invalid("prompt", fields.prompt, "one string");
  // The default in OpenAI's API is 16 tokens.
  return { model, ...readTextRequest(fields, { prompt, texts: [prompt], maxTokens: 16, isMessage: false }) };
}

type Unsupported = readonly (readonly [name: string, isHarmless: (value: unknown) => boolean])[];

/** Fields that the model does not support. A field is ignored if `isHarmless` accepts its value. */
const UNSUPPORTED: Unsupported = [
  ["best_of", (value) => value === 1],
  ["echo", (value) => value === false],
  ["suffix", () => false],
  ["logprobs", (value) => value === false],
  ["top_logprobs", (value) => value === 0],
  ["prompt_logprobs", () => false],
  ["use_beam_search", (value) => value === false],
];

const COMPLETION_UNSUPPORTED: Unsupported = [
  ["tools", (value) => Array.isArray(value) && value.length === 0],
  ["response_format", (value) => isRecord(value) && value.type === "text"],
];

function refuse(fields: Fields, unsupported: Unsupported): void {
  for (const [name, isHarmless] of unsupported) {
    const value = fields[name] ?? undefined;
    if (value === undefined || isHarmless(value)) continue;
    throw new LlmRefusal(`${name} is ${show(value)}: this model does not support it`, name);
  }
}

/** The differences between the request forms. */
export interface TextForm extends Pick<TextRequest, "prompt" | "isMessage"> {
  /** All texts that count toward the context, including the prompt. */
  readonly texts: readonly string[];
  /** Default maximum number of tokens in the reply. */
  readonly maxTokens: number;
}

/** Maximum number of replies to one request. */
const MAX_COUNT = 8;

/** Reads the fields that all request forms have in common. Throws an `LlmRefusal` if a field is invalid. */
export function readTextRequest(
  fields: Fields,
  { prompt, texts, maxTokens, isMessage }: TextForm,
): Omit<TextRequest, "model"> {
  refuse(fields, UNSUPPORTED);
  const promptTokens = countTokens(texts);
  const left = LLM_CONTEXT_TOKENS - promptTokens;
  if (left < 1) {
    throw new LlmRefusal(`the prompt has ${promptTokens} tokens: the context of this model is ${LLM_CONTEXT_TOKENS}`);
  }
  const limit = (fields.max_completion_tokens ?? undefined) === undefined ? "max_tokens" : "max_completion_tokens";
  const room = `an integer from 1 to ${left}, since the context is ${LLM_CONTEXT_TOKENS} and the prompt has ${promptTokens}`;
  const seed = fields.seed ?? undefined;
  if (seed !== undefined && !Number.isInteger(seed)) throw invalid("seed", seed, "an integer");
  const isStreamed = readBoolean(fields, "stream");
  const options = fields.stream_options ?? undefined;
  if (options !== undefined && !isStreamed) throw invalid("stream_options", options, "omitted unless stream is true");
  if (options !== undefined && !isRecord(options)) throw invalid("stream_options", options, "an object");
  const temperature = readNumber(
    fields,
    "temperature",
    "a number from 0 to 2",
    0.5,
    (value) => value >= 0 && value <= 2,
  );
  return {
    prompt,
    promptTokens,
    isMessage,
    sampling: {
      temperature,
      topP: readNumber(fields, "top_p", "a number above 0 and up to 1", 1, (value) => value > 0 && value <= 1),
      topK: Math.max(0, readNumber(fields, "top_k", "an integer; -1 and 0 select all tokens", 0, isTopK)),
      seed: seed as number | undefined,
      maxTokens: readNumber(fields, limit, room, Math.min(maxTokens, left), (n) => isCount(n) && n <= left),
      ignoresEnd: readBoolean(fields, "ignore_eos"),
    },
    stops: readStops(fields.stop ?? []),
    count: readCount(fields, temperature),
    isStreamed,
    includesUsage: options !== undefined && readBoolean(options, "include_usage"),
  };
}

/** Counts the tokens of all texts together. */
export function countTokens(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + tokenize(text).length, 0);
}

const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1;

const isTopK = (value: number): boolean => Number.isInteger(value) && value >= -1;

function readCount(fields: Fields, temperature: number): number {
  const expected = `an integer from 1 to ${MAX_COUNT}`;
  const count = readNumber(fields, "n", expected, 1, (n) => isCount(n) && n <= MAX_COUNT);
  if (count === 1 || temperature > 0) return count;
  throw new LlmRefusal(`n must be 1 when using greedy sampling, got ${count}.`, "n");
}

function readStops(value: unknown): readonly string[] {
  const stops: unknown[] = Array.isArray(value) ? value : [value];
  if (stops.every((stop) => typeof stop === "string" && stop !== "")) return stops as string[];
  throw invalid("stop", value, "a non-empty string, or a list of them");
}
