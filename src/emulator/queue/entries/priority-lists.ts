/** Properties that determine the order of items. */
export interface Ordered {
  readonly index: bigint;
  readonly priority: number;
}

interface PriorityList<Item> {
  readonly priority: number;
  /** Items by index. Entries before `head` are undefined because their items have been taken. */
  items: (Item | undefined)[];
  head: number;
  /** Length at which unwanted items are removed. */
  sweepAt: number;
}

const FIRST_SWEEP = 1024;

/**
 * Items in delivery order: by descending priority and, within a priority, by ascending index. Unwanted items stay in
 * the list until they are reached, so that removing an item takes O(1) time.
 */
export class PriorityLists<Item extends Ordered> {
  readonly #lists: PriorityList<Item>[] = [];
  readonly #isWanted: (item: Item) => boolean;

  constructor(isWanted: (item: Item) => boolean) {
    this.#isWanted = isWanted;
  }

  /** Adds an item. A new item is added at the end of its list, and a returned item at its original position. */
  add(item: Item): void {
    const list = this.#listOf(item.priority);
    const { items } = list;
    // Otherwise, a queue from which items are never taken would keep deleted items in memory.
    while (list.head < items.length && !this.#isWanted(items[list.head] as Item)) items[list.head++] = undefined;
    if (items.length === list.head || (items[items.length - 1] as Item).index < item.index) {
      items.push(item);
      if (items.length > list.sweepAt) this.#sweep(list);
      return;
    }
    let at = list.head;
    let end = items.length;
    while (at < end) {
      const middle = (at + end) >> 1;
      if ((items[middle] as Item).index < item.index) at = middle + 1;
      else end = middle;
    }
    // Usually, the returned item is the oldest item, and its position is still free.
    if (at === list.head && at > 0) items[--list.head] = item;
    else items.splice(at, 0, item);
  }

  /** Removes and returns the first item that `accepts` accepts. */
  take(accepts: (item: Item) => boolean): Item | undefined {
    for (const list of this.#lists) {
      const { items } = list;
      for (let at = list.head; at < items.length; at++) {
        const item = items[at] as Item;
        const isWanted = this.#isWanted(item);
        if (isWanted && !accepts(item)) continue;
        if (at === list.head) items[list.head++] = undefined;
        else items.splice(at--, 1);
        if (isWanted) return item;
      }
    }
    return undefined;
  }

  /** Iterates over the wanted items in order. */
  *[Symbol.iterator](): Generator<Item> {
    for (const { items, head } of this.#lists) {
      for (let at = head; at < items.length; at++) if (this.#isWanted(items[at] as Item)) yield items[at] as Item;
    }
  }

  #listOf(priority: number): PriorityList<Item> {
    const at = this.#lists.findIndex((list) => list.priority <= priority);
    const found = this.#lists[at];
    if (found?.priority === priority) return found;
    const list = { priority, items: [], head: 0, sweepAt: FIRST_SWEEP };
    this.#lists.splice(at === -1 ? this.#lists.length : at, 0, list);
    return list;
  }

  #sweep(list: PriorityList<Item>): void {
    list.items = list.items.slice(list.head).filter((item) => this.#isWanted(item as Item));
    list.head = 0;
    list.sweepAt = Math.max(FIRST_SWEEP, 2 * list.items.length);
  }
}
