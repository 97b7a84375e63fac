import type { EmulatorCall, EmulatorService } from "../service.js";
import type { EmulatorServiceSocket } from "../socket.js";
import { growingReply, readOlderRequest } from "./llm/older-form.js";
import { CHAT, COMPLETION, type OpenAiForm, openAiAnswer, openAiChunks } from "./llm/openai-answer.js";
import {
  type Fields,
  LLM_CONTEXT_TOKENS,
  LLM_MODEL,
  LlmRefusal,
  readChatRequest,
  readCompletionRequest,
  readFields,
  type TextRequest,
} from "./llm/text-request.js";

const CHAT_PATH = "/v1/chat/completions";

/** By path and method. */
const ROUTES: Readonly<Record<string, Readonly<Record<string, (call: EmulatorCall) => Response | Promise<Response>>>>> =
  {
    "/health": { GET: () => answer("", "text/plain") },
    "/v1/models": { GET: () => answerJson(200, MODELS) },
    [CHAT_PATH]: { POST: (call) => answerOpenAi(CHAT, readChatRequest, call) },
    "/v1/completions": { POST: (call) => answerOpenAi(COMPLETION, readCompletionRequest, call) },
    "": { POST: answerOlder },
  };

const MODELS = {
  object: "list",
  data: [
    {
      id: LLM_MODEL,
      object: "model",
      created: 1_735_689_600,
      owned_by: "eas-prediction",
      root: LLM_MODEL,
      parent: null,
      max_model_len: LLM_CONTEXT_TOKENS,
    },
  ],
};

/** A language model as vLLM serves it, over HTTP and over WebSocket. */
export const llmService: EmulatorService = { methods: ["GET", "POST"], handle, socket: chat };

async function handle(call: EmulatorCall): Promise<Response> {
  const path = call.path.replace(/\/$/, "");
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (route === undefined) return answerJson(404, { detail: "Not Found" });
  const answerCall = Object.hasOwn(route, call.method) ? route[call.method] : undefined;
  if (answerCall === undefined) {
    return answerJson(405, { detail: "Method Not Allowed" }, { allow: Object.keys(route).join(", ") });
  }
  try {
    return await answerCall(call);
  } catch (error) {
    if (error instanceof LlmRefusal) return answerJson(error.status, error);
    throw error;
  }
}

async function answerOpenAi(
  form: OpenAiForm,
  read: (fields: Fields) => TextRequest,
  { body, headers, signal }: EmulatorCall,
): Promise<Response> {
  const [mediaType] = (headers.get("content-type") ?? "").split(";");
  if (mediaType?.trim().toLowerCase() !== "application/json") {
    return answerJson(415, { detail: "Unsupported Media Type: Only 'application/json' is allowed" });
  }
  const request = read(readFields(textOf(body)));
  if (!request.isStreamed) return answerJson(200, await openAiAnswer(form, request, signal));
  return answerStream("text/event-stream; charset=utf-8", events(openAiChunks(form, request, signal)), signal);
}

/** Server-sent events, and the one by which OpenAI's interface says that there are no more. */
async function* events(chunks: AsyncIterable<object>): AsyncGenerator<string> {
  for await (const chunk of chunks) yield `data: ${JSON.stringify(chunk)}\n\n`;
  yield "data: [DONE]\n\n";
}

async function answerOlder({ body, signal }: EmulatorCall): Promise<Response> {
  const request = readOlderRequest(readFields(textOf(body)));
  const replies = growingReply(request, signal);
  if (request.isStreamed && !request.isPlain)
    return answerStream("application/octet-stream", endedByNul(replies), signal);
  let text = "";
  for await (const grown of replies) text = grown;
  return request.isPlain ? answer(text, "text/plain; charset=utf-8") : answerJson(200, { response: text });
}

async function* endedByNul(replies: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const response of replies) yield `${JSON.stringify({ response })}\0`;
}

/** Answers each message with a chat request in it by one message for each chunk, and `[DONE]`; one request after the other. */
function chat(call: EmulatorCall, socket: EmulatorServiceSocket): void {
  if (!["", "/", CHAT_PATH].includes(call.path)) {
    socket.close(1008, "Not Found");
    return;
  }
  let last: Promise<void> = Promise.resolve();
  const answerMessage = async (message: string | Uint8Array) => {
    try {
      const request = readChatRequest(readFields(typeof message === "string" ? message : textOf(message)));
      for await (const chunk of openAiChunks(CHAT, request, call.signal)) socket.send(JSON.stringify(chunk));
    } catch (error) {
      if (call.signal.aborted) return;
      if (!(error instanceof LlmRefusal)) throw error;
      socket.send(JSON.stringify(error));
    }
    socket.send("[DONE]");
  };
  socket.onMessage = (message) => {
    last = last.then(() => answerMessage(message));
    return last;
  };
}

/** Sends what a generator gives as the caller takes it, a chunk of the body for each text; it fails when the caller goes. */
function answerStream(contentType: string, texts: AsyncGenerator<string>, signal: AbortSignal): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        signal.throwIfAborted();
        const { done, value } = await texts.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
    },
    // Nothing is computed before somebody waits for it, so that one who has gone needs no word.
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": contentType, "cache-control": "no-cache" } });
}

function answerJson(status: number, value: object, headers?: Readonly<Record<string, string>>): Response {
  return answer(JSON.stringify(value), "application/json", status, headers);
}

function answer(text: string, contentType: string, status = 200, headers?: Readonly<Record<string, string>>): Response {
  const body = new TextEncoder().encode(text);
  return new Response(body, {
    status,
    headers: { "content-type": contentType, "content-length": String(body.length), ...headers },
  });
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
