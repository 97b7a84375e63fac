import { joinChunks, totalLength } from "../../platform/chunks.js";
import type { EmulatorCall } from "../services/service.js";
import { type Engine, EngineError, type EngineResponse, withLimit } from "./engine.js";
import { readEvents } from "./event-reader.js";
import { engineRequest, type Gateway, type Generation, hasTooLargeHeaders, type NoEngine } from "./gateway.js";
import { utf8 } from "./go-text.js";
import { JsonError, scanJson } from "./json-scanner.js";
import { completeResponse, type Flushed, flushedResponse, textResponse } from "./responses.js";
import { acceptThrough } from "./socket-bridge.js";

/** Maximum number of retries of a request whose connection broke before the response headers. */
const MAX_RETRIES = 3;
/** Text that the gateway appends to an incomplete response, before it ends the response normally. */
const BROKEN = "Bad Request\n";

const HOP_HEADERS = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "trailers",
  "transfer-encoding",
  "upgrade",
  "content-length",
];

/** Responses to requests for which no engine is available. */
const NO_ENGINE: Readonly<Record<NoEngine, () => Response>> = {
  unknown: () => textResponse(404, "no backend endpoint found"),
  busy: () => textResponse(429, "too many requests"),
  overflow: () => textResponse(429, "requests buffer queue overflow"),
};

/** Emulates the gateway of January 2026. */
export function firstGeneration(gateway: Gateway): Generation {
  return {
    handle: (call) => handle(gateway, call),
    accept: (call) => acceptThrough(gateway, call, (reason) => NO_ENGINE[reason]()),
  };
}

/** Creates the response to a request whose headers are too large. */
export const tooLargeHeaders = (): Response =>
  completeResponse(
    431,
    { "content-type": "text/plain; charset=utf-8", connection: "close" },
    "431 Request Header Fields Too Large",
  );

async function handle(gateway: Gateway, call: EmulatorCall): Promise<Response> {
  if (hasTooLargeHeaders(call)) return tooLargeHeaders();
  if (call.path === "/healthz") return completeResponse(200, {});
  let isStream: boolean;
  try {
    isStream = requestsStream(call.body);
  } catch (error) {
    if (error instanceof JsonError) return textResponse(400, error.message);
    throw error;
  }
  if (call.path === "/v1/models" && call.query.size === 0) return forwardUnchanged(gateway, call);
  const engine = await gateway.take(call.signal, true);
  if (typeof engine === "string") return NO_ENGINE[engine]();
  return forward(gateway, engine, call, isStream);
}

function requestsStream(body: Uint8Array): boolean {
  const { stream } = body.length === 0 ? { stream: undefined } : scanJson(body);
  return stream === "true" || stream?.toLowerCase() === '"true"';
}

function forwardedHeaders({ headers }: EmulatorCall): Headers {
  const forwarded = withoutHopHeaders(headers);
  const before = forwarded.get("x-forwarded-for");
  forwarded.set("x-forwarded-for", before === null ? "127.0.0.1" : `${before}, 127.0.0.1`);
  forwarded.set("x-proxy-server", "llm-gateway");
  return forwarded;
}

function withoutHopHeaders(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of HOP_HEADERS) kept.delete(name);
  return kept;
}

/** Forwards a request to any engine and returns the engine's response unchanged, including errors. */
async function forwardUnchanged(gateway: Gateway, call: EmulatorCall): Promise<Response> {
  const engine = gateway.pick();
  if (engine === undefined) return NO_ENGINE.unknown();
  const life = new AbortController();
  try {
    const request = engineRequest(call, { headers: forwardedHeaders(call) });
    const { status, headers, body } = await gateway.client.send(engine, request, life.signal, MAX_RETRIES);
    return completeResponse(status, withoutHopHeaders(headers), await readBody(body));
  } catch (error) {
    if (error instanceof EngineError) return textResponse(400, error.message);
    throw error;
  } finally {
    life.abort();
  }
}

/**
 * Forwards a request to a reserved engine and returns the response. The call to the engine continues even if the client
 * disconnects.
 */
async function forward(gateway: Gateway, engine: Engine, call: EmulatorCall, isStream: boolean): Promise<Response> {
  const life = new AbortController();
  const finish = () => {
    if (life.signal.aborted) return;
    life.abort();
    gateway.release(engine);
  };
  let response: EngineResponse;
  try {
    const request = engineRequest(call, { headers: forwardedHeaders(call) });
    response = await gateway.client.send(engine, request, life.signal, MAX_RETRIES);
    if (response.status !== 200) {
      const text = await readBody(response.body, true);
      finish();
      return textResponse(response.status, text);
    }
  } catch (error) {
    finish();
    if (error instanceof EngineError) return textResponse(400, error.message);
    throw error;
  }
  const headers = withoutHopHeaders(response.headers);
  return flushedResponse(headers, flushed(gateway, response, isStream, finish), call.signal);
}

async function* flushed(
  { settings: { maxEventBytes, readTimeout } }: Gateway,
  { body }: EngineResponse,
  isStream: boolean,
  finish: () => void,
): Flushed {
  const chunks = isStream ? readEvents(body, maxEventBytes) : body;
  try {
    for (;;) {
      const next = await (isStream ? withLimit(chunks.next(), readTimeout, "read timeout") : chunks.next());
      if (next.done) return new Uint8Array();
      if (next.value.length > 0) yield isStream ? formatEvent(next.value) : next.value;
    }
  } catch (error) {
    if (error instanceof EngineError) return utf8(BROKEN);
    throw error;
  } finally {
    finish();
  }
}

/** Formats an event like the gateway, which writes the field name only before the first line of the data. */
export function formatEvent(data: Uint8Array): Uint8Array {
  const event = new Uint8Array(data.length + 8);
  event.set(utf8("data: "));
  event.set(data, 6);
  event.set([10, 10], data.length + 6);
  return event;
}

/** Reads a body to its end. With `allowPartial`, returns an incomplete body instead of throwing an `EngineError`. */
export async function readBody(chunks: AsyncGenerator<Uint8Array>, allowPartial = false): Promise<Uint8Array> {
  const bytes: Uint8Array[] = [];
  try {
    for await (const chunk of chunks) bytes.push(chunk);
  } catch (error) {
    if (!allowPartial || !(error instanceof EngineError)) throw error;
  }
  return joinChunks(bytes, totalLength(bytes));
}
