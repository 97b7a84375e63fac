import { show } from "../../../argument-errors.js";
import type { Sampling } from "../../models/language-model.js";
import { tokenize } from "../../models/ngram.js";

/** The name that callers give as `model`. */
export const LLM_MODEL = "eas-ngram";
/** The most tokens that a prompt and its answer may have together. */
export const LLM_CONTEXT_TOKENS = 8192;

/** Why a request is not answered, as vLLM says it. */
export class LlmRefusal extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(message: string, param: string | null = null, status = 400, type = "BadRequestError") {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
  }

  /** What a body or a message says of it. */
  toJSON(): object {
    const { message, type, param, status: code } = this;
    return { error: { message, type, param, code } };
  }
}

/** What text is to be written, whichever way it was asked for. */
export interface TextRequest {
  /** What is written on from. */
  readonly prompt: string;
  /** The tokens of the prompt, and of the messages before it. */
  readonly promptTokens: number;
  readonly sampling: Sampling;
  /** Whether the answer is a message of its own, and not the rest of the prompt. */
  readonly isMessage: boolean;
  /** Texts at which the answer ends, without them. */
  readonly stops: readonly string[];
  readonly isStreamed: boolean;
  readonly includesUsage: boolean;
}

/** A JSON object as it came. */
export type Fields = Readonly<Record<string, unknown>>;

/** The JSON object in a body or a message. */
export function readFields(text: string): Fields {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (error) {
    throw new LlmRefusal(`the request is not JSON: ${(error as Error).message}`);
  }
  if (isObject(fields)) return fields;
  throw new LlmRefusal(`the request is ${show(fields)}: it must be a JSON object`);
}

/** Reads the body of `/v1/chat/completions`. */
export function readChatRequest(fields: Fields): TextRequest {
  checkModel(fields);
  const { messages } = fields;
  if (!Array.isArray(messages) || messages.length === 0) throw wrong("messages", messages, "a list of messages");
  const texts = messages.map(readMessage);
  const lastUser = messages.map(({ role }: Fields) => role).lastIndexOf("user");
  const prompt = texts.at(lastUser) as string;
  return readText(fields, { prompt, texts, mostTokens: LLM_CONTEXT_TOKENS, isMessage: true });
}

/** Reads the body of `/v1/completions`. */
export function readCompletionRequest(fields: Fields): TextRequest {
  checkModel(fields);
  const prompts = Array.isArray(fields.prompt) ? (fields.prompt as unknown[]) : [fields.prompt];
  const [prompt] = prompts;
  if (typeof prompt !== "string" || prompts.length !== 1) throw wrong("prompt", fields.prompt, "one text");
  // As few as OpenAI's own writes when it is not told.
  return readText(fields, { prompt, texts: [prompt], mostTokens: 16, isMessage: false });
}

const ROLES: readonly unknown[] = ["system", "developer", "user", "assistant", "tool", "function"];

function readMessage(message: unknown, index: number): string {
  const name = `messages[${index}]`;
  if (!isObject(message)) throw wrong(name, message, "an object with a role and a content");
  const { role, content } = message;
  if (!ROLES.includes(role)) throw wrong(`${name}.role`, role, `one of ${ROLES.join(", ")}`);
  if (typeof content === "string") return content;
  // What an assistant said by a call of a tool has no text.
  if (role === "assistant" && (content === undefined || content === null)) return "";
  if (!Array.isArray(content)) throw wrong(`${name}.content`, content, "a string or a list of parts");
  return content.map((part: unknown, at) => readPart(`${name}.content[${at}]`, part)).join("\n");
}

function readPart(name: string, part: unknown): string {
  if (!isObject(part)) throw wrong(name, part, 'an object such as {"type": "text", "text": "…"}');
  if (part.type !== "text") throw wrong(`${name}.type`, part.type, '"text", the only type that this model reads');
  if (typeof part.text !== "string") throw wrong(`${name}.text`, part.text, "a text");
  return part.text;
}

