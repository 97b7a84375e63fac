/** Characters of a stream that are kept for its error. */
const MOST_CHARACTERS = 1024 * 1024;

/** What came of a text: all of it, or its last part. */
export class Received {
  #texts: string[] = [];
  #length = 0;

  add(text: string): void {
    this.#texts.push(text);
    this.#length += text.length;
    // Twice as much, so that it is not cut at each piece.
    if (this.#length > 2 * MOST_CHARACTERS) this.#keep();
  }

  /** At most the last 2^20 characters. */
  get text(): string {
    this.#keep();
    return this.#texts.join("");
  }

  #keep(): void {
    if (this.#length <= MOST_CHARACTERS && this.#texts.length <= 1) return;
    const text = this.#texts.join("").slice(-MOST_CHARACTERS);
    this.#texts = [text];
    this.#length = text.length;
  }
}
