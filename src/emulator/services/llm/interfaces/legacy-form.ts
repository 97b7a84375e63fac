import type { Pace } from "../pace.js";
import { reply } from "../reply.js";
import { LLM_CONTEXT_TOKENS, type LlmSettings } from "../settings.js";
import { type Fields, invalid } from "./fields.js";
import { readTextRequest, type TextRequest } from "./text-request.js";

/**
 * A request in the format of EAS's first LLM services, at the service's root path: `{"prompt": …, "use_stream_chat":
 * true}`, or `{"input_ids": …}` in even older services. `langchain-community` on GitHub contains clients for both
 * forms.
 */
export interface LegacyRequest extends TextRequest {
  /** Whether the response is plain text instead of JSON. */
  readonly isPlain: boolean;
}

/**
 * Reads a request in the legacy form, which does not name a model. Throws an `LlmRefusal` if the request is invalid.
 */
export function readLegacyRequest(fields: Fields, { models }: LlmSettings): LegacyRequest {
  const isPlain = fields.prompt === undefined && fields.input_ids !== undefined;
  const name = isPlain ? "input_ids" : "prompt";
  const prompt = fields[name];
  if (typeof prompt !== "string") throw invalid(name, prompt, "a string");
  const system = fields.system_prompt ?? "";
  if (typeof system !== "string") throw invalid("system_prompt", system, "a string");
  const history = fields.history ?? [];
  if (!Array.isArray(history) || !history.every(isExchange)) {
    throw invalid("history", history, "a list of [question, answer] pairs");
  }
  const { max_new_tokens, stop_sequences, use_stream_chat, stop, ...rest } = fields;
  // Python clients send the string "True".
  const stream = typeof use_stream_chat === "string" ? use_stream_chat.toLowerCase() : use_stream_chat;
  const common = { ...rest, stream, stop: stop ?? stop_sequences, max_tokens: max_new_tokens, n: 1 };
  const texts = [system, ...history.flat(), prompt];
  const request = readTextRequest(common, { prompt, texts, maxTokens: LLM_CONTEXT_TOKENS, isMessage: true });
  return { ...request, model: models[0] as string, isPlain };
}

function isExchange(pair: unknown): pair is [string, string] {
  return Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string");
}

/** Yields the text of a reply so far, after each token. */
export async function* cumulativeReply(request: TextRequest, signal: AbortSignal, pace: Pace): AsyncGenerator<string> {
  let text = "";
  for await (const part of reply(request, signal, pace)) {
    if (part.kind === "text") {
      text += part.text;
      yield text;
    }
  }
}
