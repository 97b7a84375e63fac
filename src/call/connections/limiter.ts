import type { Wait } from "../../util/timing/abort.js";

/** Who waits: a member of a ring, so that to come and to go takes no look at the others. */
interface Waiter {
  previous: Waiter;
  next: Waiter;
  /** The smallest has waited longest. */
  readonly place: number;
  readonly isLongLived: boolean;
  /** Tells that the slot is there; the end of a ring has none. */
  readonly take?: () => void;
}

function ring(): Waiter {
  const end = { place: Infinity } as Waiter;
  end.previous = end.next = end;
  return end;
}

function leave({ previous, next }: Waiter): void {
  previous.next = next;
  next.previous = previous;
}

/**
 * Lets at most `limit` requests be in flight; the others wait in the order in which they came. Those that are held long
 * (streams, watches, long polls) never take more than half of the slots, so that short ones always come through.
 */
export class Limiter {
  #limit: number;
  #inFlight = 0;
  #held = 0;
  #places = 0;
  /** The ends of two rings, of those who wait and of those who wait for a slot that is held long. */
  readonly #short: Waiter = ring();
  readonly #long: Waiter = ring();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Changes the limit: more are let in at once, and none that is in flight is stopped. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** Takes a slot if one is free. */
  tryAcquire(isLongLived = false): boolean {
    // Nobody passes who could take it just as well.
    const isTaken = this.#isFree(isLongLived) && !this.#first().take && !(isLongLived && this.#long.next.take);
    if (isTaken) this.#take(isLongLived);
    return isTaken;
  }

  /** Waits for a slot; a wait that is cancelled takes none. */
  acquire(isLongLived = false): Wait {
    let take!: () => void;
    let fail!: (reason: unknown) => void;
    const done = new Promise<void>((resolve, reject) => {
      take = resolve;
      fail = reject;
    });
    const end = isLongLived ? this.#long : this.#short;
    const { previous } = end;
    const waiter: Waiter & Wait = {
      previous,
      next: end,
      place: this.#places++,
      isLongLived,
      take,
      done,
      cancel(reason) {
        // Else it has left the ring.
        if (waiter.previous.next === waiter) {
          leave(waiter);
          fail(reason);
        }
      },
    };
    end.previous = previous.next = waiter;
    return waiter;
  }

  /** Gives a slot back, to the one who has waited longest. */
  release(isLongLived = false): void {
    this.#inFlight--;
    if (isLongLived) this.#held--;
    this.#admit();
  }

  #isFree(isLongLived: boolean): boolean {
    return this.#inFlight < this.#limit && (!isLongLived || this.#held < Math.max(1, Math.floor(this.#limit / 2)));
  }

  /** Who has waited longest of those who could take a slot; the end of the short ones when there is nobody. */
  #first(): Waiter {
    const short = this.#short.next;
    const long = this.#long.next;
    return long.place < short.place && this.#isFree(true) ? long : short;
  }

  #take(isLongLived: boolean): void {
    this.#inFlight++;
    if (isLongLived) this.#held++;
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
