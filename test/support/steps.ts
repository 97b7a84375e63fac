// Wraps the incremental stream parsers as functions of async iterables.

import { eventStep, type ServerSentEvent } from "../../src/predict/stream/server-sent-events.js";
import { jsonStep, lineStep, type TextStep, textDecoder } from "../../src/predict/stream/stream-decoders.js";

type Values<T> = AsyncGenerator<T, void, undefined>;

async function* through<T>(step: TextStep<T>, texts: AsyncIterable<string>): Values<T> {
  for await (const text of texts) if (text !== "") yield* valuesOf(step, text);
  yield* valuesOf(step, undefined);
}

/** Yields the values of one chunk. Values before an error are yielded before it is thrown. */
function* valuesOf<T>(step: TextStep<T>, text: string | undefined): Generator<T, void, undefined> {
  const values: T[] = [];
  let failure: { readonly error: unknown } | undefined;
  try {
    step(text, (value) => values.push(value));
  } catch (error) {
    failure = { error };
  }
  yield* values;
  if (failure !== undefined) throw failure.error;
}

export const linesOf = (texts: AsyncIterable<string>): Values<string> => through(lineStep(), texts);
export const jsonOf = (texts: AsyncIterable<string>): Values<unknown> => through(jsonStep(), texts);
export const eventsOf = (texts: AsyncIterable<string>): Values<ServerSentEvent> => through(eventStep(), texts);

export async function* decodeText(pieces: AsyncIterable<Uint8Array<ArrayBuffer>>): Values<string> {
  const decode = textDecoder();
  for await (const piece of pieces) yield decode(piece);
  yield decode(undefined);
}
