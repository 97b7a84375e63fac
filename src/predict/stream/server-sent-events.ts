import { createParser } from "eventsource-parser";
import { EasDecodeError } from "../../errors.js";
import { MAX_CHARACTERS, type TextStep } from "./stream-decoders.js";
import { isCut } from "./stream-end.js";

/** One event of an event stream (html.spec.whatwg.org/multipage/server-sent-events.html). */
export class ServerSentEvent {
  /** Its name; `"message"` when the service gave none. */
  readonly event: string;
  /** Its data; several lines are joined by line breaks. */
  readonly data: string;
  /** Its id, when the service gave one with it. */
  readonly id: string | undefined;
  /** Milliseconds that the service last asked to wait before a reconnect. */
  readonly retry: number | undefined;

  constructor(event: string, data: string, id: string | undefined, retry: number | undefined) {
    this.event = event;
    this.data = data;
    this.id = id;
    this.retry = retry;
  }

  /** Parses the data as JSON. Throws `EasDecodeError` when it is not JSON, or empty. The type is not checked. */
  json<T = unknown>(): T {
    try {
      return JSON.parse(this.data) as T;
    } catch {
      if (this.data.trim() === "") throw new EasDecodeError("empty event: it has no data to parse", { format: "json" });
      throw new EasDecodeError(`the data of an event, ${this.data.length} characters, is not JSON`, { format: "json" });
    }
  }
}

/** Reads events. The last one need not end, since many services leave out the last line break, unless it was cut off. */
export function eventStep(): TextStep<ServerSentEvent> {
  let add: (event: ServerSentEvent) => void;
  let retry: number | undefined;
  let tooLarge = false;
  const parser = createParser({
    onEvent: ({ event, data, id }) => add(new ServerSentEvent(event ?? "message", data, id, retry)),
    onRetry: (milliseconds) => {
      retry = milliseconds;
    },
    // Unknown fields are ignored, as the standard requires.
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
    // CR and CRLF end a line, too. Made LF here: the parser would let what a CR ends wait for the next piece, and looks through
    // all of a piece for each line of one that has CRs only.
    const rest = endedByCr && text.startsWith("\n") ? text.slice(1) : text;
    endedByCr = rest.endsWith("\r");
    parser.feed(rest.includes("\r") ? rest.replace(/\r\n?/g, "\n") : rest);
    if (tooLarge) {
      throw new EasDecodeError(`an event of the stream has more than ${MAX_CHARACTERS} characters`, { format: "sse" });
    }
  };
}
