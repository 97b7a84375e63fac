import type { Wait } from "./timeouts.js";

/**
 * Lets at most `limit` requests be in flight; the others wait in the order in which they came. Those that are held long
 * (streams, watches, long polls) never take more than half of the slots, so that short ones always come through.
 */
export class Limiter {
  #limit: number;
  #inFlight = 0;
  #held = 0;
  /** Who waits, and whether for a slot that is held long. */
  readonly #waiting = new Map<() => void, boolean>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Changes the limit: more are let in at once, and none that is in flight is stopped. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** Takes a slot if one is free. */
  tryAcquire(isHeld = false): boolean {
    if (!this.#isFree(isHeld) || this.#isAnyoneBefore(isHeld)) return false;
    this.#take(isHeld);
    return true;
  }

  /** Waits for a slot; a wait that is cancelled takes none. */
  acquire(isHeld = false): Wait {
    let take!: () => void;
    let fail!: (reason: unknown) => void;
    const done = new Promise<void>((resolve, reject) => {
      take = resolve;
      fail = reject;
    });
    this.#waiting.set(take, isHeld);
    return {
      done,
      cancel: (reason) => {
        if (this.#waiting.delete(take)) fail(reason);
      },
    };
  }

  /** Gives a slot back, to the one who has waited longest. */
  release(isHeld = false): void {
    this.#inFlight--;
    if (isHeld) this.#held--;
    if (this.#waiting.size > 0) this.#admit();
  }

  #isFree(isHeld: boolean): boolean {
    if (this.#inFlight >= this.#limit) return false;
    return !isHeld || this.#held < Math.max(1, Math.floor(this.#limit / 2));
  }

  /** Whether somebody waits who could take the slot just as well. */
  #isAnyoneBefore(isHeld: boolean): boolean {
    if (this.#waiting.size === 0) return false;
    if (isHeld) return true;
    for (const waitsForHeld of this.#waiting.values()) if (!waitsForHeld || this.#isFree(true)) return true;
    return false;
  }

  #take(isHeld: boolean): void {
    this.#inFlight++;
    if (isHeld) this.#held++;
  }

  #admit(): void {
    for (const [take, isHeld] of this.#waiting) {
      if (this.#inFlight >= this.#limit) return;
      if (!this.#isFree(isHeld)) continue;
      this.#waiting.delete(take);
      this.#take(isHeld);
      take();
    }
  }
}
