import { joinChunks } from "../../platform/chunks.js";
import { quote } from "./go-text.js";

/** Thrown for a body that the gateway cannot parse. `message` is the body of its response. */
export class JsonError extends Error {}

/** The part of a body that the first generation uses. */
export interface ScannedJson {
  /** JSON text of the first `stream` value in the outermost object. */
  readonly stream: string | undefined;
}

/**
 * Scans a JSON body like the first generation, whose parser also accepts some invalid JSON. Throws a `JsonError` with the
 * parser's message.
 */
export function scanJson(bytes: Uint8Array): ScannedJson {
  return new JsonScanner(bytes).scan();
}

const MAX_DEPTH = 300;
/** Maximum length of the unparsed text in a message. Only the start and the end of longer text are shown. */
const MAX_TAIL_BYTES = 80;

const at = (text: string): number => text.charCodeAt(0);
const QUOTE = at('"');
const BACKSLASH = at("\\");

class JsonScanner {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** Prefixes of the error message, from the outermost value to the current one. */
  readonly #within: string[] = [];
  #stream: string | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  scan(): ScannedJson {
    this.#skipSpace();
    this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#bytes.length) throw new JsonError(`unexpected tail: ${this.#tail()}`);
    return { stream: this.#stream };
  }

  #value(outerDepth: number): void {
    const depth = outerDepth + 1;
    const { length } = this.#bytes;
    if (this.#at >= length) this.#fail("cannot parse empty string");
    if (depth > MAX_DEPTH) this.#fail(`too big depth for the nested JSON; it exceeds ${MAX_DEPTH}`);
    switch (this.#character()) {
      case "{":
        this.#at++;
        return this.#in("cannot parse object", () => this.#object(depth));
      case "[":
        this.#at++;
        return this.#in("cannot parse array", () => this.#array(depth));
      case '"':
        this.#at++;
        return this.#in("cannot parse string", () => this.#string());
      case "t":
        return this.#word(["true"]);
      case "f":
        return this.#word(["false"]);
      case "n":
        return this.#word(["null", "nan"]);
      default:
        return this.#in("cannot parse number", () => this.#number());
    }
  }

  #object(depth: number): void {
    this.#skipSpace();
    if (this.#at >= this.#bytes.length) this.#fail("missing '}'");
    if (this.#character() === "}") {
      this.#at++;
      return;
    }
    for (;;) {
      this.#skipSpace();
      if (this.#bytes[this.#at] !== QUOTE) this.#fail(`cannot find opening '"" for object key`);
      this.#at++;
      const start = this.#at;
      this.#in("cannot parse object key", () => this.#string());
      const key = depth === 1 ? this.#text(start, this.#at - 1) : "";
      this.#skipSpace();
      if (this.#character() !== ":") this.#fail("missing ':' after object key");
      this.#at++;
      this.#skipSpace();
      const valueStart = this.#at;
      this.#in("cannot parse object value", () => this.#value(depth));
      if (key === "stream") this.#stream ??= this.#text(valueStart, this.#at);
      this.#skipSpace();
      if (this.#at >= this.#bytes.length) this.#fail("unexpected end of object");
      const next = this.#character();
      if (next !== "," && next !== "}") this.#fail("missing ',' after object value");
      this.#at++;
      if (next === "}") return;
    }
  }

  #array(depth: number): void {
    this.#skipSpace();
    if (this.#at >= this.#bytes.length) this.#fail("missing ']'");
    if (this.#character() === "]") {
      this.#at++;
      return;
    }
    for (;;) {
      this.#skipSpace();
      this.#in("cannot parse array value", () => this.#value(depth));
      this.#skipSpace();
      if (this.#at >= this.#bytes.length) this.#fail("unexpected end of array");
      const next = this.#character();
      if (next !== "," && next !== "]") this.#fail("missing ',' after array value");
      this.#at++;
      if (next === "]") return;
    }
  }

  /** Reads a string whose opening quotation mark has been read, up to the closing quotation mark. */
  #string(): void {
    for (; this.#at < this.#bytes.length; this.#at++) {
      const byte = this.#bytes[this.#at];
      if (byte === BACKSLASH) this.#at++;
      else if (byte === QUOTE) {
        this.#at++;
        return;
      }
    }
    this.#at = this.#bytes.length;
    this.#fail(`missing closing '"'`);
  }

  #word(words: readonly string[]): void {
    for (const word of words) {
      const text = this.#text(this.#at, this.#at + word.length);
      if (text === word || (word === "nan" && text.toLowerCase() === word)) {
        this.#at += word.length;
        return;
      }
    }
    this.#fail(`unexpected value found: ${quote(this.#bytes.subarray(this.#at))}`);
  }

  #number(): void {
    const start = this.#at;
    while (/^[\d.eE+-]$/.test(this.#character())) this.#at++;
    const length = this.#at - start;
    if (this.#at === this.#bytes.length || length > 1 || (length === 1 && !/^[+-]$/.test(this.#text(start, start + 1))))
      return;
    if (/^(inf|nan)$/i.test(this.#text(this.#at, this.#at + 3))) {
      this.#at += 3;
      return;
    }
    this.#at = start;
    this.#fail(`unexpected char: ${quote(this.#bytes.subarray(start, start + 1))}`);
  }

  #in(name: string, read: () => void): void {
    this.#within.push(name);
    read();
    this.#within.pop();
  }

  #fail(message: string): never {
    const text = [...this.#within, message].join(": ");
    throw new JsonError(`cannot parse JSON: ${text}; unparsed tail: ${this.#tail()}`);
  }

  #tail(): string {
    const rest = this.#bytes.subarray(this.#at);
    if (rest.length <= MAX_TAIL_BYTES) return quote(rest);
    const half = MAX_TAIL_BYTES / 2;
    return quote(
      joinChunks([rest.subarray(0, half), new TextEncoder().encode("..."), rest.subarray(-half)], MAX_TAIL_BYTES + 3),
    );
  }

  #character(): string {
    const byte = this.#bytes[this.#at];
    return byte === undefined ? "" : String.fromCharCode(byte);
  }

  /**
   * Returns up to 64 bytes as text. Each byte becomes a character, which is sufficient because only ASCII is compared.
   */
  #text(from: number, to: number): string {
    return String.fromCharCode(...this.#bytes.subarray(from, Math.min(to, from + 64)));
  }

  #skipSpace(): void {
    while (/^[ \n\t\r]$/.test(this.#character())) this.#at++;
  }
}
