import { createOpenAICompatible, type OpenAICompatibleProvider } from "@ai-sdk/openai-compatible";
import { isEasError } from "../errors.js";
import type { OpenAIOptions, PredictClient } from "../predict/client.js";
import type { LibraryOptions } from "../predict/fetch/client-fetch.js";
import { optionError } from "../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../util/option-names.js";
import { isError } from "../util/realms.js";
import { apiCallError, withEasDetails } from "./api-call-error.js";
import { rerankingModel } from "./reranking-model.js";
import type { LanguageModel, LanguageModelOptions, RerankingModel, StreamPart } from "./sdk-types.js";

/** Options for `createEas`. */
export interface EasProviderOptions extends LibraryOptions {
  /** The client of the service, which keeps the token. The client may be configured later. */
  readonly client: Pick<PredictClient, "openai">;
  /** Whether streams request the token usage (`stream_options.include_usage`). Default true. */
  readonly includeUsage?: boolean | undefined;
  /** Whether JSON schemas are sent (`response_format: json_schema`), which vLLM and SGLang support. Default true. */
  readonly supportsStructuredOutputs?: boolean | undefined;
}

const OPTIONS: OptionNames<EasProviderOptions> = { client: 1, auth: 1, includeUsage: 1, supportsStructuredOutputs: 1 };

/** A provider for the Vercel AI SDK. When called with a model name, it returns a chat model. */
export interface EasProvider extends OpenAICompatibleProvider {
  /** Returns a chat model (`/v1/chat/completions`), as calling the provider does. */
  chat(modelId: string): LanguageModel;
  /** Returns a reranking model (`/v1/rerank`). */
  rerankingModel(modelId: string): RerankingModel;
}

/**
 * Creates a provider for the Vercel AI SDK. Version 3 of `@ai-sdk/openai-compatible` supports ai 7, version 2 supports
 * ai 6. Pass engine-specific fields in `providerOptions.eas`, for example `{ chat_template_kwargs: { … } }`. Throws a
 * `TypeError` for an invalid option.
 *
 * @example
 * const eas = createEas({ client });
 * const { text } = await generateText({ model: eas("qwen3"), prompt: "…" });
 */
export function createEas(options: EasProviderOptions): EasProvider {
  checkOptionNames("createEas", options, OPTIONS);
  const { client, auth, includeUsage = true, supportsStructuredOutputs = true } = options;
  if (typeof client?.openai !== "function") throw optionError("client", client, "be a PredictClient");
  const service = client.openai({ auth });
  const base = createOpenAICompatible({
    ...service,
    name: "eas",
    fetch: networkErrorsFor(service.fetch),
    includeUsage,
    supportsStructuredOutputs,
  });
  const chat = (modelId: string) => withErrors(base.chatModel(modelId));
  const embeddingModel = (modelId: string) => {
    const model = base.embeddingModel(modelId);
    const doEmbed = model.doEmbed.bind(model);
    return Object.assign(model, {
      doEmbed: (...args: Parameters<typeof doEmbed>) => withErrorDetails(doEmbed(...args)),
    });
  };
  return Object.assign((modelId: string) => chat(modelId), {
    ...base,
    chat,
    chatModel: chat,
    languageModel: chat,
    completionModel: (modelId: string) => withErrors(base.completionModel(modelId)),
    embeddingModel,
    textEmbeddingModel: embeddingModel,
    rerankingModel: (modelId: string) => rerankingModel(service, base.specificationVersion, modelId),
  });
}

/** Converts the client's retryable errors to network errors, which the SDK retries. */
function networkErrorsFor(fetch: OpenAIOptions["fetch"]): OpenAIOptions["fetch"] {
  return async (input, init) => {
    try {
      return await fetch(input, init);
    } catch (cause) {
      throw isEasError(cause) && cause.retryable ? new TypeError("fetch failed", { cause }) : cause;
    }
  };
}

/** Adds details from the client's errors to a model's errors, and sends `topK`. */
function withErrors(model: LanguageModel): LanguageModel {
  const doGenerate = model.doGenerate.bind(model);
  const doStream = model.doStream.bind(model);
  return Object.assign(model, {
    doGenerate: (options: LanguageModelOptions) => withErrorDetails(doGenerate(withTopK(options))),
    doStream: async (options: LanguageModelOptions) => {
      const result = await withErrorDetails(doStream(withTopK(options)));
      return { ...result, stream: withStreamErrors(result.stream) };
    },
  });
}

/** Sends `topK` as `top_k`. Needed because the SDK's package for OpenAI-compatible services omits this setting. */
function withTopK({ topK, ...options }: LanguageModelOptions): LanguageModelOptions {
  if (topK === undefined) return options;
  const { providerOptions } = options;
  return { ...options, providerOptions: { ...providerOptions, eas: { top_k: topK, ...providerOptions?.eas } } };
}

async function withErrorDetails<T>(result: PromiseLike<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw withEasDetails(error);
  }
}

/**
 * Returns a stream that handles an error in two steps. First, the stream yields a part with the error for `onError` and
 * web pages. Then it fails, so that its text is not considered complete.
 */
function withStreamErrors(stream: ReadableStream<StreamPart>): ReadableStream<StreamPart> {
  const reader = stream.getReader();
  let failed: { readonly error: unknown } | undefined;
  const next = async (): Promise<StreamPart | undefined> => {
    try {
      const { value } = await reader.read();
      return value?.type === "error" ? { ...value, error: asError(value.error) } : value;
    } catch (error) {
      return { type: "error", error: withEasDetails(error) };
    }
  };
  return new ReadableStream<StreamPart>({
    async pull(controller) {
      if (failed !== undefined) return controller.error(failed.error);
      const part = await next();
      if (part === undefined) return controller.close();
      if (part.type === "error") {
        failed = part;
        reader.cancel(part.error).catch(() => {});
      }
      controller.enqueue(part);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/** Converts an error in a stream, which is a plain object in the SDK, to an `Error`. */
function asError(error: unknown): unknown {
  const { message, code } = (error ?? {}) as { readonly message?: unknown; readonly code?: unknown };
  if (isError(error) || typeof message !== "string") return error;
  const statusCode = typeof code === "number" ? code : undefined;
  const url = "";
  return apiCallError(message, { url, requestBodyValues: undefined, statusCode, isRetryable: false, cause: error });
}
