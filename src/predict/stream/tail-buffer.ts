import { redactText, type Secrets } from "../../call/failures/redact.js";

/** Maximum number of characters of a stream to keep for its error. */
const MAX_CHARACTERS = 1024 * 1024;

/** Keeps the end of a text, with the token redacted. */
export class TailBuffer {
  readonly #token: Secrets;
  #texts: string[] = [];
  #length = 0;
  #isWhole = true;

  constructor(token: Secrets) {
    this.#token = token;
  }

  add(text: string): void {
    this.#texts.push(text);
    this.#length += text.length;
    // Truncate only when the text reaches twice the maximum length, so that not every chunk causes a truncation.
    if (this.#length > 2 * MAX_CHARACTERS) this.#keep();
  }

  /** The last 2^20 characters, with the token redacted. */
  get text(): string {
    if (this.#length > MAX_CHARACTERS) this.#keep();
    return redactText(this.#texts.join(""), this.#token);
  }

  /** The kept text, not redacted. */
  get raw(): string {
    return this.#texts.join("");
  }

  /** Whether the buffer contains the whole text. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  #keep(): void {
    this.#isWhole = false;
    // The text is redacted before it is truncated, so that no part of a token remains.
    const text = redactText(this.#texts.join(""), this.#token).slice(-MAX_CHARACTERS);
    this.#texts = [text];
    this.#length = text.length;
  }
}
