import type { Bytes } from "../../formats/request.js";
import { isRecord } from "../../util/realms.js";
import { randomUuid } from "../../util/uuid.js";
import { LLM_CONTEXT_TOKENS } from "../services/llm/settings.js";
import type { EmulatorCall } from "../services/service.js";

/** A client's request as the second generation forwards it to an engine. */
export interface OpenAiRequest {
  /** Whether the request is a chat request. */
  readonly isChat: boolean;
  /** Whether the client requested a stream. The engine always streams. */
  readonly isStream: boolean;
  /** The body of the engine's request to `/v1/completions`. */
  readonly body: Bytes;
  /** Number of tokens in the prompt; 0 for completions. */
  readonly promptTokens: number;
  /** Number of tokens after which the gateway ends the response. */
  readonly maxTokens: number;
}

type Check = (value: unknown) => boolean;
type Fields = Readonly<Record<string, unknown>>;

const string: Check = (value) => typeof value === "string";
const boolean: Check = (value) => typeof value === "boolean";
const integer: Check = Number.isInteger;
const number: Check = (value) => typeof value === "number";
const object: Check = isRecord;
const nothing: Check = () => false;
const anything: Check = () => true;
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every((item) => item === null || check(item));
const mapOf =
  (check: Check): Check =>
  (value) =>
    isRecord(value) && Object.values(value).every((item) => item === null || check(item));
const either =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));
/** Checks the fields of an object. As in Go, `null` counts as absent, and unknown fields are ignored. */
const struct =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isRecord(value) &&
    Object.entries(checks).every(([name, check]) => (value[name] ?? null) === null || check(value[name]));

const functionCall = struct({ name: string, arguments: string });
const message = struct({
  role: string,
  content: either(
    string,
    list(struct({ type: string, text: string, image_url: struct({ url: string, detail: string }) })),
  ),
  reasoning_content: string,
  name: string,
  function_call: functionCall,
  tool_calls: list(struct({ index: integer, id: string, type: string, function: functionCall })),
  tool_call_id: string,
});
const definition = struct({ name: string, description: string, strict: boolean, parameters: anything });

const COMMON: Readonly<Record<string, Check>> = {
  model: string,
  max_tokens: integer,
  temperature: number,
  top_p: number,
  n: integer,
  stream: boolean,
  stop: list(string),
  presence_penalty: number,
  frequency_penalty: number,
  seed: integer,
  logit_bias: mapOf(integer),
  user: string,
  stream_options: struct({ include_usage: boolean, continuous_usage_stats: boolean }),
};

const isChat = struct({
  ...COMMON,
  messages: list(message),
  // The gateway has no type for a schema, so it rejects every schema.
  response_format: struct({
    type: string,
    json_schema: struct({ name: string, description: string, schema: nothing, strict: boolean }),
  }),
  logprobs: boolean,
  top_logprobs: integer,
  functions: list(definition),
  tools: list(struct({ type: string, function: definition })),
  chat_template_kwargs: object,
  guided_choice: list(string),
});

const COMPLETION: Readonly<Record<string, Check>> = {
  ...COMMON,
  rid: string,
  prompt: either(string, list(string), list(integer), list(list(integer))),
  best_of: integer,
  echo: boolean,
  logprobs: integer,
  max_completion_tokens: integer,
  suffix: string,
  kv_transfer_params: object,
  ignore_eos: boolean,
  bootstrap_host: string,
  bootstrap_room: string,
};
const isCompletion = struct(COMPLETION);

/**
 * The chat fields that are forwarded, by their name in the completion request. As in the real gateway, both penalties
 * are set to the chat request's `presence_penalty`.
 */
const CHAT_FIELDS: Readonly<Record<string, string>> = {
  frequency_penalty: "presence_penalty",
  n: "n",
  presence_penalty: "presence_penalty",
  stop: "stop",
  seed: "seed",
  temperature: "temperature",
  top_p: "top_p",
  user: "user",
};

/** Fields that are sent even if they are zero. */
const KEPT: readonly string[] = ["max_tokens", "max_completion_tokens", "seed", "stream_options", "temperature"];

/** Reads a request to OpenAI's interface; undefined if the gateway rejects it. */
export function readOpenAiRequest(
  call: EmulatorCall,
  countTokens: (text: string) => number,
): OpenAiRequest | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(new TextDecoder("utf-8", { ignoreBOM: true }).decode(call.body));
  } catch {
    return undefined;
  }
  const id = call.headers.get("x-request-id") ?? randomUuid();
  const read = call.path === "/v1/chat/completions" ? readChat : readCompletion;
  return read(fields, id, countTokens);
}

function readChat(fields: unknown, id: string, countTokens: (text: string) => number): OpenAiRequest | undefined {
  if (!isChat(fields)) return undefined;
  const chat = fields as Fields & { messages?: readonly Fields[] };
  const messages = chat.messages ?? [];
  if (messages.length === 0) return undefined;
  // The real gateway applies the model's chat template and tokenizer. The emulator uses the last user message instead.
  const prompt = textOf(messages.filter(({ role }) => role === "user").at(-1) ?? messages.at(-1));
  const promptTokens = countTokens(prompt);
  const limit = (chat.max_tokens as number | undefined) || LLM_CONTEXT_TOKENS - promptTokens;
  const sent: Record<string, unknown> = {
    request_id: id,
    model: chat.model ?? "",
    prompt,
    max_tokens: limit,
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
  for (const [name, source] of Object.entries(CHAT_FIELDS)) put(sent, name, chat[source]);
  return { isChat: true, isStream: chat.stream === true, body: bodyOf(sent), promptTokens, maxTokens: limit };
}

function readCompletion(fields: unknown, id: string): OpenAiRequest | undefined {
  if (!isCompletion(fields)) return undefined;
  const completion = fields as Fields;
  const sent: Record<string, unknown> = { request_id: id, model: completion.model ?? "" };
  for (const name of Object.keys(COMPLETION)) put(sent, name, completion[name]);
  sent.prompt = completion.prompt ?? null;
  sent.stream = true;
  const isStream = completion.stream === true;
  return { isChat: false, isStream, body: bodyOf(sent), promptTokens: 0, maxTokens: Number.POSITIVE_INFINITY };
}

function put(sent: Record<string, unknown>, name: string, value: unknown): void {
  if ((value ?? null) === null) return;
  const isZero = value === 0 || value === "" || value === false || (Array.isArray(value) && value.length === 0);
  if (!isZero || KEPT.includes(name)) sent[name] = value;
}

function bodyOf(fields: object): Bytes {
  return new TextEncoder().encode(JSON.stringify(fields));
}

function textOf(message: Fields | undefined): string {
  const content = message?.content ?? "";
  if (typeof content === "string") return content;
  return (content as readonly (Fields | null)[]).map((part) => part?.text ?? "").join("\n");
}
