import { clockNow, hasFakeTimers, startTimer, type TimerHandle } from "./clock.js";

/**
 * An entry of `Timeouts`. Each entry is a node of a linked list, so that starting a timeout does not allocate
 * memory.
 */
export abstract class TimerEntry {
  /** @internal */ previous: TimerEntry | undefined;
  /** @internal */ next: TimerEntry | undefined;
  /** @internal */ list: List | undefined;
  /** @internal */ expiresAt = 0;
  /** @internal */ ownTimer: TimerHandle | undefined = undefined;

  /** Called when the entry times out. The entry has already been removed from the list. */
  abstract expire(): void;
}

/** Entries with the same delay, in order of expiry. All entries in a list share one timer. */
class List {
  readonly milliseconds: number;
  first: TimerEntry | undefined;
  last: TimerEntry | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(milliseconds: number) {
    this.milliseconds = milliseconds;
  }
}

/**
 * Timeouts that share timers, because nearly all of a client's calls have the same timeout, and a separate timer for
 * each call would cost a tenth of the throughput. While there are no entries, there is no timer that could keep the
 * process alive.
 */
export class Timeouts {
  readonly #lists = new Map<number, List>();

  /**
   * Expires `item` after `milliseconds`, which must be a valid timer delay. An entry can have only one timeout at a
   * time.
   */
  start(item: TimerEntry, milliseconds: number): void {
    if (hasFakeTimers()) {
      // With fake timers, the clock may not advance, so a shared timer would not find the entries that are due.
      item.ownTimer = startTimer(() => {
        item.ownTimer = undefined;
        item.expire();
      }, delayOf(milliseconds));
      return;
    }
    let list = this.#lists.get(milliseconds);
    if (list === undefined) {
      list = new List(milliseconds);
      this.#lists.set(milliseconds, list);
    }
    item.expiresAt = clockNow() + milliseconds;
    item.list = list;
    item.previous = list.last;
    if (list.last) list.last.next = item;
    else list.first = item;
    list.last = item;
    list.timer ??= this.#arm(list, milliseconds);
  }

  /** Removes `item`. Does nothing if `item` has no pending timeout. */
  stop(item: TimerEntry): void {
    const { list, previous, next, ownTimer } = item;
    if (ownTimer !== undefined) {
      clearTimeout(ownTimer as never);
      item.ownTimer = undefined;
    }
    if (list === undefined) return;
    if (previous) previous.next = next;
    else list.first = next;
    if (next) next.previous = previous;
    else list.last = previous;
    item.list = item.previous = item.next = undefined;
    if (list.first === undefined) {
      clearTimeout(list.timer);
      list.timer = undefined;
      this.#lists.delete(list.milliseconds);
    }
  }

  #arm(list: List, milliseconds: number): ReturnType<typeof setTimeout> {
    const due = (list.first as TimerEntry).expiresAt;
    return setTimeout(() => this.#run(list, due), delayOf(milliseconds));
  }

  #run(list: List, due: number): void {
    list.timer = undefined;
    // When a timer has fired, its entries are due even if the clock is behind.
    const now = Math.max(due, clockNow());
    while (list.first && list.first.expiresAt <= now) {
      const item = list.first;
      this.stop(item);
      item.expire();
    }
    if (list.first) list.timer ??= this.#arm(list, list.first.expiresAt - now);
  }
}

/** Returns the delay rounded up to whole milliseconds, as timers require. */
function delayOf(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds));
}
