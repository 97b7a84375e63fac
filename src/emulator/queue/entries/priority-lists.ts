/** What a lane needs to know of an item. */
export interface Ordered {
  readonly index: bigint;
  readonly priority: number;
}

interface Lane<Item> {
  readonly priority: number;
  /** By index; those before `head` are taken, and let go of. */
  items: (Item | undefined)[];
  head: number;
  /** Length after which the items that are no longer wanted are swept out. */
  sweepAt: number;
}

const FIRST_SWEEP = 1024;

/**
 * Items in the order of their delivery: the highest priority first, within one priority by index. Items that are no longer
 * wanted are left where they are and dropped when they are met, so that a removal costs nothing.
 */
export class Lanes<Item extends Ordered> {
  readonly #lanes: Lane<Item>[] = [];
  readonly #isWanted: (item: Item) => boolean;

  constructor(isWanted: (item: Item) => boolean) {
    this.#isWanted = isWanted;
  }

  /** Adds an item: a new one at the end of its lane, one that comes back at its old place. */
  add(item: Item): void {
    const lane = this.#laneOf(item.priority);
    const { items } = lane;
    // Else a queue that only gets read would keep what is gone.
    while (lane.head < items.length && !this.#isWanted(items[lane.head] as Item)) items[lane.head++] = undefined;
    if (items.length === lane.head || (items[items.length - 1] as Item).index < item.index) {
      items.push(item);
      if (items.length > lane.sweepAt) this.#sweep(lane);
      return;
    }
    let at = lane.head;
    let end = items.length;
    while (at < end) {
      const middle = (at + end) >> 1;
      if ((items[middle] as Item).index < item.index) at = middle + 1;
      else end = middle;
    }
    // The usual one that comes back is the oldest, and its place is free.
    if (at === lane.head && at > 0) items[--lane.head] = item;
    else items.splice(at, 0, item);
  }

  /** Takes out the first item that `accepts` agrees to. */
  take(accepts: (item: Item) => boolean): Item | undefined {
    for (const lane of this.#lanes) {
      const { items } = lane;
      for (let at = lane.head; at < items.length; at++) {
        const item = items[at] as Item;
        const isWanted = this.#isWanted(item);
        if (isWanted && !accepts(item)) continue;
        if (at === lane.head) items[lane.head++] = undefined;
        else items.splice(at--, 1);
        if (isWanted) return item;
      }
    }
    return undefined;
  }

  /** The wanted items in order. */
  *[Symbol.iterator](): Generator<Item> {
    for (const { items, head } of this.#lanes) {
      for (let at = head; at < items.length; at++) if (this.#isWanted(items[at] as Item)) yield items[at] as Item;
    }
  }

  #laneOf(priority: number): Lane<Item> {
    const at = this.#lanes.findIndex((lane) => lane.priority <= priority);
    const found = this.#lanes[at];
    if (found?.priority === priority) return found;
    const lane = { priority, items: [], head: 0, sweepAt: FIRST_SWEEP };
    this.#lanes.splice(at === -1 ? this.#lanes.length : at, 0, lane);
    return lane;
  }

  #sweep(lane: Lane<Item>): void {
    lane.items = lane.items.slice(lane.head).filter((item) => this.#isWanted(item as Item));
    lane.head = 0;
    lane.sweepAt = Math.max(FIRST_SWEEP, 2 * lane.items.length);
  }
}
