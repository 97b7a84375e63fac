import { EasDecodeError } from "../errors.js";
import type { Bytes } from "../request.js";

/** The longest line, event or value, in characters: one that has no end would fill the memory. */
export const MOST_CHARACTERS: number = 16 * 1024 * 1024;

/** The text of pieces that may begin and end anywhere. Throws `EasDecodeError` for what is no UTF-8. */
export async function* decodeText(pieces: AsyncIterable<Bytes>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let offset = 0;
  const decode = (piece?: Bytes) => {
    try {
      return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
    } catch {
      throw new EasDecodeError(`the stream is not UTF-8 at or after byte ${offset}`, { format: "utf-8", offset });
    }
  };
  for await (const piece of pieces) {
    const text = decode(piece);
    offset += piece.length;
    if (text !== "") yield text;
  }
  // A character that was cut off.
  decode();
}

/** Text that grows until it ends; throws `EasDecodeError` when it is longer than `MOST_CHARACTERS`. */
class Growing {
  readonly #format: string;
  #parts: string[] = [];
  #length = 0;

  constructor(format: string) {
    this.#format = format;
  }

  add(text: string): void {
    this.#length += text.length;
    if (this.#length > MOST_CHARACTERS) {
      throw new EasDecodeError(`a line or value of the stream has more than ${MOST_CHARACTERS} characters`, {
        format: this.#format,
      });
    }
    if (text !== "") this.#parts.push(text);
  }

  take(): string {
    const text = this.#parts.join("");
    this.#parts = [];
    this.#length = 0;
    return text;
  }
}

/** The lines of a text, each ended by LF or CRLF, without it; the last one need not end. */
export async function* linesOf(texts: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  const line = new Growing("lines");
  for await (const text of texts) {
    let from = 0;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", from)) {
      line.add(text.slice(from, at));
      yield withoutCr(line.take());
      from = at + 1;
    }
    line.add(text.slice(from));
  }
  const last = line.take();
  if (last !== "") yield withoutCr(last);
}

function withoutCr(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

/**
 * JSON values, each ended by a line break or by a NUL character. Which of the two it is shows at the first line: where that is
 * no whole value, lines are within values, and only NUL and the end separate them.
 */
export async function* jsonOf(texts: AsyncIterable<string>): AsyncGenerator<unknown, void, undefined> {
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
  for await (const text of texts) {
    let from = 0;
    // Looked for once: to go through all of the text for each of its lines would take quadratic time.
    const nul = separator === "\n" ? -1 : text.indexOf("\0");
    for (;;) {
      // Until the separator is known, nothing before the first NUL is passed over that could be it.
      const found = text.indexOf(separator ?? "\n", from);
      const at = separator === undefined && nul >= from && (found === -1 || nul < found) ? nul : found;
      if (at === -1) break;
      value.add(text.slice(from, at));
      from = at + 1;
      const whole = value.take();
      if (isBlank(whole)) continue;
      if (separator === undefined) {
        separator = text[at] === "\0" || !isJson(whole) ? "\0" : "\n";
        if (text[at] !== separator) {
          value.add(`${whole}\n`);
          continue;
        }
      }
      yield parse(trimmed(whole));
    }
    value.add(text.slice(from));
  }
  const last = value.take();
  if (!isBlank(last)) yield parse(trimmed(last));
}

/** NUL beside a line break is white space, too. */
function trimmed(text: string): string {
  return text.replaceAll("\0", " ");
}

function isBlank(text: string): boolean {
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
