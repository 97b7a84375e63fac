import { createParser } from "eventsource-parser";

/** The last event in a stream from OpenAI's API. */
const DONE = "[DONE]";

/** The state of a stream that has ended. */
export interface StreamEnd {
  /** Whether the stream is complete. Undefined if the format does not mark the end of a stream. */
  readonly isComplete?: boolean | undefined;
  /** Text that completes the sentence "the stream ended …" in the error for a stream that was cut off. */
  readonly why?: string;
  /** The last line if it is not part of an event stream; otherwise undefined. */
  readonly line?: string;
}

/** The line that EAS's LLM gateway sends when it loses the engine. The gateway then ends the body normally. */
export const GATEWAY_LINE = "Bad Request";

/**
 * APIs with typed events: the types that occur within a stream, the types that end a stream, and the type expected at
 * the end.
 */
const TYPED_APIS: readonly { readonly part: RegExp; readonly end: RegExp; readonly missing: string }[] = [
  { part: /^(message_start|message_delta|content_block_\w+)$/, end: /^message_stop$/, missing: "message_stop" },
  {
    part: /^response\./,
    end: /^response\.(completed|failed|incomplete|cancelled)$/,
    missing: "response.completed",
  },
];

interface EventData {
  readonly data: string;
}

/**
 * Determines whether an event stream that has ended is complete. `text` is the whole stream if `isWhole` is true,
 * otherwise only its last part. Gateways end the body normally when they lose the engine, so only the events show
 * whether the stream is complete.
 */
export function endOfEvents(text: string, isWhole = true): StreamEnd {
  const events: EventData[] = [];
  let unknown: string | undefined;
  const parser = createParser({
    onEvent: (event) => {
      unknown = undefined;
      events.push(event);
    },
    onError: ({ type, line }) => {
      if (type === "unknown-field" && line !== undefined && !/^[\s\0]*$/.test(line)) unknown = line;
    },
  });
  const lines = text.replace(/\r\n?/g, "\n");
  // A partial text may begin in the middle of a line, so drop everything before the first line break.
  parser.feed(isWhole ? lines : lines.slice(`${lines}\n`.indexOf("\n") + 1));
  const ended = events.length;
  parser.feed("\n\n");
  if (unknown !== undefined) {
    return { isComplete: false, why: "with a line that is not part of an event stream", line: unknown };
  }
  if (events.slice(ended).some(isCut)) return { isComplete: false, why: "in the middle of an event" };
  return endOfValues(events.map(({ data }) => data));
}

/** Returns whether an event is the last event in OpenAI's API. */
export function isDone({ data }: EventData): boolean {
  // Fast path for data that is a JSON object.
  return data.charCodeAt(0) !== 0x7b && data.trim() === DONE;
}

/** Returns whether an event without a final blank line was cut off: its JSON is incomplete, or it has no data. */
export function isCut(event: EventData): boolean {
  const { data } = event;
  if (isDone(event)) return false;
  return data === "" || (/^\s*[{[]/.test(data) && parseJson(data) === undefined);
}

/** Tracks a stream's values and determines whether the stream is complete. */
export class ValuesEnd {
  /** Whether each choice has finished, by the index of the choice. */
  readonly #choices = new Map<unknown, boolean>();
  #missing: string | undefined;
  #isComplete: true | undefined;

  add(value: unknown): void {
    const { choices, type } = Object(value) as { readonly choices?: unknown; readonly type?: unknown };
    if (Array.isArray(choices)) for (const choice of choices) addChoice(this.#choices, choice);
    if (typeof type !== "string") return;
    for (const api of TYPED_APIS) {
      if (api.end.test(type)) this.#isComplete = true;
      else if (api.part.test(type)) this.#missing = api.missing;
    }
  }

  end(): StreamEnd {
    if (this.#choices.size > 0) {
      const isFinished = [...this.#choices.values()].every(Boolean);
      return isFinished
        ? { isComplete: true }
        : { isComplete: false, why: `without ${DONE} and without a finish_reason` };
    }
    if (this.#isComplete) return { isComplete: true };
    const missing = this.#missing;
    return missing === undefined
      ? { isComplete: undefined }
      : { isComplete: false, why: `without the event ${missing}` };
  }
}

function endOfValues(texts: readonly string[]): StreamEnd {
  const values = new ValuesEnd();
  for (const text of texts) {
    if (text.trim() === DONE) return { isComplete: true };
    values.add(parseJson(text));
  }
  return values.end();
}

/**
 * Returns whether a value is a chat chunk. Complete responses do not have a `delta`, and may not have a
 * `finish_reason`.
 */
export function isChatChunk(value: unknown): boolean {
  const { choices } = Object(value) as { readonly choices?: unknown };
  return Array.isArray(choices) && choices.some((choice) => "delta" in Object(choice));
}

function addChoice(choices: Map<unknown, boolean>, choice: unknown): void {
  if (typeof choice !== "object" || choice === null) return;
  const { index = 0, finish_reason: reason, ...more } = choice as Record<string, unknown>;
  const isFinished = typeof reason === "string" && reason !== "";
  // Other services than language models may send values that have `choices` without these fields.
  if (!isFinished && !("delta" in more || "text" in more || "message" in more)) return;
  choices.set(index, isFinished || choices.get(index) === true);
}

/** Parses JSON. Returns undefined if the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
