import { EasDecodeError } from "../../errors.js";
import { show } from "../../util/argument-errors.js";
import { isRecord } from "../../util/realms.js";

/** A function call that a language model requests. */
export interface ChatToolCall {
  /** Id of the call. The message with the function's result must contain this id. */
  id: string;
  type: "function";
  /** The function and its arguments. */
  function: {
    /** Name of the function. */
    name: string;
    /** The arguments as JSON text, exactly as the model wrote them. The text may be invalid. */
    arguments: string;
  };
}

/** A message from a language model, in a form that can be added to the next request's `messages`. */
export interface ChatMessage {
  role: "assistant";
  /** The text; null if the model wrote no text, for example because it only calls functions. */
  content: string | null;
  /** The model's reasoning before its text. Also contains text that a service sends in the `reasoning` field. */
  reasoning_content?: string;
  /** The model's explanation if it refuses to respond. */
  refusal?: string;
  /** The function calls; undefined if there are none. */
  tool_calls?: ChatToolCall[];
}

/** One completion of a chat. There are several completions if the request sets `n`. */
export interface ChatChoice {
  /** Index of the choice, from 0. */
  index: number;
  /** The received part of the message. */
  message: ChatMessage;
  /** `"stop"`, `"length"`, `"tool_calls"` or another reason; null if the service did not send a reason. */
  finish_reason: string | null;
}

/** Token counts for a chat. Services may add other fields. */
export interface ChatUsage {
  /** Number of tokens in the request. */
  prompt_tokens?: number;
  /** Number of tokens in the response. */
  completion_tokens?: number;
  /** Total number of tokens. */
  total_tokens?: number;
  [field: string]: unknown;
}

/** A complete chat response, in the format of OpenAI's API. */
export interface ChatCompletion {
  /** Id of the completion. */
  id?: string;
  object: "chat.completion";
  /** Unix time when the completion was created, in seconds. */
  created?: number;
  /** Name of the model. */
  model?: string;
  /** All choices, ordered by index. */
  choices: ChatChoice[];
  /** Token counts. Many services send them only if the request contains `stream_options: { include_usage: true }`. */
  usage?: ChatUsage;
}

/** A part of a chat response. `index` is the index of the choice. */
export type ChatEvent =
  | { readonly type: "text"; readonly text: string; readonly index: number }
  | { readonly type: "reasoning"; readonly text: string; readonly index: number }
  | { readonly type: "refusal"; readonly text: string; readonly index: number }
  /** A part of a function call. `arguments` is the new text, `toolCall` the call as far as it was received. */
  | {
      readonly type: "toolCallDelta";
      readonly toolCall: Readonly<ChatToolCall>;
      readonly arguments: string;
      readonly index: number;
    }
  /** A complete function call, yielded before `finish`. */
  | { readonly type: "toolCall"; readonly toolCall: ChatToolCall; readonly index: number }
  | { readonly type: "finish"; readonly finishReason: string; readonly index: number };

type Fields = Readonly<Record<string, unknown>>;

/** Merges the chunks of a chat. Also accepts complete responses and chunks from the older completions API. */
export class ChatAccumulator {
  readonly completion: ChatCompletion = { object: "chat.completion", choices: [] };
  /** The function calls of each choice, by the index that the service sends. */
  readonly #toolCalls = new Map<ChatChoice, Map<unknown, ChatToolCall>>();

  /** Merges a chunk and yields its events. Ignores values that are not chunks. */
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

  /** Yields the function calls of choices without a `finish_reason`. */
  *end(): Generator<ChatEvent, void, undefined> {
    for (const choice of this.completion.choices) if (choice.finish_reason === null) yield* toolCallsOf(choice);
  }

  *#addChoice(part: Fields): Generator<ChatEvent, void, undefined> {
    const choice = this.#choice(typeof part.index === "number" ? part.index : 0);
    // Ignore repeated chunks, because the first generation of the LLM gateway sends the last chunk twice.
    if (choice.finish_reason !== null) return;
    const { index, message } = choice;
    const { delta, message: whole, text, finish_reason: finishReason } = part;
    const fields = isRecord(delta) ? delta : isRecord(whole) ? whole : { content: text };
    // Use only one field, because some services send the same text in both.
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
    // The function calls of a complete message have no indexes.
    const key = part.index ?? position;
    const called = isRecord(part.function) ? part.function : {};
    const [id, name] = [textIn(part.id), textIn(called.name)];
    let toolCall = calls.get(key);
    if (toolCall === undefined || isNewCall(toolCall, id, name, part.index)) {
      toolCall = { id: "", type: "function", function: { name: "", arguments: "" } };
      calls.set(key, toolCall);
      choice.message.tool_calls ??= [];
      choice.message.tool_calls.push(toolCall);
    }
    // The first part contains the id and the name. Keep them, because some services repeat them or send different ids
    // with later parts.
    toolCall.id ||= id;
    toolCall.function.name ||= name;
    const delta = isRecord(called.arguments) ? argumentsText(name, called.arguments) : textIn(called.arguments);
    toolCall.function.arguments += delta;
    return { type: "toolCallDelta", toolCall, arguments: delta, index: choice.index };
  }
}

/**
 * Returns whether a part begins another function call. Some services send several complete calls without an index,
 * or with the same index. If these calls were merged, their arguments would not be JSON.
 */
function isNewCall({ id: before, function: called }: ChatToolCall, id: string, name: string, index: unknown): boolean {
  if (id === "" || name === "" || before === "" || id === before) return false;
  return index === undefined || index === null || name !== called.name;
}

/**
 * Returns arguments as JSON text. Handles stack overflows, because `JSON.stringify` is recursive and fails for some
 * values that `JSON.parse` accepts.
 */
function argumentsText(name: string, value: Fields): string {
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
