import { randomUuid } from "../../../../util/uuid.js";
import type { Pace } from "../pace.js";
import { type Piece, type Reply, type ReplyEnd, reply } from "../reply.js";
import type { TextRequest } from "./text-request.js";

/** The differences between the responses of OpenAI's two interfaces. */
export interface OpenAiForm {
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** Returns the content of a choice in a non-streamed response. */
  whole(pieces: readonly Piece[]): object;
  /** The content of the choice in the first chunk; undefined if the response does not start with such a chunk. */
  readonly first: object | undefined;
  /** Returns the content of the choice in a chunk. The last chunk has no part. */
  chunk(piece: Piece | undefined): object;
}

/** The responses of `/v1/chat/completions`. */
export const CHAT: OpenAiForm = {
  idPrefix: "chatcmpl-",
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  whole: (pieces) => ({ message: messageOf(pieces) }),
  first: { delta: { role: "assistant", content: "" } },
  chunk: (piece) => ({ delta: deltaOf(piece) }),
};

/** The responses of `/v1/completions`. */
export const COMPLETION: OpenAiForm = {
  idPrefix: "cmpl-",
  object: "text_completion",
  chunkObject: "text_completion",
  whole: (pieces) => ({ text: textOf(pieces, "text") }),
  first: undefined,
  chunk: (piece) => ({ text: piece?.kind === "text" ? piece.text : "" }),
};

/** Joins the text of all parts of a kind. */
export function textOf(pieces: readonly Piece[], kind: "text" | "reasoning"): string {
  return pieces.map((piece) => (piece.kind === kind ? piece.text : "")).join("");
}

/** Returns the calls in the parts of a reply, each with its complete arguments. */
export function callsOf(pieces: readonly Piece[]): { id: string; name: string; arguments: string }[] {
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const piece of pieces) {
    if (piece.kind === "call") calls.push({ id: piece.id, name: piece.name, arguments: "" });
    if (piece.kind === "arguments") calls[piece.index]!.arguments += piece.text;
  }
  return calls;
}

function messageOf(pieces: readonly Piece[]): object {
  const content = textOf(pieces, "text");
  const reasoning = textOf(pieces, "reasoning");
  const calls = callsOf(pieces).map(({ id, name, arguments: text }) => ({
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

function deltaOf(piece: Piece | undefined): object {
  switch (piece?.kind) {
    case undefined:
      return {};
    case "text":
      return { content: piece.text };
    case "reasoning":
      return { reasoning_content: piece.text };
    case "call": {
      const { index, id, name } = piece;
      return { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] };
    }
    case "arguments":
      return { tool_calls: [{ index: piece.index, function: { arguments: piece.text } }] };
  }
}

/** The parts and the result of a complete reply. */
export interface WholeReply extends ReplyEnd {
  readonly pieces: readonly Piece[];
}

/** Reads a reply to its end. */
export async function readReply(pieces: Reply): Promise<WholeReply> {
  const read: Piece[] = [];
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) return { ...value, pieces: read };
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
export async function openAiAnswer(
  form: OpenAiForm,
  request: TextRequest,
  signal: AbortSignal,
  pace: Pace,
): Promise<object> {
  const read = await Promise.all(replies(request, signal, pace).map(readReply));
  const choices = read.map(({ pieces, finishReason }, index) => choice(index, form.whole(pieces), finishReason));
  const completionTokens = read.reduce((sum, each) => sum + each.completionTokens, 0);
  return { ...head(form, form.object, request), choices, usage: usageOf(request, completionTokens) };
}

/**
 * Yields the chunks of a streamed response: for each choice one chunk for each token, then one with the finish reason. If the
 * request asks for usage, the last chunk contains it. The tokens of several choices alternate.
 */
export async function* openAiChunks(
  form: OpenAiForm,
  request: TextRequest,
  signal: AbortSignal,
  pace: Pace,
): AsyncGenerator<object> {
  const common = { ...head(form, form.chunkObject, request), ...(request.includesUsage ? { usage: null } : {}) };
  let open = replies(request, signal, pace).map((pieces, index) => ({ pieces, index }));
  if (form.first !== undefined) {
    for (const { index } of open) yield { ...common, choices: [choice(index, form.first, null)] };
  }
  let completionTokens = 0;
  while (open.length > 0) {
    for (const each of open) {
      const { done, value } = await each.pieces.next();
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
