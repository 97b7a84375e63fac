import { clockNow, hasFakeTimers, startTimer, type TimerHandle } from "./clock.js";

/** Something whose time can run out. A node of a list, so that waiting costs no memory of its own. */
export abstract class TimerEntry {
  /** @internal */ previous: TimerEntry | undefined;
  /** @internal */ next: TimerEntry | undefined;
  /** @internal */ list: List | undefined;
  /** @internal */ expiresAt = 0;
  /** @internal */ ownTimer: TimerHandle | undefined = undefined;

  /** Called when the time has run out; it is no longer listed then. */
  abstract expire(): void;
}

/** All that wait equally long, the first to expire first, behind one timer. */
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
 * Timeouts that share timers: nearly all calls of a client wait equally long, and a timer for each would cost a tenth
 * of all requests a second. With nothing waiting there is no timer, so none keeps a process alive.
 */
export class Timeouts {
  readonly #lists = new Map<number, List>();

  /** Expires `item` after `milliseconds`, which must be a valid timer delay. An item may wait once at a time. */
  start(item: TimerEntry, milliseconds: number): void {
    if (hasFakeTimers()) {
      // The clock may stand still, so that a shared timer cannot tell which of the items are due.
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

  /** Takes `item` out; does nothing when it is not waiting. */
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
    // A timer that fired as armed is due, even if the clock is behind.
    const now = Math.max(due, clockNow());
    while (list.first && list.first.expiresAt <= now) {
      const item = list.first;
      this.stop(item);
      item.expire();
    }
    if (list.first) list.timer ??= this.#arm(list, list.first.expiresAt - now);
  }
}

/** A delay that timers take: whole milliseconds. */
function delayOf(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds));
}
