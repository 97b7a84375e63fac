import { decode } from "../gateway/request-target.js";
import { createResponse } from "../response.js";
import type { EmulatorServiceSocket } from "../server/socket.js";
import { BATCH_ROUTES, createLlm, type Llm, type Routes } from "./llm/batches/batch-routes.js";
import { createEmbeddings } from "./llm/embeddings.js";
import { requireMaxTokens, toChatFields } from "./llm/interfaces/anthropic-request.js";
import { anthropicEvents, anthropicResponse } from "./llm/interfaces/anthropic-response.js";
import { readChatRequest } from "./llm/interfaces/chat-request.js";
import { type Fields, LlmRefusal, parseFields } from "./llm/interfaces/fields.js";
import {
  eventStreamResponse,
  jsonResponse,
  readJson,
  refusalResponse,
  refusalText,
  streamResponse,
  textOf,
} from "./llm/interfaces/http.js";
import { cumulativeReply, readLegacyRequest } from "./llm/interfaces/legacy-form.js";
import { CHAT, COMPLETION, type OpenAiForm, openAiChunks, openAiResponse } from "./llm/interfaces/openai-response.js";
import { readCompletionRequest, type TextRequest } from "./llm/interfaces/text-request.js";
import { rerankDocuments } from "./llm/rerank.js";
import { checkLlmOptions, LLM_CONTEXT_TOKENS, type LlmServiceOptions, type LlmSettings } from "./llm/settings.js";
import type { EmulatorCall, EmulatorService } from "./service.js";

const CHAT_PATH = "/v1/chat/completions";

const ROUTES: Routes = {
  "/health": { GET: () => createResponse(200, "", { "content-type": "text/plain" }) },
  "/v1/models": { GET: (_, settings) => jsonResponse(200, listModels(settings)) },
  [CHAT_PATH]: { POST: (call, settings) => handleOpenAi(CHAT, readChatRequest, call, settings) },
  "/v1/completions": { POST: (call, settings) => handleOpenAi(COMPLETION, readCompletionRequest, call, settings) },
  "/v1/messages": { POST: handleMessages },
  "/v1/messages/count_tokens": { POST: handleTokenCount },
  "/v1/embeddings": { POST: (call, settings) => handleJson(createEmbeddings, call, settings) },
  "/v1/rerank": { POST: (call, settings) => handleJson(rerankDocuments, call, settings) },
  "/v2/rerank": { POST: (call, settings) => handleJson(rerankDocuments, call, settings) },
  "/rerank": { POST: (call, settings) => handleJson(rerankDocuments, call, settings) },
  "": { POST: handleLegacy },
  ...BATCH_ROUTES,
};

/**
 * Creates a service like the demo service `llm`: a small language model with the interfaces of vLLM, over HTTP and WebSocket.
 * Each service has its own files and batches, which the emulator's `reset()` keeps.
 *
 * @throws TypeError or RangeError for invalid options.
 *
 * @example
 * createEmulator({ services: { slow: llmService({ tokensPerSecond: 20, models: ["qwen3-8b"] }) } });
 */
export function llmService(options: LlmServiceOptions = {}): EmulatorService {
  const llm = createLlm(checkLlmOptions(options), handle);
  return {
    methods: ["GET", "POST", "DELETE"],
    handle: (call) => handle(call, llm),
    socket: (call, socket) => chat(call, socket, llm),
  };
}

async function handle(call: EmulatorCall, llm: Llm): Promise<Response> {
  const path = call.path.replace(/\/$/, "");
  const [, room = "", id = "", rest = ""] = /^(\/v1\/(?:files|batches))\/([^/]+)(\/.*)?$/.exec(path) ?? [];
  const pattern = id === "" ? path : `${room}/*${rest}`;
  const route = Object.hasOwn(ROUTES, pattern) ? ROUTES[pattern] : undefined;
  if (route === undefined) return jsonResponse(404, { detail: "Not Found" });
  const handler = Object.hasOwn(route, call.method) ? route[call.method] : undefined;
  if (handler === undefined) {
    return jsonResponse(405, { detail: "Method Not Allowed" }, { allow: Object.keys(route).join(", ") });
  }
  try {
    return await handler(call, llm, decode(id));
  } catch (error) {
    if (error instanceof LlmRefusal) return refusalResponse(error, path, llm);
    throw error;
  }
}

