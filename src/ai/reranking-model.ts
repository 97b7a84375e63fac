import { isEasError } from "../errors.js";
import type { OpenAIOptions } from "../predict/client.js";
import { apiCallError, isRetryableStatus } from "./api-call-error.js";
import type { RerankingModel, RerankingOptions, RerankingResult } from "./sdk-types.js";

type Service = Pick<OpenAIOptions, "baseURL" | "fetch">;

/**
 * Returns a reranking model for the AI SDK. The model calls `/v1/rerank`, which vLLM, SGLang and other engines support.
 */
export function rerankingModel(
  service: Service,
  specificationVersion: RerankingModel["specificationVersion"],
  modelId: string,
): RerankingModel {
  return {
    specificationVersion,
    provider: "eas.reranking",
    modelId,
    doRerank: (options) => rerank(service, modelId, options),
  };
}

async function rerank({ baseURL, fetch }: Service, model: string, options: RerankingOptions): Promise<RerankingResult> {
  const { documents, query, topN, abortSignal, headers, providerOptions } = options;
  const isText = documents.type === "text";
  const values = {
    model,
    query,
    documents: isText ? documents.values : documents.values.map((value) => JSON.stringify(value)),
    ...(topN !== undefined && { top_n: topN }),
    ...providerOptions?.eas,
  };
  const call = { url: `${baseURL}/rerank`, requestBodyValues: values };
  const response = await fetch(call.url, {
    method: "POST",
    headers: { ...definedOf(headers), "content-type": "application/json" },
    body: JSON.stringify(values),
    ...(abortSignal && { signal: abortSignal }),
  }).catch((cause: unknown) => {
    throw isEasError(cause) ? apiCallError(cause.message, { ...call, isRetryable: cause.retryable, cause }) : cause;
  });
  const { status: statusCode } = response;
  const responseHeaders = Object.fromEntries(response.headers);
  const facts = { ...call, statusCode, responseHeaders };
  const responseBody = await response.text().catch((cause: unknown) => {
    throw isEasError(cause) ? apiCallError(cause.message, { ...facts, isRetryable: false, cause }) : cause;
  });
  const body = parsed(responseBody);
  if (!response.ok) {
    const message = body?.error?.message ?? response.statusText;
    const isRetryable = isRetryableStatus(statusCode, response.headers);
    throw apiCallError(message, { ...facts, responseBody, isRetryable });
  }
  const ranking = body?.results?.map(({ index, relevance_score }) => ({ index, relevanceScore: relevance_score }));
  if (!ranking?.every(({ index, relevanceScore }) => Number.isInteger(index) && Number.isFinite(relevanceScore))) {
    const message = `the response of ${call.url} is not {"results": [{"index", "relevance_score"}]}, but ${responseBody.slice(0, 200)}: check that the service has a reranking model`;
    throw apiCallError(message, { ...facts, responseBody, isRetryable: false });
  }
  return {
    ranking: ranking.sort((a, b) => b.relevanceScore - a.relevanceScore),
    warnings: isText ? [] : [OBJECTS_WARNING],
    response: { headers: responseHeaders, body, ...(body?.id && { id: body.id }), modelId: body?.model ?? model },
  };
}

const OBJECTS_WARNING = {
  type: "compatibility" as const,
  feature: "object documents",
  details: "Objects are sent as JSON text.",
};

/** Fields that a response may have. They are not validated. */
interface RerankResponse {
  readonly id?: string;
  readonly model?: string;
  readonly results?: readonly { readonly index: number; readonly relevance_score: number }[];
  readonly error?: { readonly message?: string };
}

function parsed(text: string): RerankResponse | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { results, ...rest } = value as RerankResponse;
    return isListOfObjects(results) ? { ...rest, results } : rest;
  } catch {
    return undefined;
  }
}

function isListOfObjects<T>(value: readonly T[] | undefined): value is readonly T[] {
  return Array.isArray(value) && value.every((item) => typeof item === "object" && item !== null);
}

function definedOf(headers: RerankingOptions["headers"]): Record<string, string> {
  const pairs = Object.entries(headers ?? {}).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return Object.fromEntries(pairs);
}
