/**
 * Finds stop sequences in a streamed text, even if they span several chunks. The first complete sequence ends the text.
 */
export class StopText {
  /** The stop sequence that was found. */
  found: string | undefined;
  readonly #stops: readonly string[];
  /** The end of the text so far, which may be the start of a stop sequence. */
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /**
   * Adds a chunk. Returns the text that cannot be part of a stop sequence. If a stop sequence is found, returns the
   * text before the sequence.
   */
  push(chunk: string): string {
    const text = this.#held + chunk;
    let end = text.length;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at === -1 || at >= end) continue;
      end = at;
      this.found = stop;
    }
    if (this.found === undefined) end -= this.#partialStopLength(text);
    this.#held = this.found === undefined ? text.slice(end) : "";
    return text.slice(0, end);
  }

  /** Returns the text that was held back. Call this method at the end of the text. */
  rest(): string {
    return this.#held;
  }

  /** Returns the length of the longest suffix of the text that is a proper prefix of a stop sequence. */
  #partialStopLength(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      if (this.#stops.some((stop) => stop.startsWith(text.slice(-length)))) return length;
    }
    return 0;
  }
}
