import type { FinishReason } from "../../models/language-model.js";
import { tokenize } from "../../models/ngram.js";
import type { TextRequest } from "./interfaces/text-request.js";
import { createPacer, type Pace } from "./pace.js";
import { StopText } from "./stop-text.js";

/** A part of a reply. Each part is one token, except the start of a call. */
export type ReplyPart =
  | { readonly kind: "text" | "reasoning"; readonly text: string }
  | { readonly kind: "call"; readonly index: number; readonly id: string; readonly name: string }
  | { readonly kind: "arguments"; readonly index: number; readonly text: string };

/** The result of a complete reply. */
export interface ReplyEnd {
  /** Reason why the reply ended. */
  readonly finishReason: FinishReason | "tool_calls";
  /** The stop sequence that ended the reply, if any. */
  readonly stop: string | undefined;
  /** Number of tokens that the model generated. */
  readonly completionTokens: number;
}

/** Yields the parts of a reply and returns its result. */
export type Reply = AsyncGenerator<ReplyPart, ReplyEnd>;

/**
 * Generates a reply. Computes each token when its part is requested. Holds back text that may be the start of a stop
 * sequence. Rejects with the signal's reason when the caller disconnects.
 */
export async function* reply(request: TextRequest, signal: AbortSignal, pace: Pace): Reply {
  // Load the training texts and train the model on first use.
  const { generate } = await import("../../models/language-model.js");
  const tokens = write(request, generate);
  const stop = new StopText(request.stops);
  const wait = createPacer(pace, signal);
  let isFirst = true;
  let completionTokens = 0;
  for (;;) {
    await wait();
    signal.throwIfAborted();
    const isFull = completionTokens === request.sampling.maxTokens;
    const next: IteratorResult<ReplyPart, ReplyEnd["finishReason"]> = isFull
      ? { done: true, value: "length" }
      : tokens.next();
    const written = next.done ? undefined : next.value;
    if (written !== undefined && written.kind !== "text") {
      if (written.kind !== "call") completionTokens++;
      yield written;
      continue;
    }
    const text = written === undefined ? stop.rest() : stop.push(written.text);
    // Remove the leading space: the model's tokens start with a space, but a message does not.
    const part = isFirst && request.isMessage ? text.trimStart() : text;
    if (part !== "") {
      isFirst = false;
      yield { kind: "text", text: part };
    }
    if (next.done) return { finishReason: next.value, stop: undefined, completionTokens };
    completionTokens++;
    if (stop.found !== undefined) return { finishReason: "stop", stop: stop.found, completionTokens };
  }
}

/** Generates the tokens of a reply: the reasoning, followed by the calls, the fixed text or the model's text. */
function* write(
  { prompt, sampling, reasoning, calls = [], fixedText }: TextRequest,
  generate: (prompt: string, sampling: TextRequest["sampling"]) => Generator<string, FinishReason>,
): Generator<ReplyPart, ReplyEnd["finishReason"]> {
  for (const text of tokenize(reasoning ?? "")) yield { kind: "reasoning", text };
  for (const [index, { id, name, arguments: text }] of calls.entries()) {
    yield { kind: "call", index, id, name };
    for (const token of tokenize(text)) yield { kind: "arguments", index, text: token };
  }
  if (calls.length > 0) return "tool_calls";
  if (fixedText !== undefined) {
    for (const text of tokenize(fixedText)) yield { kind: "text", text };
    return "stop";
  }
  const tokens = generate(prompt, sampling);
  for (;;) {
    const next = tokens.next();
    if (next.done) return next.value;
    yield { kind: "text", text: next.value };
  }
}
