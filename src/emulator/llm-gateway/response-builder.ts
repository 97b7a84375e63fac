import { EngineError } from "./engine.js";
import { toJson } from "./go-text.js";
import type { OpenAiRequest } from "./openai-request.js";

/** The fields of a `/v1/completions` chunk that the gateway reads. Absent fields have empty values. */
interface Completion {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly choices: readonly Choice[];
  readonly usage: object | null;
  readonly system_fingerprint: string;
}

interface Choice {
  readonly text: string;
  readonly index: number;
  readonly finish_reason: string;
  readonly logprobs: object;
}

/** Builds the second generation's response from an engine's `/v1/completions` chunks. */
export class ResponseBuilder {
  readonly #request: OpenAiRequest;
  readonly #countTokens: (text: string) => number;
  /** The latest chunk, which the gateway processes a second time at the end of a chat. */
  #current: Completion | undefined;
  /** The chunk with the finish reason, if the engine has sent the reason together with text. */
  #last: object | undefined;
  /** The text and the latest fields of a response that is not streamed. */
  #whole: { first: Completion; text: string; finishReason: string; usage: object | null } | undefined;
  #tokens = 0;

  constructor(request: OpenAiRequest, countTokens: (text: string) => number) {
    this.#request = request;
    this.#countTokens = countTokens;
  }

  /** Whether a chat has reached its maximum number of tokens. */
  get isFull(): boolean {
    return this.#request.isChat && this.#tokens >= this.#request.maxTokens;
  }

  /** Processes the data of an event. Returns the message to send for the event, if any. */
  push(data: string): string | undefined {
    this.#current = readCompletion(data);
    return this.#message(false);
  }

  /** Returns the message to send before `[DONE]`, if any. */
  end(): string | undefined {
    return this.#message(true);
  }

  #message(isEnd: boolean): string | undefined {
    const { isChat, isStream } = this.#request;
    const kind = isChat ? "chat completion" : "completion";
    if (isChat && this.#current === undefined)
      throw new EngineError(`post-processor failed: ${kind} response is empty`);
    if ((isChat || !isStream) && (this.#current?.choices.length ?? 0) > 1) {
      throw new EngineError(`post-processor failed: ${kind} response has more than one choice`);
    }
    const value = isStream ? this.#streamed(isEnd) : this.#completeResponse(isEnd);
    if (!isChat) this.#current = undefined;
    return value && toJson(value);
  }

  #streamed(isEnd: boolean): object | undefined {
    const current = this.#current;
    if (!this.#request.isChat) return current;
    if (isEnd && this.#last !== undefined) return this.#last;
    const choice = current?.choices[0];
    if (current === undefined || choice === undefined) return undefined;
    this.#tokens += this.#countTokens(choice.text);
    const chunk = (index: number, content: string, finish_reason: string) => ({
      id: chatId(current),
      choices: [{ index, delta: { role: "assistant", content, reasoning_content: "", tool_calls: [] }, finish_reason }],
      created: current.created,
      model: current.model,
      system_fingerprint: "fp",
      object: "chat.completion.chunk",
      usage: this.#usage(),
    });
    if (choice.finish_reason === "" || choice.text === "")
      return chunk(choice.index, choice.text, choice.finish_reason);
    this.#last = chunk(0, "", choice.finish_reason);
    return chunk(choice.index, choice.text, "");
  }

  #completeResponse(isEnd: boolean): object | undefined {
    if (isEnd)
      return this.#whole && (this.#request.isChat ? chatResponse(this.#whole) : completionResponse(this.#whole));
    const current = this.#current as Completion;
    this.#whole ??= { first: current, text: "", finishReason: "", usage: current.usage };
    const choice = current.choices[0];
    if (!this.#request.isChat) this.#whole.usage = current.usage;
    if (choice === undefined) return undefined;
    this.#tokens += this.#countTokens(choice.text);
    this.#whole.text += choice.text;
    this.#whole.finishReason = choice.finish_reason;
    if (this.#request.isChat) this.#whole.usage = this.#usage();
    return undefined;
  }

  #usage(): object {
    const { promptTokens } = this.#request;
    return {
      prompt_tokens: promptTokens,
      completion_tokens: this.#tokens,
      total_tokens: promptTokens + this.#tokens,
      completion_tokens_details: { reasoning_tokens: 0 },
    };
  }
}

type Whole = NonNullable<{ first: Completion; text: string; finishReason: string; usage: object | null }>;

function chatResponse({ first, text, finishReason, usage }: Whole): object {
  return {
    id: chatId(first),
    object: "chat.completion",
    created: first.created,
    model: first.model,
    system_fingerprint: "fp",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: text, reasoning_content: "", tool_calls: [] },
        finish_reason: finishReason,
      },
    ],
    usage,
  };
}

function completionResponse({ first, text, finishReason, usage }: Whole): object {
  return {
    id: chatId(first),
    object: first.object,
    created: first.created,
    model: first.model,
    choices: [{ text, index: 0, finish_reason: finishReason, logprobs: NO_LOGPROBS }],
    usage,
    system_fingerprint: "",
  };
}

const chatId = ({ id }: Completion): string => id.replaceAll("cmpl", "chatcmpl");

const NO_LOGPROBS = { tokens: null, token_logprobs: null, top_logprobs: null, text_offset: null };

/**
 * Parses the data of an event with the gateway's types, which drop unknown fields. An error is therefore read as a
 * chunk without choices.
 */
function readCompletion(data: string): Completion {
  let value: unknown;
  try {
    value = JSON.parse(data) ?? {};
  } catch {
    throw unreadable();
  }
  const fields = read(value, "object");
  return {
    id: read(fields.id ?? "", "string"),
    object: read(fields.object ?? "", "string"),
    created: read(fields.created ?? 0, "number"),
    model: read(fields.model ?? "", "string"),
    choices: readChoices(fields.choices ?? []),
    usage: readUsage(fields.usage ?? null),
    system_fingerprint: read(fields.system_fingerprint ?? "", "string"),
  };
}

function readChoices(value: unknown): readonly Choice[] {
  if (!Array.isArray(value)) throw unreadable();
  return value.map((item: unknown) => {
    const fields = read(item ?? {}, "object");
    const stopReason = fields.stop_reason ?? null;
    return {
      text: read(fields.text ?? "", "string"),
      index: read(fields.index ?? 0, "number"),
      finish_reason: read(fields.finish_reason ?? "", "string"),
      logprobs: { ...NO_LOGPROBS, ...read(fields.logprobs ?? {}, "object") },
      ...(stopReason !== null && { stop_reason: stopReason }),
    };
  });
}

function readUsage(value: unknown): object | null {
  if (value === null) return null;
  const { prompt_tokens, completion_tokens, total_tokens, completion_tokens_details, prompt_tokens_details } = read(
    value,
    "object",
  );
  return {
    prompt_tokens: read(prompt_tokens ?? 0, "number"),
    completion_tokens: read(completion_tokens ?? 0, "number"),
    total_tokens: read(total_tokens ?? 0, "number"),
    completion_tokens_details: completion_tokens_details ?? null,
    ...((prompt_tokens_details ?? null) !== null && { prompt_tokens_details }),
  };
}

interface Types {
  string: string;
  number: number;
  object: Readonly<Record<string, unknown>>;
}

function read<T extends keyof Types>(value: unknown, type: T): Types[T] {
  if (typeof value !== type || Array.isArray(value)) throw unreadable();
  return value as Types[T];
}

const unreadable = (): EngineError => new EngineError("failed to unmarshal response");
