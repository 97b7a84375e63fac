import { randomUuid } from "../../../util/uuid.js";
import { type Fields, invalid, LlmRefusal, readNumber, readText } from "./interfaces/fields.js";
import { countTokens } from "./interfaces/text-request.js";
import { yieldToEventLoop } from "./pace.js";
import { LLM_CONTEXT_TOKENS, type LlmSettings, readModel } from "./settings.js";

/** Maximum number of inputs in one request, as in OpenAI's interface. */
const MAX_INPUTS = 2048;
/** Number of inputs to compute before yielding to the event loop. */
const INPUTS_PER_SLICE = 64;

/** Returns the response body of `/v1/embeddings`. */
export async function createEmbeddings(fields: Fields, settings: LlmSettings, signal: AbortSignal): Promise<object> {
  const model = readModel(fields, settings);
  const inputs = readInputs(fields.input);
  const { EMBEDDING_DIMENSIONS, embed, featuresOf } = await import("../../models/text-vectors.js");
  const expected = `an integer from 1 to ${EMBEDDING_DIMENSIONS}`;
  const isValid = (value: number) => Number.isInteger(value) && value >= 1 && value <= EMBEDDING_DIMENSIONS;
  const dimensions = readNumber(fields, "dimensions", expected, EMBEDDING_DIMENSIONS, isValid);
  const format = readText(fields, "encoding_format") ?? "float";
  if (format !== "float" && format !== "base64") throw invalid("encoding_format", format, '"float" or "base64"');
  const data: object[] = [];
  for (const [index, { text }] of inputs.entries()) {
    if (index % INPUTS_PER_SLICE === 0) await yieldToEventLoop();
    signal.throwIfAborted();
    const vector = embed(featuresOf(text), dimensions);
    data.push({ index, object: "embedding", embedding: format === "base64" ? toBase64(vector) : [...vector] });
  }
  const tokens = inputs.reduce((sum, input) => sum + input.tokens, 0);
  return {
    id: `embd-${randomUuid()}`,
    object: "list",
    created: Math.floor(Date.now() / 1000),
    model,
    data,
    usage: { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null },
  };
}

interface Input {
  readonly text: string;
  readonly tokens: number;
}

function readInputs(input: unknown): readonly Input[] {
  const isOne = typeof input === "string" || (Array.isArray(input) && typeof input[0] === "number");
  const list: unknown = isOne ? [input] : input;
  if (!Array.isArray(list) || list.length === 0) {
    throw invalid("input", input, "a string, a list of token ids, or a non-empty list of them");
  }
  if (list.length > MAX_INPUTS)
    throw new LlmRefusal(`input has ${list.length} texts: the maximum is ${MAX_INPUTS}`, "input");
  return list.map((each: unknown, index) => readInput(isOne ? "input" : `input[${index}]`, each));
}

function readInput(name: string, input: unknown): Input {
  if (typeof input === "string") return checkLength(name, { text: input, tokens: countTokens([input]) });
  if (!Array.isArray(input) || input.length === 0 || !input.every((id) => Number.isInteger(id) && id >= 0)) {
    throw invalid(name, input, "a string or a non-empty list of token ids");
  }
  // Treat each token id as a word, because the model does not have a table of token ids.
  return checkLength(name, { text: input.map((id) => `id${id}`).join(" "), tokens: input.length });
}

/** Returns the input. Throws an `LlmRefusal` if the input is longer than the model's context. */
export function checkLength<T extends Input>(name: string, input: T): T {
  if (input.tokens <= LLM_CONTEXT_TOKENS) return input;
  const message = `${name} has ${input.tokens} tokens: the context of this model is ${LLM_CONTEXT_TOKENS}`;
  throw new LlmRefusal(message, name);
}

/** Encodes float32 values in little-endian order. */
function toBase64(vector: Float32Array): string {
  const view = new DataView(new ArrayBuffer(4 * vector.length));
  for (const [index, value] of vector.entries()) view.setFloat32(4 * index, value, true);
  return btoa(Array.from(new Uint8Array(view.buffer), (byte) => String.fromCharCode(byte)).join(""));
}
