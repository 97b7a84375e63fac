import { joinChunks, totalLength } from "../../platform/chunks.js";
import { EngineError } from "./engine.js";

const LF = 10;
const CR = 13;
const COLON = 58;
const SPACE = 32;
const MAX_NAME = "event".length;
const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];

/**
 * Yields the data of server-sent events, parsed as the gateway parses them. An event with only an id or a name has
 * empty data. Comments are not events. Throws an `EngineError` for an event that is larger than `maxBytes` or
 * incomplete.
 */
export async function* readEvents(chunks: AsyncGenerator<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  const parser = new EventParser(maxBytes);
  try {
    for (;;) {
      let next: IteratorResult<Uint8Array>;
      try {
        next = await chunks.next();
      } catch (error) {
        parser.checkLine();
        throw error;
      }
      if (next.done) break;
      yield* parser.push(next.value);
    }
    parser.checkLine();
    const last = parser.takeEvent();
    if (last !== undefined) yield last;
  } finally {
    await chunks.return(undefined);
  }
}

class EventParser {
  readonly #maxBytes: number;
  /** Chunks of the current, incomplete line. */
  #line: Uint8Array[] = [];
  /** Number of bytes since the last complete event. */
  #length = 0;
  /** Whether the current event has lines. */
  #hasLines = false;
  #data: Uint8Array[] = [];
  #isEvent = false;
  #isFirstLine = true;
  #endedByReturn = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Parses a chunk and yields the data of the events that it completes. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      const isSecondHalf = byte === LF && this.#endedByReturn;
      this.#endedByReturn = byte === CR;
      // The line feed of the CRLF pair that ends an event still counts toward that event.
      if (!isSecondHalf || this.#length > 0) this.#length++;
      if (isSecondHalf) {
        start = at + 1;
      } else if (byte === LF || byte === CR) {
        const event = this.#endLine(chunk.subarray(start, at));
        start = at + 1;
        if (event !== undefined) yield event;
      }
      if (this.#length >= this.#maxBytes) throw new EngineError("bufio.Scanner: token too long");
    }
    // Copy the bytes, because the engine may reuse its memory.
    if (start < chunk.length) this.#line.push(chunk.slice(start));
  }

  /** Throws an `EngineError` if the body has ended in the middle of a line. */
  checkLine(): void {
    const line = this.#withoutMark(joinChunks(this.#line, totalLength(this.#line)));
    if (line.length > 0) throw new EngineError("go-sse: unexpected end of input");
  }

  /** Ends the current event and returns its data. Returns undefined outside an event. */
  takeEvent(): Uint8Array | undefined {
    if (this.#hasLines) this.#length = 0;
    this.#hasLines = false;
    if (!this.#isEvent) return undefined;
    const lines = this.#data.flatMap((line, i) => (i === 0 ? [line] : [new Uint8Array([LF]), line]));
    this.#data = [];
    this.#isEvent = false;
    return joinChunks(lines, totalLength(lines));
  }

  #endLine(end: Uint8Array): Uint8Array | undefined {
    this.#line.push(end.slice());
    const whole = joinChunks(this.#line, totalLength(this.#line));
    this.#line = [];
    if (whole.length === 0) return this.takeEvent();
    const line = this.#withoutMark(whole);
    this.#isFirstLine = false;
    this.#hasLines = true;
    this.#readField(line);
    return undefined;
  }

  #withoutMark(line: Uint8Array): Uint8Array {
    const isMarked = this.#isFirstLine && BYTE_ORDER_MARK.every((byte, i) => line[i] === byte);
    return isMarked ? line.subarray(BYTE_ORDER_MARK.length) : line;
  }

  #readField(line: Uint8Array): void {
    const colon = line.indexOf(COLON);
    const end = colon === -1 ? line.length : colon;
    if (end > MAX_NAME) return;
    const name = String.fromCharCode(...line.subarray(0, end));
    const value = line.subarray(line[end + 1] === SPACE ? end + 2 : end + 1);
    if (name === "data") this.#data.push(value);
    const isId = name === "id" && !value.includes(0);
    if (name === "data" || name === "event" || isId) this.#isEvent = true;
  }
}
