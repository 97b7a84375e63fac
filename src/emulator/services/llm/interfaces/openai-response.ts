import { randomUuid } from "../../../../util/uuid.js";
import type { Pace } from "../pace.js";
import { type Reply, type ReplyEnd, type ReplyPart, reply } from "../reply.js";
import type { TextRequest } from "./text-request.js";

/** The differences between the responses of OpenAI's two APIs. */
export interface OpenAiForm {
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** Returns the content of a choice in a non-streamed response. */
  whole(parts: readonly ReplyPart[]): object;
  /** The content of the choice in the first chunk; undefined if the response does not start with such a chunk. */
  readonly first: object | undefined;
  /** Returns the content of the choice in a chunk. The last chunk has no part. */
  chunk(part: ReplyPart | undefined): object;
}

/** Responses of `/v1/chat/completions`. */
export const CHAT: OpenAiForm = {
  idPrefix: "chatcmpl-",
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  whole: (parts) => ({ message: messageOf(parts) }),
  first: { delta: { role: "assistant", content: "" } },
  chunk: (part) => ({ delta: deltaOf(part) }),
};

/** Responses of `/v1/completions`. */
export const COMPLETION: OpenAiForm = {
  idPrefix: "cmpl-",
  object: "text_completion",
  chunkObject: "text_completion",
  whole: (parts) => ({ text: textOf(parts, "text") }),
  first: undefined,
  chunk: (part) => ({ text: part?.kind === "text" ? part.text : "" }),
};

/** Joins the text of all parts of a kind. */
export function textOf(parts: readonly ReplyPart[], kind: "text" | "reasoning"): string {
  return parts.map((part) => (part.kind === kind ? part.text : "")).join("");
}

/** Returns the function calls in a reply's parts, each with its complete arguments. */
export function callsOf(parts: readonly ReplyPart[]): { id: string; name: string; arguments: string }[] {
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const part of parts) {
    if (part.kind === "call") calls.push({ id: part.id, name: part.name, arguments: "" });
    if (part.kind === "arguments") calls[part.index]!.arguments += part.text;
  }
  return calls;
}

function messageOf(parts: readonly ReplyPart[]): object {
  const content = textOf(parts, "text");
  const reasoning = textOf(parts, "reasoning");
  const calls = callsOf(parts).map(({ id, name, arguments: text }) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  }));
  return {
    role: "assistant",
    reasoning_content: reasoning === "" ? null : reasoning,
    content: content === "" && calls.length > 0 ? null : content,
    refusal: null,
    tool_calls: calls,
  };
}

function deltaOf(part: ReplyPart | undefined): object {
  switch (part?.kind) {
    case undefined:
      return {};
    case "text":
      return { content: part.text };
    case "reasoning":
      return { reasoning_content: part.text };
    case "call": {
      const { index, id, name } = part;
      return { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] };
    }
    case "arguments":
      return { tool_calls: [{ index: part.index, function: { arguments: part.text } }] };
  }
}

/** The parts and the result of a complete reply. */
export interface WholeReply extends ReplyEnd {
  readonly parts: readonly ReplyPart[];
}

/** Reads a reply to its end. */
export async function readReply(parts: Reply): Promise<WholeReply> {
  const read: ReplyPart[] = [];
  for (;;) {
    const { done, value } = await parts.next();
    if (done) return { ...value, parts: read };
    read.push(value);
  }
}

/** Starts the replies to a request. The first reply does not depend on their number. */
function replies(request: TextRequest, signal: AbortSignal, pace: Pace): Reply[] {
  const { sampling, prompt, count } = request;
  return Array.from({ length: count }, (_, index) => {
    const seed = index === 0 ? sampling.seed : `${sampling.seed ?? prompt} ${index}`;
    return reply({ ...request, sampling: { ...sampling, seed } }, signal, pace);
  });
}

/** Returns the body of a non-streamed response. */
export async function openAiResponse(
  form: OpenAiForm,
  request: TextRequest,
  signal: AbortSignal,
  pace: Pace,
): Promise<object> {
  const read = await Promise.all(replies(request, signal, pace).map(readReply));
  const choices = read.map(({ parts, finishReason }, index) => choice(index, form.whole(parts), finishReason));
  const completionTokens = read.reduce((sum, each) => sum + each.completionTokens, 0);
  return { ...head(form, form.object, request), choices, usage: usageOf(request, completionTokens) };
}

/**
 * Yields the chunks of a streamed response. Each choice has one chunk per token, followed by a chunk with the finish
 * reason. If the request asks for usage, the last chunk contains it. If there are several choices, their tokens
 * alternate.
 */
export async function* openAiChunks(
  form: OpenAiForm,
  request: TextRequest,
  signal: AbortSignal,
  pace: Pace,
): AsyncGenerator<object> {
  const common = { ...head(form, form.chunkObject, request), ...(request.includesUsage ? { usage: null } : {}) };
  let open = replies(request, signal, pace).map((parts, index) => ({ parts, index }));
  if (form.first !== undefined) {
    for (const { index } of open) yield { ...common, choices: [choice(index, form.first, null)] };
  }
  let completionTokens = 0;
  while (open.length > 0) {
    for (const each of open) {
      const { done, value } = await each.parts.next();
      if (done) {
        completionTokens += value.completionTokens;
        open = open.filter((other) => other !== each);
        yield { ...common, choices: [choice(each.index, form.chunk(undefined), value.finishReason)] };
      } else yield { ...common, choices: [choice(each.index, form.chunk(value), null)] };
    }
  }
  if (request.includesUsage) yield { ...common, choices: [], usage: usageOf(request, completionTokens) };
}

function head({ idPrefix }: OpenAiForm, object: string, { model }: TextRequest): object {
  return { id: idPrefix + randomUuid(), object, created: Math.floor(Date.now() / 1000), model };
}

function choice(index: number, content: object, finishReason: ReplyEnd["finishReason"] | null): object {
  return { index, ...content, logprobs: null, finish_reason: finishReason };
}

function usageOf({ promptTokens }: TextRequest, completionTokens: number): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
