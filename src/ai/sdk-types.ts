import type { OpenAICompatibleProvider } from "@ai-sdk/openai-compatible";

// The types follow the installed major version of the AI SDK: `LanguageModelV3` with ai 6, `LanguageModelV4` with ai
// 7.

/** A chat or completion model of the AI SDK. */
export type LanguageModel = ReturnType<OpenAICompatibleProvider["chatModel"]>;
/** A reranking model of the AI SDK. */
export type RerankingModel = ReturnType<NonNullable<OpenAICompatibleProvider["rerankingModel"]>>;

/** Options for a call to a language model. */
export type LanguageModelOptions = Parameters<LanguageModel["doStream"]>[0];
/** A part of a language model's stream. */
export type StreamPart =
  Awaited<ReturnType<LanguageModel["doStream"]>>["stream"] extends ReadableStream<infer P> ? P : never;
/** Options for a call to a reranking model. */
export type RerankingOptions = Parameters<RerankingModel["doRerank"]>[0];
/** The result of a call to a reranking model. */
export type RerankingResult = Awaited<ReturnType<RerankingModel["doRerank"]>>;
