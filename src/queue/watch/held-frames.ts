import { AscendingIndexes } from "./ascending-indexes.js";

/** Fewest answered commits that are remembered. */
const LEAST_REMEMBERED = 1024;

/**
 * Which frames a watcher has, so that a frame that the server pushes again after a reconnect is not handed out a second
 * time while its first copy is held, or after its commit was answered.
 */
export class HeldFrames {
  readonly #held = new AscendingIndexes();
  /** Answered commits of late, and those before: a set that forgets its oldest each time is slower the larger it is. */
  #committed = new Set<bigint>();
  #committedBefore = new Set<bigint>();
  /** Let go of on this connection: the server waits for their commits all the same. */
  readonly #released = new Set<bigint>();
  readonly #window: number;

  constructor(window: number) {
    this.#window = window;
  }

  /** Takes a frame; what it is when it is to be handed out no more. */
  take(index: bigint): "new" | "held" | "committed" {
    // What is above all that was here is new.
    if (index <= this.#held.greatest) {
      if (this.#held.has(index)) return "held";
      if (this.#committed.has(index) || this.#committedBefore.has(index)) return "committed";
      this.#released.delete(index);
    }
    this.#held.add(index);
    return "new";
  }

  /** Notes that a commit was answered. */
  committed(index: bigint): void {
    if (!this.#held.delete(index)) this.#released.delete(index);
    this.#committed.add(index);
    if (this.#committed.size < Math.max(LEAST_REMEMBERED, 4 * this.#window)) return;
    this.#committedBefore = this.#committed;
    this.#committed = new Set();
  }

  /** Lets go of a frame that the server gives to somebody again by itself. Returns whether it was held. */
  negated(index: bigint): boolean {
    return this.#held.delete(index);
  }

  /** Takes back a frame that could not be let go of. */
  kept(index: bigint): void {
    this.#held.add(index);
  }

  /** Lets go of a frame that the server still waits for. */
  released(index: bigint): void {
    if (this.#held.delete(index)) this.#released.add(index);
  }

  /** A new connection: the server pushes all that was not committed again. */
  reconnected(): void {
    this.#released.clear();
  }

  /** How many more frames the window has room for. */
  get room(): number {
    return this.#window - this.#held.size;
  }

  /**
   * Whether it is time for the reconnect that brings released frames back: nothing else is in hand. Not before, since the
   * frames that are would be given to others.
   */
  get isStuck(): boolean {
    return this.#released.size > 0 && this.#held.size === 0;
  }
}
