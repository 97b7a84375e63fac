import { createParser } from "eventsource-parser";

/** The last event of a stream in OpenAI's API. */
const DONE = "[DONE]";

/** What the text of an event stream that ended shows about its end. */
export interface StreamEnd {
  /** Undefined when the format does not mark its end. */
  readonly isComplete?: boolean | undefined;
  /** How the end shows that the stream was cut off, as the end of the sentence "the stream ended …". */
  readonly why?: string;
  /** The line that is not part of an event stream, if that is the reason. */
  readonly line?: string;
}

/** The line that the LLM gateway of EAS writes when its engine breaks off. It then ends the body in good order. */
export const GATEWAY_LINE = "Bad Request";

/** APIs whose events have a `type`, and the types that are the last ones. */
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
 * Returns whether an event stream that ended is complete. `text` is all of it or, if not `isWhole`, its last part. Gateways
 * end a stream in good order after its engine broke off, so that only the events show it.
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
  // The beginning of a last part is within a line, which may be all of it.
  parser.feed(isWhole ? lines : lines.slice(`${lines}\n`.indexOf("\n") + 1));
  const ended = events.length;
  parser.feed("\n\n");
  if (unknown !== undefined) {
    return { isComplete: false, why: "with a line that is not part of an event stream", line: unknown };
  }
  if (events.slice(ended).some(isCut)) return { isComplete: false, why: "in the middle of an event" };
  return endOfValues(events.map(({ data }) => data));
}

/** Whether an event is the last one of a stream in OpenAI's API. */
export function isDone({ data }: EventData): boolean {
  // The most frequent case first: data that is an object.
  return data.charCodeAt(0) !== 0x7b && data.trim() === DONE;
}

/** Whether an event that no blank line ended was cut off: JSON that does not end, or no data yet. */
export function isCut(event: EventData): boolean {
  const { data } = event;
  if (isDone(event)) return false;
  return data === "" || (/^\s*[{[]/.test(data) && parseJson(data) === undefined);
}

/** Takes the values of a stream one by one, and tells from them whether the stream is complete. */
export class ValuesEnd {
  /** The choices that have begun, and whether they have ended. */
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

/** Whether a value is a chunk of a chat: a whole answer has no delta, and older services leave its finish_reason out. */
export function isChatChunk(value: unknown): boolean {
  const { choices } = Object(value) as { readonly choices?: unknown };
  return Array.isArray(choices) && choices.some((choice) => "delta" in Object(choice));
}

function addChoice(choices: Map<unknown, boolean>, choice: unknown): void {
  if (typeof choice !== "object" || choice === null) return;
  const { index = 0, finish_reason: reason, ...more } = choice as Record<string, unknown>;
  const isFinished = typeof reason === "string" && reason !== "";
  // Choices of other kinds than a model's answers have no such fields.
  if (!isFinished && !("delta" in more || "text" in more || "message" in more)) return;
  choices.set(index, isFinished || choices.get(index) === true);
}

/** Undefined for what is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
