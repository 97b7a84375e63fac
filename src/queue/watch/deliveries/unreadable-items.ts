import type { EasDecodeError } from "../../../errors.js";
import type { WatchReports } from "../reports.js";

/**
 * Delay before an item is returned to the queue for the second time, in milliseconds. Doubles each time the same item
 * is returned again.
 */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;
/** Maximum number of unreadable items to remember. */
const MAX_ITEMS = 10_000;

interface Entry {
  returns: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** The actions for items that cannot be read. */
export interface UnreadableActions {
  /** Sends a negative acknowledgment for the item. */
  returnToQueue(index: bigint): Promise<void>;
  /** Reports the error through the iteration. */
  report(error: EasDecodeError): void;
}

/**
 * Reports each unreadable item once and returns it to the queue, because it would otherwise occupy the window. The
 * service may redeliver the item at once, so the delay increases each time the same item is returned.
 */
export class UnreadableItems {
  readonly #actions: UnreadableActions;
  readonly #reports: WatchReports;
  readonly #items = new Map<bigint, Entry>();
  #isClosed = false;

  constructor(actions: UnreadableActions, reports: WatchReports) {
    this.#actions = actions;
    this.#reports = reports;
  }

  /** Handles an unreadable item. An item with an unknown index is only reported. Returns whether the item is new. */
  add(error: EasDecodeError, index: bigint | undefined): boolean {
    const known = index === undefined ? undefined : this.#items.get(index);
    if (known === undefined) {
      const item = index === undefined ? "an item" : `item ${index}`;
      this.#reports.warn(`${item}: ${error.message}`, `${item} could not be read: ${error.message}`);
      this.#actions.report(error);
    }
    if (index === undefined) return false;
    const entry = known ?? { returns: 0, timer: undefined };
    this.#items.set(index, entry);
    if (this.#items.size > MAX_ITEMS) this.#forgetOldest();
    this.#schedule(index, entry);
    return known === undefined;
  }

  /** Cancels all items waiting to be returned. */
  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#items.values()) clearTimeout(timer);
    this.#items.clear();
  }

  #schedule(index: bigint, entry: Entry): void {
    if (this.#isClosed || entry.timer !== undefined) return;
    const send = () => {
      entry.timer = undefined;
      // Retry if returning the item fails, because it would otherwise occupy the window.
      this.#actions.returnToQueue(index).catch(() => this.#schedule(index, entry));
    };
    const delay = entry.returns === 0 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (entry.returns - 1));
    entry.returns++;
    if (delay === 0) send();
    else entry.timer = setTimeout(send, delay);
  }

  #forgetOldest(): void {
    for (const [index, { timer }] of this.#items) {
      clearTimeout(timer);
      this.#items.delete(index);
      return;
    }
  }
}
