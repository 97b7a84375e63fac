import { createParser } from "eventsource-parser";
import { EasDecodeError } from "../../errors.js";
import { MAX_CHARACTERS, type TextStep } from "./stream-decoders.js";
import { isCut } from "./stream-end.js";

/**
 * An event of an event stream (html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * @example
 * for await (const event of stream.events()) console.log(event.event, event.json());
 */
export class ServerSentEvent {
  /** Event name. Default `"message"`. */
  readonly event: string;
  /** Data of the event. Several lines are joined by line breaks. */
  readonly data: string;
  /** Id of the event; undefined if the event has no id. */
  readonly id: string | undefined;
  /** The most recent reconnection time sent by the service, in milliseconds. */
  readonly retry: number | undefined;

  /** Creates an event. Applications do not need this constructor. */
  constructor(event: string, data: string, id: string | undefined, retry: number | undefined) {
    this.event = event;
    this.data = data;
    this.id = id;
    this.retry = retry;
  }

  /**
   * Parses the data as JSON. Throws `EasDecodeError` if the data is empty or is not JSON. The type `T` is not
   * checked.
   */
  json<T = unknown>(): T {
    try {
      return JSON.parse(this.data) as T;
    } catch {
      if (this.data.trim() === "") throw new EasDecodeError("empty event: it has no data to parse", { format: "json" });
      throw new EasDecodeError(`the event data (${this.data.length} characters) is not JSON`, { format: "json" });
    }
  }
}

/**
 * Decodes events. Many services omit the blank line after the last event. Such an event is accepted unless its data
 * was cut off.
 */
export function eventStep(): TextStep<ServerSentEvent> {
  let add: (event: ServerSentEvent) => void;
  let retry: number | undefined;
  let tooLarge = false;
  const parser = createParser({
    onEvent: ({ event, data, id }) => add(new ServerSentEvent(event ?? "message", data, id, retry)),
    onRetry: (milliseconds) => {
      retry = milliseconds;
    },
    // The standard requires clients to ignore unknown fields.
    onError: ({ type }) => {
      if (type === "max-buffer-size-exceeded") tooLarge = true;
    },
    maxBufferSize: MAX_CHARACTERS,
  });
  let endedByCr = false;
  return (text, addTo) => {
    add = addTo;
    if (text === undefined) {
      add = (event) => isCut(event) || addTo(event);
      parser.feed("\n\n");
      return;
    }
    // CR and CRLF are converted to LF before parsing. Otherwise, the parser would hold back a line that ends with CR
    // until the next chunk, and would take quadratic time if all lines end with CR.
    const rest = endedByCr && text.startsWith("\n") ? text.slice(1) : text;
    endedByCr = rest.endsWith("\r");
    parser.feed(rest.includes("\r") ? rest.replace(/\r\n?/g, "\n") : rest);
    if (tooLarge) {
      throw new EasDecodeError(`an event in the stream has more than ${MAX_CHARACTERS} characters`, { format: "sse" });
    }
  };
}
