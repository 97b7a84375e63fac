import { describeCall, type FailedCall } from "../../call/failures/failure.js";
import { redactText } from "../../call/failures/redact.js";
import { EasDecodeError, EasStreamError } from "../../errors.js";
import { show } from "../../util/argument-errors.js";
import type { ServerSentEvent } from "./server-sent-events.js";
import { GATEWAY_LINE, type StreamEnd } from "./stream-end.js";

/** Maximum number of characters of the service's message to quote in an error message. */
const EXCERPT = 200;

/** Returns the error that an event reports; undefined if the event does not report an error. */
export function errorOfEvent(
  { event, data }: ServerSentEvent,
  before: number,
  call: FailedCall,
): EasStreamError | undefined {
  // The search text omits the opening quote of `"error"` for speed: the engine first looks for the first character, and
  // quotes are frequent in JSON.
  if (event !== "error" && !data.includes('rror"')) return undefined;
  // If a relay ends a stream within an event, the relay appends its error to that event as another line.
  const value = parse(data) ?? parse(data.slice(data.lastIndexOf("\n") + 1));
  if (event !== "error" && reportedError(value) === undefined) return undefined;
  return streamError(value, data, before, call);
}

/**
 * Returns the error that a JSON value reports; undefined if the value does not report an error. Because values can have
 * fields with any name, a value outside a chat is an error only if `error` is its only field.
 */
export function errorOfValue(
  value: unknown,
  before: number,
  call: FailedCall,
  isChat = false,
): EasStreamError | undefined {
  if (reportedError(value) === undefined || (!isChat && Object.keys(value as object).length > 1)) return undefined;
  return streamError(value, textOf(value), before, call);
}

/** Returns the error for a stream that was cut off although its body ended normally. */
export function errorOfEnd({ why, line = "" }: StreamEnd, before: number, call: FailedCall): EasStreamError {
  const data = redactText(line, call.token);
  const shown = data === "" ? "" : `, ${show(data)}`;
  const cause = line.trim() === GATEWAY_LINE ? ". The LLM gateway sends this line when it loses the engine" : "";
  return new EasStreamError(
    `${describeCall(call.plan)} was cut off after ${before} events or values: the stream ended ${why}${shown}${cause}. The error's received property contains the text up to that point`,
    { attempts: call.attempts, retryable: true, data },
  );
}

function streamError(value: unknown, data: string, before: number, call: FailedCall): EasStreamError {
  const message = redactText(messageOf(reportedError(value)) ?? data, call.token);
  const excerpt = message.length > EXCERPT ? `${message.slice(0, EXCERPT)}…` : message;
  return new EasStreamError(
    `${describeCall(call.plan)} failed after ${before} events or values. The service reported: ${excerpt}`,
    {
      attempts: call.attempts,
      data: redactText(data, call.token),
      status: statusOf(value),
    },
  );
}

/**
 * Returns the error contained in a value. OpenAI and vLLM send `{ error: { message, code } }`, and older versions of
 * vLLM send `object: "error"`.
 */
function reportedError(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const { error, object } = value as { error?: unknown; object?: unknown };
  if (object === "error") return value;
  return (typeof error === "object" && error !== null) || (typeof error === "string" && error !== "")
    ? error
    : undefined;
}

function messageOf(error: unknown): string | undefined {
  if (typeof error === "string") return error;
  const { message } = (error ?? {}) as { message?: unknown };
  return typeof message === "string" ? message : undefined;
}

function statusOf(value: unknown): number | undefined {
  const inner = reportedError(value);
  for (const place of [inner, value]) {
    if (typeof place !== "object" || place === null) continue;
    const { code, status } = place as { code?: unknown; status?: unknown };
    for (const number of [code, status].map(Number))
      if (Number.isInteger(number) && number >= 400 && number < 600) return number;
  }
  return undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Returns a value as JSON text. Handles stack overflows, because `JSON.stringify` is recursive and fails for some
 * values that `JSON.parse` accepts.
 */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw new EasDecodeError("the stream reported an error that is nested too deeply to be read", { format: "json" });
  }
}
