import { EasStreamError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { endOfEvents } from "../predict/stream/stream-end.js";

/** Minimum number of bytes to keep from the end of an event stream, which show whether the stream is complete. */
const TAIL_BYTES = 16_384;
/** Maximum number of bytes to keep. Twice the minimum, so that the bytes are not moved for each chunk. */
const MAX_TAIL_BYTES = 2 * TAIL_BYTES;
const INITIAL_TAIL_BYTES = 2_048;
/** Bytes at the end of an event stream: the line `data: [DONE]`, with line breaks before and after it. */
const DONE_BYTES = 32;
const NUL = 0;
const LF = 0x0a;
const BRACE = 0x7b;

/** The report to the caller. Does not contain the cause, which only the relay's operator may see. */
const REPORT = JSON.stringify({
  error: { message: "the service's response was cut off", type: "relay_error", code: 502 },
});

/**
 * Functions that return the report in each format. `last` is the last byte of the body, to which the report is
 * appended.
 */
const FORMATS = {
  // If the body was cut off within an event, the first line of the report turns that event into an error. Otherwise,
  // readers would accept it as a complete event.
  events: () => `\nevent: error\ndata: ${REPORT}\n\n`,
  lines: (last: number) => `${last === LF ? "" : "\n"}${REPORT}\n`,
  nul: (last: number) => `${last === NUL ? "" : "\0"}${REPORT}\0`,
};

/** Media types of bodies in which each line is a JSON value. */
const LINES = /^application\/(x-)?(ndjson|jsonl|jsonlines|json-lines|stream\+json)\b/i;

/**
 * Observes a response while it is forwarded. If the response was cut off, provides a report in the response's format.
 */
export class ResponseEnd {
  /** Format of the report; undefined if the response's format is unknown or not yet determined. */
  #format: keyof typeof FORMATS | undefined;
  /**
   * Byte that must occur in one of the next chunks if the body consists of JSON objects separated by NUL; undefined
   * once the format is decided.
   */
  #expected: "brace" | "nul" | undefined;
  readonly #isSuccess: boolean;
  #last = LF;
  readonly #tail = new Tail();

  /** `headers` contains the headers of the response to the caller. */
  constructor(status: number, headers: Headers) {
    this.#isSuccess = status < 300;
    if (headers.has("content-encoding") || headers.has("content-length")) return;
    const type = headers.get("content-type") ?? "";
    if (/^text\/event-stream\b/i.test(type)) this.#format = "events";
    else if (LINES.test(type)) this.#format = "lines";
    // Older LLM services send JSON objects separated by NUL, with various content types.
    else this.#expected = "brace";
  }

  /** Records a chunk that is forwarded. */
  add(chunk: Bytes): void {
    if (chunk.length === 0) return;
    if (this.#expected !== undefined) this.#detectNul(chunk);
    if (this.#format === undefined) return;
    this.#last = chunk[chunk.length - 1] as number;
    if (this.#format === "events") this.#tail.add(chunk);
  }

  #detectNul(chunk: Bytes): void {
    const isPossible = this.#expected === "nul" || chunk[0] === BRACE;
    if (isPossible && chunk.includes(NUL)) this.#format = "nul";
    this.#expected = isPossible && this.#format === undefined ? "nul" : undefined;
  }

  /**
   * Returns the report for a response that failed; undefined if there is no report for its format, in which case the
   * connection must be closed.
   */
  report(): Bytes | undefined {
    return this.#format && new TextEncoder().encode(FORMATS[this.#format](this.#last));
  }

  /** Returns an error if the response ended without a transport error but is incomplete. */
  incompleteError(): EasStreamError | undefined {
    if (this.#format !== "events" || !this.#isSuccess) return undefined;
    // Check for the most frequent ending first, without parsing all kept events.
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
 * Keeps the last bytes of a body. Copies the bytes, because a list of chunks would keep many small objects alive for
 * each stream, which costs the garbage collector more than copying.
 */
class Tail {
  /** Whether all bytes of the body were kept. */
  isWhole = true;
  #memory: Bytes = new Uint8Array(0);
  #length = 0;

  add(chunk: Bytes): void {
    const added = chunk.subarray(-MAX_TAIL_BYTES);
    if (added.length < chunk.length) this.isWhole = false;
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
    let size = Math.max(INITIAL_TAIL_BYTES, this.#memory.length);
    while (size < length) size *= 2;
    const before = this.bytes;
    this.#memory = new Uint8Array(size);
    this.#memory.set(before);
  }
}
