/** The properties that determine the order of items. */
export interface Ordered {
  readonly index: bigint;
  readonly priority: number;
}

interface Lane<Item> {
  readonly priority: number;
  /** Items by index. Those before `head` have been taken and are undefined. */
  items: (Item | undefined)[];
  head: number;
  /** Length at which unwanted items are removed. */
  sweepAt: number;
}

const FIRST_SWEEP = 1024;

/**
 * Items in delivery order: by descending priority, then by index. Items that are no longer wanted stay in the list until they
 * are reached, so that removing an item is O(1).
 */
export class Lanes<Item extends Ordered> {
  readonly #lanes: Lane<Item>[] = [];
  readonly #isWanted: (item: Item) => boolean;

  constructor(isWanted: (item: Item) => boolean) {
    this.#isWanted = isWanted;
  }

  /** Adds an item: a new item at the end of its list, a returned item at its original position. */
  add(item: Item): void {
    const lane = this.#laneOf(item.priority);
    const { items } = lane;
    // Otherwise a queue from which items are only read would keep deleted items in memory.
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
    // Usually the oldest item is returned, and its position is still free.
    if (at === lane.head && at > 0) items[--lane.head] = item;
    else items.splice(at, 0, item);
  }

  /** Removes and returns the first item that `accepts` accepts. */
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

  /** Iterates over the wanted items in order. */
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
