/** Finds the texts at which an answer ends, also across its pieces. The first one that is complete counts. */
export class StopText {
  /** The text that was found. */
  found: string | undefined;
  readonly #stops: readonly string[];
  /** The end of what came, which may be the beginning of a stop. */
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes a piece, and returns what is certainly no part of a stop: all before the first one when it is found. */
  push(piece: string): string {
    const text = this.#held + piece;
    let end = text.length;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at === -1 || at >= end) continue;
      end = at;
      this.found = stop;
    }
    if (this.found === undefined) end -= this.#beginningAtEnd(text);
    this.#held = this.found === undefined ? text.slice(end) : "";
    return text.slice(0, end);
  }

  /** What was held back, when nothing more comes. */
  rest(): string {
    return this.#held;
  }

  /** How many characters at the end of the text are the beginning of a stop. */
  #beginningAtEnd(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      if (this.#stops.some((stop) => stop.startsWith(text.slice(-length)))) return length;
    }
    return 0;
  }
}
