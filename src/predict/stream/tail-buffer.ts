import { redactText, type Secrets } from "../../call/failures/redact.js";

/** Characters of a stream that are kept for its error. */
const MAX_CHARACTERS = 1024 * 1024;

/** What came of a text, clean of the token: all of it, or its last part. */
export class Received {
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
    // Twice as much, so that it is not cut at each piece.
    if (this.#length > 2 * MAX_CHARACTERS) this.#keep();
  }

  /** At most the last 2^20 characters. */
  get text(): string {
    if (this.#length > MAX_CHARACTERS) this.#keep();
    return redactText(this.#texts.join(""), this.#token);
  }

  /** The same text, in which the token may occur if it `isWhole`. */
  get raw(): string {
    return this.#texts.join("");
  }

  /** Whether nothing of the text was dropped. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  #keep(): void {
    this.#isWhole = false;
    // Cleaned before it is cut, so that no half of a token stays.
    const text = redactText(this.#texts.join(""), this.#token).slice(-MAX_CHARACTERS);
    this.#texts = [text];
    this.#length = text.length;
  }
}
