import type { Wait } from "./timeouts.js";

/** Lets at most `limit` requests be in flight; the others wait in the order in which they came. */
export class Limiter {
  #limit: number;
  #inFlight = 0;
  readonly #waiting = new Set<() => void>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Changes the limit: more are let in at once, and none that is in flight is stopped. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** Takes a slot if one is free. */
  tryAcquire(): boolean {
    if (this.#inFlight >= this.#limit || this.#waiting.size > 0) return false;
    this.#inFlight++;
    return true;
  }

  /** Waits for a slot; a wait that is cancelled takes none. */
  acquire(): Wait {
    let take!: () => void;
    let fail!: (reason: unknown) => void;
    const done = new Promise<void>((resolve, reject) => {
      take = resolve;
      fail = reject;
    });
    this.#waiting.add(take);
    return {
      done,
      cancel: (reason) => {
        if (this.#waiting.delete(take)) fail(reason);
      },
    };
  }

  /** Gives a slot back, to the one who has waited longest. */
  release(): void {
    this.#inFlight--;
    if (this.#waiting.size > 0) this.#admit();
  }

  #admit(): void {
    for (const take of this.#waiting) {
      if (this.#inFlight >= this.#limit) return;
      this.#waiting.delete(take);
      this.#inFlight++;
      take();
    }
  }
}