function listModels({ models }: LlmSettings): object {
  const data = models.map((id) => ({
    id,
    object: "model",
    created: 1_735_689_600,
    owned_by: "eas-prediction",
    root: id,
    parent: null,
    max_model_len: LLM_CONTEXT_TOKENS,
  }));
  return { object: "list", data };
}

async function handleOpenAi(
  form: OpenAiForm,
  read: (fields: Fields, settings: LlmSettings) => TextRequest,
  call: EmulatorCall,
  settings: LlmSettings,
): Promise<Response> {
  const request = read(readJson(call, settings), settings);
  if (!request.isStreamed) return jsonResponse(200, await openAiResponse(form, request, call.signal, settings));
  return eventStreamResponse(events(openAiChunks(form, request, call.signal, settings)), call.signal);
}

/** Formats chunks as server-sent events, followed by the `[DONE]` event of OpenAI's interface. */
async function* events(chunks: AsyncIterable<object>): AsyncGenerator<string> {
  for await (const chunk of chunks) yield `data: ${JSON.stringify(chunk)}\n\n`;
  yield "data: [DONE]\n\n";
}

async function handleMessages(call: EmulatorCall, settings: LlmSettings): Promise<Response> {
  const fields = readJson(call, settings);
  requireMaxTokens(fields);
  const request = readChatRequest(toChatFields(fields), settings);
  if (!request.isStreamed) return jsonResponse(200, await anthropicResponse(request, call.signal, settings));
  return eventStreamResponse(anthropicEvents(request, call.signal, settings), call.signal);
}

function handleTokenCount(call: EmulatorCall, settings: LlmSettings): Response {
  const { promptTokens } = readChatRequest(toChatFields(readJson(call, settings)), settings);
  return jsonResponse(200, { input_tokens: promptTokens });
}

async function handleJson(
  respond: (fields: Fields, settings: LlmSettings, signal: AbortSignal) => Promise<object>,
  call: EmulatorCall,
  settings: LlmSettings,
): Promise<Response> {
  return jsonResponse(200, await respond(readJson(call, settings), settings, call.signal));
}

/** Responds to a request in EAS's legacy format. Accepts any content type, because the oldest services ignore it. */
async function handleLegacy({ body, signal }: EmulatorCall, settings: LlmSettings): Promise<Response> {
  const request = readLegacyRequest(parseFields(textOf(body)), settings);
  const replies = cumulativeReply(request, signal, settings);
  if (request.isStreamed && !request.isPlain)
    return streamResponse("application/octet-stream", endedByNul(replies), signal);
  let text = "";
  for await (const textSoFar of replies) text = textSoFar;
  return request.isPlain ? createResponse(200, text) : jsonResponse(200, { response: text });
}

async function* endedByNul(replies: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const response of replies) yield `${JSON.stringify({ response })}\0`;
}

/**
 * Handles each message as a chat request, one after another: sends one message for each chunk, followed by `[DONE]`.
 */
function chat(call: EmulatorCall, socket: EmulatorServiceSocket, settings: LlmSettings): void {
  if (!["", "/", CHAT_PATH].includes(call.path)) {
    socket.close(1008, "Not Found");
    return;
  }
  let last: Promise<void> = Promise.resolve();
  const handleMessage = async (message: string | Uint8Array) => {
    try {
      const text = typeof message === "string" ? message : textOf(message);
      const request = readChatRequest(parseFields(text), settings);
      const chunks = openAiChunks(CHAT, request, call.signal, settings);
      for await (const chunk of chunks) socket.send(JSON.stringify(chunk));
    } catch (error) {
      if (call.signal.aborted) return;
      if (!(error instanceof LlmRefusal)) throw error;
      socket.send(refusalText(error));
    }
    socket.send("[DONE]");
  };
  socket.onMessage = (message) => {
    last = last.then(() => handleMessage(message));
    return last;
  };
}
