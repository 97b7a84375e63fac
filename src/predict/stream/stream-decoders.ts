import { EasDecodeError } from "../../errors.js";
import type { Bytes } from "../../formats/request.js";

/** The longest line, event or value, in characters: one that has no end would fill the memory. */
export const MAX_CHARACTERS: number = 16 * 1024 * 1024;

/** Reads values out of a text that comes in pieces, and adds each when it ends; undefined is the end of the text. */
export type TextStep<T> = (text: string | undefined, add: (value: T) => void) => void;

/**
 * Makes a function that returns the text of each piece, which may begin and end anywhere; undefined is the end. It throws
 * `EasDecodeError` for bytes that are not UTF-8.
 */
export function textDecoder(): (piece: Bytes | undefined) => string {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const options = { stream: true };
  let offset = 0;
  return (piece) => {
    try {
      // At the end there may be a part of a character.
      const text = piece === undefined ? decoder.decode() : decoder.decode(piece, options);
      offset += piece?.length ?? 0;
      return text;
    } catch {
      throw new EasDecodeError(`the stream is not UTF-8 at or after byte ${offset}`, { format: "utf-8", offset });
    }
  };
}

/** Text that grows until it ends; throws `EasDecodeError` when it is longer than `MAX_CHARACTERS`. */
class Growing {
  readonly #format: string;
  #parts: string[] = [];
  #length = 0;

  constructor(format: string) {
    this.#format = format;
  }

  add(text: string): void {
    this.#length += text.length;
    if (this.#length > MAX_CHARACTERS) {
      throw new EasDecodeError(`a line or value of the stream has more than ${MAX_CHARACTERS} characters`, {
        format: this.#format,
      });
    }
    if (text !== "") this.#parts.push(text);
  }

  /** Returns the text with its last part. */
  take(last = ""): string {
    if (this.#parts.length === 0 && last.length <= MAX_CHARACTERS) return last;
    this.add(last);
    const text = this.#parts.join("");
    this.#parts = [];
    this.#length = 0;
    return text;
  }
}

/** Reads lines, each ended by LF or CRLF, without it; the last one need not end. */
export function lineStep(): TextStep<string> {
  const line = new Growing("lines");
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
 * Reads JSON values, each ended by a line break or by a NUL character. Which of the two it is shows at the first line: where that
 * is not a whole value, lines are within values, and only NUL and the end separate them.
 */
export function jsonStep(): TextStep<unknown> {
  const value = new Growing("json");
  let separator: "\n" | "\0" | undefined;
  let count = 0;
  const parse = (text: string): unknown => {
    count++;
    try {
      return JSON.parse(text);
    } catch {
      throw new EasDecodeError(`value ${count} of the stream, of ${text.length} characters, is not JSON`, {
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
    // Looked for once: to go through all of the text for each of its lines would take quadratic time.
    const nul = separator === "\n" ? -1 : text.indexOf("\0");
    for (;;) {
      // Until the separator is known, nothing before the first NUL is passed over that could be it.
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

/** NUL beside a line break is white space, too. */
function trimmed(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", " ") : text;
}

function isBlank(text: string): boolean {
  // The most frequent case: a value without white space before it.
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
