import { EasDecodeError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";

/**
 * Maximum length of a line, event or value, in characters. The limit prevents input without a separator from
 * exhausting memory.
 */
export const MAX_CHARACTERS: number = 16 * 1024 * 1024;

/**
 * Decodes values from text that arrives in parts. Adds each value when it is complete. An undefined part marks the end
 * of the text.
 */
export type TextStep<T> = (text: string | undefined, add: (value: T) => void) => void;

/**
 * Decoders for whole chunks. The first one removes a byte order mark at the beginning of a body. The decoders are
 * created on first use because this package must be importable in jest-environment-jsdom, which does not have
 * TextDecoder.
 */
let firstChunk: TextDecoder | undefined;
let otherChunks: TextDecoder | undefined;

/**
 * Returns a function that decodes the chunks of a UTF-8 body. Characters may be split between chunks. An undefined
 * chunk ends the body. The function throws `EasDecodeError` for bytes that are not UTF-8.
 */
export function textDecoder(): (chunk: Bytes | undefined) => string {
  let offset = 0;
  let isFirst = true;
  /** Whether the last chunk is known to be ASCII. If so, the next chunk begins with a whole character. */
  let wasAscii = true;
  let streamDecoder: TextDecoder | undefined;
  const decode = (chunk: Bytes): string => {
    const endsWithAscii = (chunk[chunk.length - 1] as number) < 0x80;
    let text: string;
    if (wasAscii && endsWithAscii) {
      firstChunk ??= new TextDecoder("utf-8", { fatal: true });
      otherChunks ??= new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
      text = (isFirst ? firstChunk : otherChunks).decode(chunk);
    } else {
      // On Node, the `stream` option makes decoding up to six times slower for ASCII, but twice as fast for other
      // characters.
      streamDecoder ??= new TextDecoder("utf-8", { fatal: true, ignoreBOM: !isFirst });
      text = streamDecoder.decode(chunk, { stream: true });
    }
    isFirst = false;
    wasAscii = endsWithAscii && text.length === chunk.length;
    return text;
  };
  return (chunk) => {
    try {
      // Decoding without an argument throws if the body ends within a character.
      if (chunk === undefined) return streamDecoder?.decode() ?? "";
      const text = decode(chunk);
      offset += chunk.length;
      return text;
    } catch {
      throw new EasDecodeError(`the stream is not UTF-8 at or after byte ${offset}`, { format: "utf-8", offset });
    }
  };
}

/** Collects the parts of a line or a value. Throws `EasDecodeError` if the text exceeds `MAX_CHARACTERS`. */
class TextAccumulator {
  readonly #format: string;
  #parts: string[] = [];
  #length = 0;

  constructor(format: string) {
    this.#format = format;
  }

  add(text: string): void {
    this.#length += text.length;
    if (this.#length > MAX_CHARACTERS) {
      throw new EasDecodeError(`a line or value in the stream has more than ${MAX_CHARACTERS} characters`, {
        format: this.#format,
      });
    }
    if (text !== "") this.#parts.push(text);
  }

  /** Appends the last part. Returns the collected text and clears it. */
  take(last = ""): string {
    if (this.#parts.length === 0 && last.length <= MAX_CHARACTERS) return last;
    this.add(last);
    const text = this.#parts.join("");
    this.#parts = [];
    this.#length = 0;
    return text;
  }
}

/**
 * Decodes lines that end with LF or CRLF. The decoded lines do not contain the line break. The last line may end
 * without a line break.
 */
export function lineStep(): TextStep<string> {
  const line = new TextAccumulator("lines");
  return (text, add) => {
    if (text === undefined) {
      const last = line.take();
      if (last !== "") add(withoutCr(last));
      return;
    }
    let from = 0;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", from)) {
      add(withoutCr(line.take(text.slice(from, at))));
      from = at + 1;
    }
    line.add(text.slice(from));
  };
}

function withoutCr(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

/**
 * Decodes JSON values that are separated by line breaks or by NUL characters. If the first line is not a complete
 * value, values may contain line breaks and are separated only by NUL.
 */
export function jsonStep(): TextStep<unknown> {
  const value = new TextAccumulator("json");
  let separator: "\n" | "\0" | undefined;
  let count = 0;
  const parse = (text: string): unknown => {
    count++;
    try {
      return JSON.parse(text);
    } catch {
      throw new EasDecodeError(`value ${count} in the stream (${text.length} characters) is not JSON`, {
        format: "json",
      });
    }
  };
  return (text, add) => {
    if (text === undefined) {
      const last = value.take();
      if (!isBlank(last)) add(parse(trimmed(last)));
      return;
    }
    let from = 0;
    // Do not repeat the search for each line, which would take quadratic time.
    const nul = separator === "\n" ? -1 : text.indexOf("\0");
    for (;;) {
      // Until the separator is known, it may be either a line break or NUL.
      const found: number = text.indexOf(separator ?? "\n", from);
      const at = separator === undefined && nul >= from && (found === -1 || nul < found) ? nul : found;
      if (at === -1) break;
      const whole = value.take(text.slice(from, at));
      from = at + 1;
      if (isBlank(whole)) continue;
      if (separator === undefined) {
        separator = text[at] === "\0" || !isJson(whole) ? "\0" : "\n";
        if (text[at] !== separator) {
          value.add(`${whole}\n`);
          continue;
        }
      }
      add(parse(trimmed(whole)));
    }
    value.add(text.slice(from));
  };
}

/** Replaces NUL with a space, because servers may send NUL next to a line break. */
function trimmed(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", " ") : text;
}

function isBlank(text: string): boolean {
  // Fast path for a value without leading white space.
  if (text.charCodeAt(0) > 0x20) return false;
  return trimmed(text).trim() === "";
}

function isJson(text: string): boolean {
  try {
    JSON.parse(trimmed(text));
    return true;
  } catch {
    return false;
  }
}
