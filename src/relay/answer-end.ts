import { EasStreamError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { endOfEvents } from "../predict/stream/stream-end.js";

/** Minimum of bytes that are kept of the end of an event stream, to judge whether it is complete. */
const TAIL_BYTES = 16_384;
/** Maximum of bytes that are kept. Twice the minimum, so that they are not moved for each piece. */
const MAX_TAIL_BYTES = 2 * TAIL_BYTES;
const FIRST_TAIL_BYTES = 2_048;
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
  readonly #tail = new Tail();
  #isFirst = true;

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
      if (this.#isFirst && piece[0] !== BRACE) this.#format = undefined;
      else if (piece.includes(NUL)) this.#format = "nul";
      this.#isFirst = false;
    }
    this.#last = piece[piece.length - 1] as number;
    if (this.#format === "events") this.#tail.add(piece);
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
    const decoder = new TextDecoder();
    if (/\ndata: ?\[DONE\]\s*$/.test(decoder.decode(this.#tail.bytes.subarray(-DONE_BYTES)))) return undefined;
    const { isComplete, why } = endOfEvents(decoder.decode(this.#tail.bytes), this.#tail.isWhole);
    if (isComplete !== false) return undefined;
    return new EasStreamError(`the service's stream was cut off: it ended ${why}`, {
      attempts: 1,
      retryable: true,
      data: "",
    });
  }
}

/**
 * Keeps the last bytes of a body. It copies them: a list of pieces would keep many small objects alive for each stream, which
 * costs the garbage collector more than the copy.
 */
class Tail {
  /** Whether nothing of the body was dropped. */
  isWhole = true;
  #memory: Bytes = new Uint8Array(0);
  #length = 0;

  add(piece: Bytes): void {
    const added = piece.subarray(-MAX_TAIL_BYTES);
    if (added.length < piece.length) this.isWhole = false;
    if (this.#length + added.length > MAX_TAIL_BYTES) {
      const kept = Math.min(TAIL_BYTES, MAX_TAIL_BYTES - added.length);
      this.#memory.copyWithin(0, this.#length - kept, this.#length);
      this.#length = kept;
      this.isWhole = false;
    }
    const length = this.#length + added.length;
    if (length > this.#memory.length) this.#grow(length);
    this.#memory.set(added, this.#length);
    this.#length = length;
  }

  get bytes(): Bytes {
    return this.#memory.subarray(0, this.#length);
  }

  /** Doubles the memory until `length` bytes fit. */
  #grow(length: number): void {
    let size = Math.max(FIRST_TAIL_BYTES, this.#memory.length);
    while (size < length) size *= 2;
    const before = this.bytes;
    this.#memory = new Uint8Array(size);
    this.#memory.set(before);
  }
}
