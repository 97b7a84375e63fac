import { EasDecodeError } from "../../errors.js";
import { show } from "../../util/argument-errors.js";
import { isRecord } from "../../util/realms.js";

/** A call of a function that a language model asks for. */
export interface ChatToolCall {
  id: string;
  type: "function";
  function: {
    name: string;
    /** JSON text, as the model wrote it: it need not be valid. */
    arguments: string;
  };
}

/** A message of a language model, in the form in which the next request takes it among its `messages`. */
export interface ChatMessage {
  role: "assistant";
  /** Null when the model wrote no text, such as when it only calls functions. */
  content: string | null;
  /** What a reasoning model wrote before its answer. Services that name it `reasoning` are included. */
  reasoning_content?: string;
  /** Why the model refuses to answer. */
  refusal?: string;
  tool_calls?: ChatToolCall[];
}

/** One of the answers to a chat; there are several if the request asks for `n`. */
export interface ChatChoice {
  index: number;
  message: ChatMessage;
  /** `"stop"`, `"length"`, `"tool_calls"` and others. Null when the service sent none. */
  finish_reason: string | null;
}

/** The number of tokens of a chat. Services add fields of their own. */
export interface ChatUsage {
  prompt_tokens?: number;
  completion_tokens?: number;
  total_tokens?: number;
  [field: string]: unknown;
}

/** A whole answer to a chat, in the form of OpenAI's API. */
export interface ChatCompletion {
  id?: string;
  object: "chat.completion";
  created?: number;
  model?: string;
  choices: ChatChoice[];
  /** Undefined when the service sent none. Many do so only for `stream_options: { include_usage: true }`. */
  usage?: ChatUsage;
}

/** A part of an answer to a chat, as it arrives. `index` is that of the choice. */
export type ChatEvent =
  | { readonly type: "text"; readonly text: string; readonly index: number }
  | { readonly type: "reasoning"; readonly text: string; readonly index: number }
  | { readonly type: "refusal"; readonly text: string; readonly index: number }
  /** A part of a function call: `arguments` is the new piece, and `toolCall` the call as far as it was received. */
  | {
      readonly type: "toolCallDelta";
      readonly toolCall: Readonly<ChatToolCall>;
      readonly arguments: string;
      readonly index: number;
    }
  /** A whole function call. They come before `finish`. */
  | { readonly type: "toolCall"; readonly toolCall: ChatToolCall; readonly index: number }
  | { readonly type: "finish"; readonly finishReason: string; readonly index: number };

type Fields = Readonly<Record<string, unknown>>;

/** Puts the chunks of a chat together. Also takes whole answers, and the chunks of the older completions API. */
export class ChatAccumulator {
  readonly completion: ChatCompletion = { object: "chat.completion", choices: [] };
  /** By choice and by the index that the service gives each call. */
  readonly #toolCalls = new Map<ChatChoice, Map<unknown, ChatToolCall>>();

  /** Adds a chunk, and returns what is new in it. Other values change nothing. */
  *add(chunk: unknown): Generator<ChatEvent, void, undefined> {
    if (!isRecord(chunk)) return;
    const { completion } = this;
    const { id, created, model, usage, choices } = chunk;
    if (typeof id === "string") completion.id ??= id;
    if (typeof created === "number") completion.created ??= created;
    if (typeof model === "string") completion.model ??= model;
    if (isRecord(usage)) completion.usage = usage;
    if (!Array.isArray(choices)) return;
    for (const part of choices) if (isRecord(part)) yield* this.#addChoice(part);
  }

  /** Returns the function calls of choices that had no `finish_reason`. */
  *end(): Generator<ChatEvent, void, undefined> {
    for (const choice of this.completion.choices) if (choice.finish_reason === null) yield* toolCallsOf(choice);
  }

