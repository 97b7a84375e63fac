import { randomUuid } from "../../../../util/uuid.js";
import type { Pace } from "../pace.js";
import { type ReplyEnd, type ReplyPart, reply } from "../reply.js";
import { callsOf, readReply, textOf } from "./openai-response.js";
import type { TextRequest } from "./text-request.js";

/** Returns the body of a non-streamed response of `/v1/messages`. */
export async function anthropicResponse(request: TextRequest, signal: AbortSignal, pace: Pace): Promise<object> {
  const end = await readReply(reply(request, signal, pace));
  const thinking = textOf(end.parts, "reasoning");
  const text = textOf(end.parts, "text");
  const content = [
    ...(thinking === "" ? [] : [{ type: "thinking", thinking, signature: SIGNATURE }]),
    ...(text === "" ? [] : [{ type: "text", text }]),
    ...callsOf(end.parts).map((call) => ({
      type: "tool_use",
      id: call.id,
      name: call.name,
      input: parseInput(call.arguments),
    })),
  ];
  return { ...head(request), content, ...stopOf(end), usage: usageOf(request, end.completionTokens) };
}

/** Yields the events of a streamed response, as text. */
export async function* anthropicEvents(request: TextRequest, signal: AbortSignal, pace: Pace): AsyncGenerator<string> {
  const message = { ...head(request), content: [], stop_reason: null, stop_sequence: null, usage: usageOf(request, 0) };
  yield event("message_start", { message });
  yield event("ping", {});
  const parts = reply(request, signal, pace);
  let index = -1;
  let open: string | undefined;
  const close = () => {
    const signature = open === "thinking" ? blockDelta(index, { type: "signature_delta", signature: SIGNATURE }) : "";
    return open === undefined ? "" : `${signature}${event("content_block_stop", { index })}`;
  };
  for (;;) {
    const { done, value } = await parts.next();
    if (done) {
      const closing = close();
      if (closing !== "") yield closing;
      yield event("message_delta", { delta: stopOf(value), usage: { output_tokens: value.completionTokens } });
      yield event("message_stop", {});
      return;
    }
    const block = blockOf(value);
    let text = "";
    // Each call is a separate block.
    if (block.type !== open || value.kind === "call") {
      text = close();
      index++;
      open = block.type;
      text += event("content_block_start", { index, content_block: block });
    }
    if (value.kind !== "call") text += blockDelta(index, deltaOf(value));
    yield text;
  }
}

function head({ model }: TextRequest): object {
  return { id: `msg_${randomUuid().replaceAll("-", "")}`, type: "message", role: "assistant", model };
}

/** The signature of reasoning blocks. Callers treat it as opaque and send it back unchanged. */
const SIGNATURE = "ZWFzLW5ncmFt";

const STOP_REASONS: Readonly<Record<ReplyEnd["finishReason"], string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
};

function stopOf({ finishReason, stop }: ReplyEnd): object {
  const reason = stop === undefined ? STOP_REASONS[finishReason] : "stop_sequence";
  return { stop_reason: reason, stop_sequence: stop ?? null };
}

function usageOf({ promptTokens }: TextRequest, completionTokens: number): object {
  return { input_tokens: promptTokens, output_tokens: completionTokens };
}

/** Parses the arguments of a call. Arguments that `max_tokens` has truncated are not valid JSON and become an empty object. */
function parseInput(text: string): object {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Returns the initial form of the block that a part belongs to. */
function blockOf(part: ReplyPart): { readonly type: string } {
  switch (part.kind) {
    case "text":
      return { type: "text", text: "" } as { type: string };
    case "reasoning":
      return { type: "thinking", thinking: "", signature: "" } as { type: string };
    case "call":
      return { type: "tool_use", id: part.id, name: part.name, input: {} } as { type: string };
    case "arguments":
      return { type: "tool_use" };
  }
}

function deltaOf(part: Exclude<ReplyPart, { kind: "call" }>): object {
  if (part.kind === "text") return { type: "text_delta", text: part.text };
  if (part.kind === "reasoning") return { type: "thinking_delta", thinking: part.text };
  return { type: "input_json_delta", partial_json: part.text };
}

function blockDelta(index: number, delta: object): string {
  return event("content_block_delta", { index, delta });
}

function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}
