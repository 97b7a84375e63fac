import { isRecord } from "../../../util/realms.js";
import { randomUuid } from "../../../util/uuid.js";
import { checkLength } from "./embeddings.js";
import { type Fields, invalid, LlmRefusal, readBoolean, readNumber } from "./interfaces/fields.js";
import { countTokens } from "./interfaces/text-request.js";
import { type LlmSettings, readModel } from "./settings.js";

/** Maximum number of documents in one request. */
const MAX_DOCUMENTS = 2048;

/** Returns the response body of `/rerank`, `/v1/rerank` and `/v2/rerank`: documents by similarity to the query, best first. */
export async function rerankDocuments(fields: Fields, settings: LlmSettings): Promise<object> {
  const model = readModel(fields, settings);
  const { query } = fields;
  if (typeof query !== "string") throw invalid("query", query, "a string");
  const documents = readDocuments(fields.documents);
  const isCount = (value: number) => Number.isInteger(value) && value >= 0;
  const topN = readNumber(fields, "top_n", "an integer; 0 returns all documents", 0, isCount);
  const hasDocuments = readBoolean(fields, "return_documents", true);
  const { featuresOf, similarity } = await import("../../models/text-vectors.js");
  const { text, tokens } = checkLength("query", { text: query, tokens: countTokens([query]) });
  const wanted = featuresOf(text);
  const results = documents.map((document, index) => ({
    index,
    ...(hasDocuments ? { document: { text: document.text } } : {}),
    relevance_score: similarity(wanted, featuresOf(document.text)),
  }));
  results.sort((a, b) => b.relevance_score - a.relevance_score);
  const total = documents.reduce((sum, document) => sum + document.tokens + tokens, 0);
  return {
    id: `rerank-${randomUuid()}`,
    model,
    usage: { prompt_tokens: total, total_tokens: total },
    results: topN === 0 ? results : results.slice(0, topN),
  };
}

function readDocuments(documents: unknown): readonly { readonly text: string; readonly tokens: number }[] {
  if (!Array.isArray(documents) || documents.length === 0)
    throw invalid("documents", documents, "a non-empty list of strings");
  if (documents.length > MAX_DOCUMENTS) {
    throw new LlmRefusal(`documents has ${documents.length} texts: the maximum is ${MAX_DOCUMENTS}`, "documents");
  }
  return documents.map((document: unknown, index) => {
    const text = isRecord(document) ? document.text : document;
    if (typeof text === "string") return checkLength(`documents[${index}]`, { text, tokens: countTokens([text]) });
    throw invalid(`documents[${index}]`, document, 'a string, or an object such as {"text": …}');
  });
}
