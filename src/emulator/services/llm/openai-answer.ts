import { randomUuid } from "../../../queue/random-uuid.js";
import type { FinishReason } from "../../models/language-model.js";
import { type ReplyEnd, reply } from "./reply.js";
import { LLM_MODEL, type TextRequest } from "./text-request.js";

/** How the two interfaces of OpenAI differ in their answers. */
export interface OpenAiForm {
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** What the choice of a whole answer holds. */
  whole(text: string): object;
  /** What the choice of a first chunk holds; undefined when there is no such chunk. */
  readonly first: object | undefined;
  /** What the choice of a chunk holds; the last one has no text. */
  chunk(text: string | undefined): object;
}

/** The answers of `/v1/chat/completions`. */
export const CHAT: OpenAiForm = {
  idPrefix: "chatcmpl-",
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  whole: (content) => ({ message: { role: "assistant", content, refusal: null } }),
  first: { delta: { role: "assistant", content: "" } },
  chunk: (content) => ({ delta: content === undefined ? {} : { content } }),
};

/** The answers of `/v1/completions`. */
export const COMPLETION: OpenAiForm = {
  idPrefix: "cmpl-",
  object: "text_completion",
  chunkObject: "text_completion",
  whole: (text) => ({ text }),
  first: undefined,
  chunk: (text = "") => ({ text }),
};

/** The whole answer to a request. */
export async function openAiAnswer(form: OpenAiForm, request: TextRequest, signal: AbortSignal): Promise<object> {
  const pieces = reply(request, signal);
  let text = "";
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) {
      const usage = usageOf(request, value);
      return { ...head(form, form.object), choices: [choice(form.whole(text), value.finishReason)], usage };
    }
    text += value;
  }
}

/** The chunks of a streamed answer: one for each token, one with the reason of the end, and one with the usage if asked for. */
export async function* openAiChunks(
  form: OpenAiForm,
  request: TextRequest,
  signal: AbortSignal,
): AsyncGenerator<object> {
  const common = { ...head(form, form.chunkObject), ...(request.includesUsage ? { usage: null } : {}) };
  if (form.first !== undefined) yield { ...common, choices: [choice(form.first, null)] };
  const pieces = reply(request, signal);
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) {
      yield { ...common, choices: [choice(form.chunk(undefined), value.finishReason)] };
      if (request.includesUsage) yield { ...common, choices: [], usage: usageOf(request, value) };
      return;
    }
    yield { ...common, choices: [choice(form.chunk(value), null)] };
  }
}

function head({ idPrefix }: OpenAiForm, object: string): object {
  return { id: idPrefix + randomUuid(), object, created: Math.floor(Date.now() / 1000), model: LLM_MODEL };
}

function choice(content: object, finishReason: FinishReason | null): object {
  return { index: 0, ...content, logprobs: null, finish_reason: finishReason };
}

function usageOf({ promptTokens }: TextRequest, { completionTokens }: ReplyEnd): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
