import type { FinishReason } from "../../models/language-model.js";
import { StopText } from "./stop-text.js";
import type { TextRequest } from "./text-request.js";

/** How a reply ended. */
export interface ReplyEnd {
  readonly finishReason: FinishReason;
  /** The tokens that the model has written. */
  readonly completionTokens: number;
}

/**
 * The pieces of a reply, one for each token but where a stop may begin. A token is computed when its piece is asked for.
 * Rejects with the signal's reason when the caller goes.
 */
export async function* reply(
  { prompt, sampling, stops, isMessage }: TextRequest,
  signal: AbortSignal,
): AsyncGenerator<string, ReplyEnd> {
  // Its texts are loaded and learned when they are needed first.
  const { generate } = await import("../../models/language-model.js");
  const tokens = generate(prompt, sampling);
  const stop = new StopText(stops);
  let isFirst = true;
  for (let completionTokens = 0; ; completionTokens++) {
    await turn();
    signal.throwIfAborted();
    const next = tokens.next();
    const text = next.done ? stop.rest() : stop.push(next.value);
    // A message does not begin with the space that a model's words have before them.
    const piece = isFirst && isMessage ? text.trimStart() : text;
    if (piece !== "") {
      isFirst = false;
      yield piece;
    }
    if (next.done) return { finishReason: next.value, completionTokens };
    if (stop.isFound) return { finishReason: "stop", completionTokens: completionTokens + 1 };
  }
}

/** Lets others have their turn, such as the caller who goes: else a long reply would be written in one. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
