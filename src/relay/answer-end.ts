import { EasStreamError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { joinChunks } from "../platform/chunks.js";
import { endOfEvents } from "../predict/stream/stream-end.js";

/** Bytes that are kept of the end of an event stream, to judge whether it is complete. */
const TAIL_BYTES = 16_384;
/** Bytes at the end of an event stream that contain the line `data: [DONE]`, with line breaks around it. */
const DONE_BYTES = 32;
const NUL = 0;
const LF = 0x0a;
const BRACE = 0x7b;

/** The report to the caller. It contains nothing of the cause, which concerns the owner of the relay. */
const REPORT = JSON.stringify({
  error: { message: "the service broke off its response", type: "relay_error", code: 502 },
});

/** How a report is written in a format, after a body whose last byte is `last`. */
const FORMATS = {
  // In the middle of an event this completes it as an error, so that readers do not take it for a whole one.
  events: () => `\nevent: error\ndata: ${REPORT}\n\n`,
  lines: (last: number) => `${last === LF ? "" : "\n"}${REPORT}\n`,
  nul: (last: number) => `${last === NUL ? "" : "\0"}${REPORT}\0`,
};

/** Media types of which each line is a JSON value. */
const LINES = /^application\/(x-)?(ndjson|jsonl|jsonlines|json-lines|stream\+json)\b/i;

/** Looks at an answer while it is passed on, and ends it with a report in its own format if it was cut off. */
export class AnswerEnd {
  #format: keyof typeof FORMATS | "undecided" | undefined;
  readonly #isSuccess: boolean;
  #last = LF;
  #tail: Bytes[] = [];
  #tailBytes = 0;
  #isWhole = true;

  /** `headers` are those that the caller gets. */
  constructor(status: number, headers: Headers) {
    this.#isSuccess = status < 300;
    const type = headers.get("content-type") ?? "";
    if (headers.has("content-encoding") || headers.has("content-length")) this.#format = undefined;
    else if (/^text\/event-stream\b/i.test(type)) this.#format = "events";
    else this.#format = LINES.test(type) ? "lines" : "undecided";
  }

  add(piece: Bytes): void {
    if (this.#format === undefined || piece.length === 0) return;
    if (this.#format === "undecided") {
      // Older LLM services send JSON objects that NULs separate, under several types.
      if (this.#isWhole && piece[0] !== BRACE) this.#format = undefined;
      else if (piece.includes(NUL)) this.#format = "nul";
      this.#isWhole = false;
    }
    this.#last = piece[piece.length - 1] as number;
    if (this.#format === "events") this.#keep(piece);
  }

  /** The report for an answer that failed. Undefined if its format has none: its connection must break. */
  failed(): Bytes | undefined {
    const format = this.#format;
    if (format === undefined || format === "undecided") return undefined;
    return new TextEncoder().encode(FORMATS[format](this.#last));
  }

  /** The error of an answer that ended in good order and was cut off all the same. */
  ended(): EasStreamError | undefined {
    if (this.#format !== "events" || !this.#isSuccess) return undefined;
    // The most frequent end is recognized without a look at all events.
    const last = this.#tail.at(-1)?.subarray(-DONE_BYTES);
    if (/\ndata: ?\[DONE\]\s*$/.test(new TextDecoder().decode(last))) return undefined;
    const text = new TextDecoder().decode(joinChunks(this.#tail, this.#tailBytes));
    const { isComplete, why } = endOfEvents(text, this.#isWhole);
    if (isComplete !== false) return undefined;
    return new EasStreamError(`the service's stream was cut off: it ended ${why}`, {
      attempts: 1,
      retryable: true,
      data: "",
    });
  }

  #keep(piece: Bytes): void {
    this.#tail.push(piece);
    this.#tailBytes += piece.length;
    while (this.#tailBytes - (this.#tail[0] as Bytes).length >= TAIL_BYTES) {
      this.#tailBytes -= (this.#tail.shift() as Bytes).length;
      this.#isWhole = false;
    }
  }
}
