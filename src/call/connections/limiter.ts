import type { Wait } from "../../util/timing/abort.js";

/** A waiter, stored as a node of a circular list. Joining and leaving the list take O(1) time. */
interface Waiter {
  previous: Waiter;
  next: Waiter;
  /** Position in arrival order. */
  readonly place: number;
  readonly isLongLived: boolean;
  /** Resolves the wait. Undefined for the list's sentinel. */
  readonly take?: () => void;
}

/** Creates an empty circular list and returns its sentinel. */
function emptyList(): Waiter {
  const sentinel = { place: Infinity } as Waiter;
  sentinel.previous = sentinel.next = sentinel;
  return sentinel;
}

function leave({ previous, next }: Waiter): void {
  previous.next = next;
  next.previous = previous;
}

/**
 * Limits the number of requests in flight. Additional requests wait in arrival order. Long-lived requests (streams,
 * watches and long polls) occupy at most half of the slots, so that they cannot block short requests.
 */
export class Limiter {
  #limit: number;
  #inFlight = 0;
  #longLived = 0;
  #places = 0;
  /** Sentinels of the two waiter lists: one for short requests and one for long-lived requests. */
  readonly #short: Waiter = emptyList();
  readonly #long: Waiter = emptyList();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Changes the limit. A higher limit admits waiters immediately. A lower limit does not affect requests in flight. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** Takes a slot if one is free. Returns whether a slot was taken. */
  tryAcquire(isLongLived = false): boolean {
    // Do not overtake a waiter that could use this slot.
    const isTaken = this.#isFree(isLongLived) && !this.#first().take && !(isLongLived && this.#long.next.take);
    if (isTaken) this.#take(isLongLived);
    return isTaken;
  }

  /** Waits for a slot. If the wait is canceled, no slot is taken. */
  acquire(isLongLived = false): Wait {
    let take!: () => void;
    let fail!: (reason: unknown) => void;
    const done = new Promise<void>((resolve, reject) => {
      take = resolve;
      fail = reject;
    });
    const sentinel = isLongLived ? this.#long : this.#short;
    const { previous } = sentinel;
    const waiter: Waiter & Wait = {
      previous,
      next: sentinel,
      place: this.#places++,
      isLongLived,
      take,
      done,
      cancel(reason) {
        // If the waiter is no longer in the list, it already holds a slot.
        if (waiter.previous.next === waiter) {
          leave(waiter);
          fail(reason);
        }
      },
    };
    sentinel.previous = previous.next = waiter;
    return waiter;
  }

  /** Releases a slot and admits the first waiter. */
  release(isLongLived = false): void {
    this.#inFlight--;
    if (isLongLived) this.#longLived--;
    this.#admit();
  }

  #isFree(isLongLived: boolean): boolean {
    return this.#inFlight < this.#limit && (!isLongLived || this.#longLived < Math.max(1, Math.floor(this.#limit / 2)));
  }

  /** Returns the first waiter that could use a slot, or the short list's sentinel if there is none. */
  #first(): Waiter {
    const short = this.#short.next;
    const long = this.#long.next;
    return long.place < short.place && this.#isFree(true) ? long : short;
  }

  #take(isLongLived: boolean): void {
    this.#inFlight++;
    if (isLongLived) this.#longLived++;
  }

  #admit(): void {
    while (this.#isFree(false)) {
      const waiter = this.#first();
      if (!waiter.take) return;
      leave(waiter);
      this.#take(waiter.isLongLived);
      waiter.take();
    }
  }
}