/** What the model cannot do, and what a request for it may say all the same. */
const UNSUPPORTED: readonly (readonly [name: string, isHarmless: (value: unknown) => boolean])[] = [
  ["n", (value) => value === 1],
  ["best_of", (value) => value === 1],
  ["echo", (value) => value === false],
  ["suffix", () => false],
  ["logprobs", (value) => value === false],
  ["tools", (value) => Array.isArray(value) && value.length === 0],
  ["response_format", (value) => isObject(value) && value.type === "text"],
];

/** What the forms of requests differ in. */
export interface TextForm extends Pick<TextRequest, "prompt" | "isMessage"> {
  /** The prompt, and what else was sent for it to be understood. */
  readonly texts: readonly string[];
  /** The tokens of an answer where the request does not say how many. */
  readonly mostTokens: number;
}

/** Reads what all forms have in common. */
export function readText(fields: Fields, { prompt, texts, mostTokens, isMessage }: TextForm): TextRequest {
  for (const [name, isHarmless] of UNSUPPORTED) {
    const value = fields[name] ?? undefined;
    if (value === undefined || isHarmless(value)) continue;
    throw new LlmRefusal(`${name} is ${show(value)}: this model does not support it`, name);
  }
  const number = (name: string, right: string, standard: number, isRight: (value: number) => boolean) => {
    const value = fields[name] ?? standard;
    if (typeof value === "number" && isRight(value)) return value;
    throw wrong(name, value, right);
  };
  const boolean = (name: string, holder: Fields = fields) => {
    const value = holder[name] ?? false;
    if (typeof value === "boolean") return value;
    throw wrong(name, value, "true or false");
  };
  const promptTokens = texts.reduce((sum, text) => sum + tokenize(text).length, 0);
  const left = LLM_CONTEXT_TOKENS - promptTokens;
  if (left < 1) {
    throw new LlmRefusal(`the prompt has ${promptTokens} tokens: the context of this model is ${LLM_CONTEXT_TOKENS}`);
  }
  const limit = (fields.max_completion_tokens ?? undefined) === undefined ? "max_tokens" : "max_completion_tokens";
  const room = `a whole number from 1 to ${left}, since the context is ${LLM_CONTEXT_TOKENS} and the prompt has ${promptTokens}`;
  const seed = fields.seed ?? undefined;
  if (seed !== undefined && !Number.isInteger(seed)) throw wrong("seed", seed, "a whole number");
  const isStreamed = boolean("stream");
  const options = fields.stream_options ?? undefined;
  if (options !== undefined && !isStreamed) throw wrong("stream_options", options, "left out unless stream is true");
  if (options !== undefined && !isObject(options)) throw wrong("stream_options", options, "an object");
  return {
    prompt,
    promptTokens,
    isMessage,
    sampling: {
      temperature: number("temperature", "a number from 0 to 2", 0.5, (value) => value >= 0 && value <= 2),
      topP: number("top_p", "a number above 0 and up to 1", 1, (value) => value > 0 && value <= 1),
      topK: Math.max(0, number("top_k", "a whole number; -1 and 0 select all tokens", 0, isTopK)),
      seed: seed as number | undefined,
      maxTokens: number(limit, room, Math.min(mostTokens, left), (n) => Number.isInteger(n) && n >= 1 && n <= left),
      ignoresEnd: boolean("ignore_eos"),
    },
    stops: readStops(fields.stop ?? []),
    isStreamed,
    includesUsage: options !== undefined && boolean("include_usage", options),
  };
}

const isTopK = (value: number): boolean => Number.isInteger(value) && value >= -1;

function readStops(value: unknown): readonly string[] {
  const stops: unknown[] = Array.isArray(value) ? value : [value];
  if (stops.every((stop) => typeof stop === "string" && stop !== "")) return stops as string[];
  throw wrong("stop", value, "a non-empty string, or a list of them");
}

function checkModel({ model }: Fields): void {
  if (model === LLM_MODEL) return;
  const name = typeof model === "string" ? model : "";
  throw new LlmRefusal(`The model \`${name}\` does not exist.`, "model", 404, "NotFoundError");
}

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Refuses the value of a field. */
export function wrong(name: string, value: unknown, right: string): LlmRefusal {
  return new LlmRefusal(`${name} is ${show(value)}: it must be ${right}`, name);
}
