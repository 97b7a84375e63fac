import { joinChunks, totalLength } from "../../platform/chunks.js";
import { linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import type { EmulatorCall } from "../services/service.js";
import { type Engine, EngineError, withLimit } from "./engine.js";
import { readEvents } from "./event-reader.js";
import { formatEvent, readBody, tooLargeHeaders } from "./first-generation.js";
import { engineRequest, type Gateway, type Generation, hasTooLargeHeaders } from "./gateway.js";
import { utf8 } from "./go-text.js";
import { type OpenAiRequest, readOpenAiRequest } from "./openai-request.js";
import { ResponseBuilder } from "./response-builder.js";
import { completeResponse, type Flushed, flushedResponse, textResponse } from "./responses.js";

/** Maximum number of retries of a request whose connection broke before the response headers. */
const MAX_RETRIES = 2;
const NO_ENGINE = '{"error": {"code": 503, "message": "no available inference worker"}}';
const DONE = "[DONE]";
const JSON_TYPE = { "content-type": "application/json" };
const EVENTS_TYPE = { "content-type": "text/event-stream; charset=utf-8" };

/** Emulates the gateway of April 2026. */
export function secondGeneration(gateway: Gateway): Generation {
  const handler = (call: EmulatorCall) => handle(gateway, call);
  return { handle: handler, accept: handler };
}

async function handle(gateway: Gateway, call: EmulatorCall): Promise<Response> {
  if (hasTooLargeHeaders(call)) return tooLargeHeaders();
  switch (call.path) {
    case "/healthz":
      return completeResponse(200, {});
    case "/metrics":
      return completeResponse(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }, metricsOf(gateway));
    case "/v1/models":
      return handleModels(gateway, call);
    case "/v1/chat/completions":
    case "/v1/completions":
      return handleOpenAi(gateway, call);
    default:
      return textResponse(404, "404 page not found");
  }
}

function metricsOf({ engines }: Gateway): string {
  const active = engines.reduce((sum, engine) => sum + engine.active, 0);
  return `# TYPE gateway_current_requests gauge\ngateway_current_requests ${active}\n`;
}

async function handleModels(gateway: Gateway, call: EmulatorCall): Promise<Response> {
  const engine = gateway.pick();
  if (engine === undefined) return textResponse(503, "failed to get endpoint");
  try {
    const { status, headers, body } = await gateway.client.send(engine, engineRequest(call), call.signal, 0);
    return completeResponse(status, headers, await readBody(body, true));
  } catch (error) {
    call.signal.throwIfAborted();
    if (error instanceof EngineError) return textResponse(502, "failed to forward request");
    throw error;
  }
}

async function handleOpenAi(gateway: Gateway, call: EmulatorCall): Promise<Response> {
  const request = readOpenAiRequest(call, gateway.settings.countTokens);
  if (request === undefined) return textResponse(400, "Invalid OpenAI request");
  const engine = await gateway.take(call.signal, false);
  // Unlike the first generation, the second generation waits indefinitely while its engines are busy.
  if (typeof engine === "string") return errorResponse(request, 503, utf8(NO_ENGINE));
  const life = new AbortController();
  const messages = rebuildMessages(gateway, engine, call, request, life);
  try {
    const first = await messages.next();
    if (first.done) return completeResponse(400, {});
    if (request.isStream) {
      return await flushedResponse(EVENTS_TYPE, formatEvents(first.value, messages), call.signal, () => life.abort());
    }
    await messages.return();
    return completeResponse(200, JSON_TYPE, first.value);
  } catch (error) {
    call.signal.throwIfAborted();
    if (error instanceof UpstreamError) return errorResponse(request, error.status, error.body);
    if (error instanceof EngineError) return errorResponse(request, 400, utf8(error.message));
    throw error;
  }
}

/** Thrown when an engine responds with a status other than 200. */
class UpstreamError extends Error {
  readonly status: number;
  readonly body: Uint8Array;

  constructor(status: number, body: Uint8Array) {
    super(`status ${status}`);
    this.status = status;
    this.body = body;
  }
}

function errorResponse({ isStream }: OpenAiRequest, status: number, body: Uint8Array): Response {
  if (!isStream) return completeResponse(status, JSON_TYPE, body);
  const events = [formatEvent(body), formatEvent(utf8(DONE))];
  return completeResponse(status, EVENTS_TYPE, joinChunks(events, totalLength(events)));
}

/** Formats messages as events. If an error occurs after the first event, the response ends without an error message. */
async function* formatEvents(first: string, messages: AsyncGenerator<string>): Flushed {
  try {
    yield formatEvent(utf8(first));
    for await (const message of messages) yield formatEvent(utf8(message));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
  } finally {
    await messages.return(undefined);
  }
  return new Uint8Array();
}

/** Yields the messages that the gateway builds from an engine's response, and `[DONE]`. Releases the engine at the end. */
async function* rebuildMessages(
  gateway: Gateway,
  engine: Engine,
  call: EmulatorCall,
  request: OpenAiRequest,
  life: AbortController,
): AsyncGenerator<string, void, undefined> {
  const { maxEventBytes, readTimeout, countTokens } = gateway.settings;
  const abort = { abort: (reason: unknown) => life.abort(reason) };
  linkSignal(call.signal, abort);
  try {
    const events = readEvents(await generate(gateway, engine, call, request, life.signal), maxEventBytes);
    const builder = new ResponseBuilder(request, countTokens);
    for (;;) {
      const next = await withLimit(events.next(), readTimeout, "read timeout");
      if (next.done) return;
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(next.value);
      const isDone = text === DONE;
      const message = isDone ? builder.end() : builder.push(text);
      if (message !== undefined) yield message;
      if (isDone) yield DONE;
      if (!builder.isFull) continue;
      const last = builder.end();
      if (last !== undefined) yield last;
      yield DONE;
      return;
    }
  } finally {
    unlinkSignal(call.signal, abort);
    life.abort();
    gateway.release(engine);
  }
}

/** Requests a stream of text from an engine and returns its body. */
async function generate(
  { client }: Gateway,
  engine: Engine,
  call: EmulatorCall,
  { body }: OpenAiRequest,
  life: AbortSignal,
): Promise<AsyncGenerator<Uint8Array>> {
  const headers = new Headers(call.headers);
  headers.delete("content-length");
  const completion = engineRequest(call, { method: "POST", path: "/v1/completions", search: "", headers, body });
  const response = await client.send(engine, completion, life, MAX_RETRIES).catch((error: EngineError) => {
    throw new EngineError(`network error for request to ${engine.origin}/v1/completions: ${error.message}`);
  });
  if (response.status === 200) return response.body;
  throw new UpstreamError(response.status, await readBody(response.body, true));
}