  *#addChoice(part: Fields): Generator<ChatEvent, void, undefined> {
    const choice = this.#choice(typeof part.index === "number" ? part.index : 0);
    // One generation of the LLM gateway sends the last chunk twice.
    if (choice.finish_reason !== null) return;
    const { index, message } = choice;
    const { delta, message: whole, text, finish_reason: finishReason } = part;
    const fields = isRecord(delta) ? delta : isRecord(whole) ? whole : { content: text };
    // Some services send both names with the same text.
    const reasoning = textIn(fields.reasoning_content) || textIn(fields.reasoning);
    if (reasoning !== "") {
      message.reasoning_content = (message.reasoning_content ?? "") + reasoning;
      yield { type: "reasoning", text: reasoning, index };
    }
    const content = textIn(fields.content);
    if (content !== "") {
      message.content = (message.content ?? "") + content;
      yield { type: "text", text: content, index };
    }
    const refusal = textIn(fields.refusal);
    if (refusal !== "") {
      message.refusal = (message.refusal ?? "") + refusal;
      yield { type: "refusal", text: refusal, index };
    }
    if (Array.isArray(fields.tool_calls)) {
      for (const [position, call] of fields.tool_calls.entries()) {
        if (isRecord(call)) yield this.#addToolCall(choice, call, position);
      }
    }
    if (typeof finishReason !== "string" || finishReason === "") return;
    choice.finish_reason = finishReason;
    yield* toolCallsOf(choice);
    yield { type: "finish", finishReason, index };
  }

  #choice(index: number): ChatChoice {
    const { choices } = this.completion;
    let choice = choices.find((each) => each.index === index);
    if (choice === undefined) {
      choice = { index, message: { role: "assistant", content: null }, finish_reason: null };
      choices.push(choice);
      choices.sort((a, b) => a.index - b.index);
    }
    return choice;
  }

  #addToolCall(choice: ChatChoice, part: Fields, position: number): ChatEvent {
    const calls = this.#toolCalls.get(choice) ?? new Map<unknown, ChatToolCall>();
    this.#toolCalls.set(choice, calls);
    // Whole messages have no indexes.
    const key = part.index ?? position;
    const called = isRecord(part.function) ? part.function : {};
    const [id, name] = [textIn(part.id), textIn(called.name)];
    let toolCall = calls.get(key);
    if (toolCall === undefined || isAnother(toolCall, id, name, part.index)) {
      toolCall = { id: "", type: "function", function: { name: "", arguments: "" } };
      calls.set(key, toolCall);
      choice.message.tool_calls ??= [];
      choice.message.tool_calls.push(toolCall);
    }
    // Only the first part has them. Some services repeat them, and some send other ids with later parts.
    toolCall.id ||= id;
    toolCall.function.name ||= name;
    const piece = isRecord(called.arguments) ? argumentsOf(name, called.arguments) : textIn(called.arguments);
    toolCall.function.arguments += piece;
    return { type: "toolCallDelta", toolCall, arguments: piece, index: choice.index };
  }
}

/**
 * Whether a part begins a call of its own. Some services send whole calls one after the other, without an index or all with the
 * same one: put together, their arguments would not be JSON.
 */
function isAnother({ id: before, function: called }: ChatToolCall, id: string, name: string, index: unknown): boolean {
  if (id === "" || name === "" || before === "" || id === before) return false;
  return index === undefined || index === null || name !== called.name;
}

/** Arguments as JSON text. `JSON.stringify` is recursive, and overflows the stack where `JSON.parse` does not. */
function argumentsOf(name: string, value: Fields): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw new EasDecodeError(`chat(): the arguments of the function ${show(name)} are nested too deeply to be read`, {
      format: "json",
    });
  }
}

function* toolCallsOf({ message, index }: ChatChoice): Generator<ChatEvent, void, undefined> {
  for (const toolCall of message.tool_calls ?? []) yield { type: "toolCall", toolCall, index };
}

function textIn(value: unknown): string {
  return typeof value === "string" ? value : "";
}
