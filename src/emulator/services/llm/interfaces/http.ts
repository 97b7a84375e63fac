import { createResponse } from "../../../response.js";
import type { EmulatorCall } from "../../service.js";
import type { LlmSettings } from "../settings.js";
import { type Fields, LlmRefusal, parseFields } from "./fields.js";

/** Creates a JSON response. */
export function jsonResponse(status: number, value: object, headers?: Readonly<Record<string, string>>): Response {
  return createResponse(status, JSON.stringify(value), { "content-type": "application/json", ...headers });
}

/** Creates a response that sends each text of a generator as one chunk. The stream fails when the caller disconnects. */
export function streamResponse(contentType: string, texts: AsyncGenerator<string>, signal: AbortSignal): Response {
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
    // Compute each chunk only when the caller reads it, so that no cleanup is needed when the caller disconnects.
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": contentType, "cache-control": "no-cache" } });
}

/** Creates a response of server-sent events. */
export function eventStreamResponse(texts: AsyncGenerator<string>, signal: AbortSignal): Response {
  return streamResponse("text/event-stream; charset=utf-8", texts, signal);
}

/** Decodes UTF-8. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

const WRONG_TYPE = "Unsupported Media Type: Only 'application/json' is allowed";

/** Reads the JSON object in a body. Like vLLM, the service refuses other content types. */
export function readJson({ body, headers }: EmulatorCall, { errors }: LlmSettings): Fields {
  const [mediaType] = (headers.get("content-type") ?? "").split(";");
  if (mediaType?.trim().toLowerCase() === "application/json") return parseFields(textOf(body));
  if (errors === "nested") throw new LlmRefusal(`["${WRONG_TYPE}"]`, null, 400, "Bad Request");
  throw new LlmRefusal(WRONG_TYPE, null, 415);
}

/** Error types in Anthropic's form, by status. */
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  404: "not_found_error",
  413: "request_too_large",
};

/** Creates the error response for a refused request, in the format of the API that the path belongs to. */
export function refusalResponse(refusal: LlmRefusal, path: string, { errors }: LlmSettings): Response {
  return jsonResponse(refusal.status, refusalBody(refusal, path, errors));
}

function refusalBody(
  { status, message, type, param }: LlmRefusal,
  path: string,
  errors: LlmSettings["errors"],
): object {
  if (status === 415) return { detail: message };
  if (path.startsWith("/v1/messages")) {
    return { type: "error", error: { type: ANTHROPIC_TYPES[status] ?? "invalid_request_error", message } };
  }
  const isNested = errors === "nested" || /^\/v1\/(files|batches)/.test(path);
  if (isNested) return { error: { message, type, param, code: status } };
  return { object: "error", message, type, param, code: status };
}

/** Returns the error message for a WebSocket. vLLM does not support WebSockets, so the format is the emulator's own. */
export function refusalText({ status, message, type, param }: LlmRefusal): string {
  return JSON.stringify({ error: { message, type, param, code: status } });
}
