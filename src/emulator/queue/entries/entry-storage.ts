import type { Bytes } from "../../../formats/request.js";
import { Consumer, type ConsumerRequest, type Delivery, Group, type StoredItem } from "../consumers.js";
import type { QueueSettings } from "../options.js";
import { hasTags } from "../query.js";
import { AwaitedItems } from "./awaited-items.js";
import { PriorityLists } from "./priority-lists.js";

/** The content of a put request. */
export interface NewItem {
  readonly data: Bytes;
  readonly tags: Readonly<Record<string, string>>;
  readonly priority?: number | undefined;
  readonly path?: string | undefined;
  readonly contentType?: string | undefined;
}

/** A change that is written to the log. */
export type QueueChange =
  | { readonly change: "put"; readonly item: StoredItem }
  | { readonly change: "remove"; readonly indexes: readonly bigint[] }
  /** The item was committed in one group and is kept for other groups. */
  | { readonly change: "commit"; readonly index: bigint; readonly gid: string; readonly awaitedBy: readonly string[] }
  | { readonly change: "negative"; readonly index: bigint; readonly gid: string }
  | { readonly change: "end" };

/** Selects items in a queue. */
export interface ItemFilter {
  /**
   * Minimum index. Items are selected in index order. 0 selects from the head of the queue in delivery order, and -1
   * selects the newest items.
   */
  readonly index: bigint;
  readonly tags: [string, string][];
}

/** An item's position as seen by a group's consumers. */
export interface ItemPosition {
  /** The user that has received but not committed the item. */
  readonly holder: string | undefined;
  /** Number of undelivered items before this item. */
  readonly waitCount: number;
}

/** Number of low bits that count the indexes within one millisecond. */
const SEQUENCE_BITS = 22n;

/**
 * Returns the index after `last`: greater than `last`, and at least 1. Until 2039, the index is below 2^63, so that the
 * official Java SDK can store the index in a signed long.
 */
export function nextIndex(shape: "time" | "counter", last: bigint, now: number): bigint {
  const following = last + 1n;
  if (shape === "counter") return following;
  // Start the sequence at 1, because a `number` represents multiples of 2^22 exactly, which would hide a loss of
  // precision.
  const byTime = (BigInt(Math.trunc(now)) << SEQUENCE_BITS) + 1n;
  return byTime > following ? byTime : following;
}

type StoreSettings = Pick<QueueSettings, "indexShape" | "maxDeliveries" | "triesCounted" | "groupGrace">;

/** A queue's items and their state in each group: a state machine without I/O and timers. */
export class QueueStore {
  readonly groups: Map<string, Group> = new Map();
  isEnded = false;
  readonly #settings: StoreSettings;
  readonly #now: () => number;
  readonly #onChange: (change: QueueChange) => void;
  /** The items in index order. */
  readonly #items = new Map<bigint, StoredItem>();
  readonly #order = new PriorityLists<StoredItem>((item) => !item.isDeleted);
  readonly #awaited: AwaitedItems;
  #last = 0n;
  #connections = 0;

  constructor(settings: StoreSettings, now: () => number, onChange: (change: QueueChange) => void) {
    this.#settings = settings;
    this.#now = now;
    this.#onChange = onChange;
    this.#awaited = new AwaitedItems(this.groups, settings.groupGrace);
  }

  /** Number of items. */
  get length(): number {
    this.#dropUnawaited();
    return this.#items.size;
  }

  /** The last assigned index. Its item may have been deleted. */
  get lastIndex(): bigint {
    return this.#last;
  }

  /** Returns all items in index order. */
  items(): IterableIterator<StoredItem> {
    this.#dropUnawaited();
    return this.#items.values();
  }

  /** Adds an item. */
  put({ data, tags, priority = 0, path = "", contentType }: NewItem): StoredItem {
    const index = nextIndex(this.#settings.indexShape, this.#last, this.#now());
    const item = { index, data, tags, priority, path, contentType, isDeleted: false, awaitedBy: undefined };
    this.#insert(item);
    this.#onChange({ change: "put", item });
    return item;
  }

  #insert(item: StoredItem): void {
    this.#last = item.index;
    this.#items.set(item.index, item);
    this.#order.add(item);
    for (const group of this.groups.values()) group.add(item);
  }

  /** Returns a group. A new group receives all existing items. */
  group(gid: string): Group {
    let group = this.groups.get(gid);
    if (group === undefined) {
      group = new Group(gid);
      for (const item of this.#items.values()) group.add(item);
      this.groups.set(gid, group);
    }
    return group;
  }

  /** Adds a consumer to its group. */
  connect(request: ConsumerRequest): Consumer {
    const consumer = new Consumer(request, ++this.#connections, this.#now());
    this.group(request.gid).join(consumer);
    this.#awaited.joined(request.gid, this.#now());
    this.#dropUnawaited();
    return consumer;
  }

  /**
   * Removes a consumer. If deliveries count as attempts, returns the items that were removed because they reached the
   * maximum number of attempts.
   */
  disconnect(consumer: Consumer): StoredItem[] {
    const { gid } = consumer.request;
    const group = this.group(gid);
    const held = [...consumer.pending.values()];
    group.leave(consumer, this.#now());
    this.#awaited.left(this.#now());
    this.#dropUnawaited();
    if (this.#settings.triesCounted === "negatives") return [];
    const dead = held.filter(({ index }) => group.deliveriesOf(index) >= this.#settings.maxDeliveries);
    const indexes = dead.map(({ index }) => index);
    this.commit(gid, indexes);
    return dead;
  }

  /** Delivers the next item to a consumer. Returns undefined if no consumer can accept any item. */
  next(): Delivery | undefined {
    for (const group of this.groups.values()) {
      const delivery = group.next(this.#now());
      if (delivery !== undefined) return delivery;
    }
    return undefined;
  }

  /**
   * Commits items for a group, whether or not they were delivered. An item is deleted unless another active group has
   * yet to commit the item. Returns the indexes that were committed.
   */
  commit(gid: string, indexes: readonly bigint[]): bigint[] {
    const group = this.group(gid);
    const deleted: bigint[] = [];
    const committed = indexes.filter((index) => {
      const item = this.#items.get(index);
      if (item === undefined || group.committed.has(index)) return false;
      this.#markDone(group, item);
      if (item.awaitedBy?.size === 0) {
        this.#drop(item);
        deleted.push(index);
      }
      return true;
    });
    if (deleted.length > 0) this.#onChange({ change: "remove", indexes: deleted });
    for (const index of committed) {
      const awaitedBy = this.#items.get(index)?.awaitedBy;
      if (awaitedBy) this.#onChange({ change: "commit", index, gid, awaitedBy: [...awaitedBy] });
    }
    return committed;
  }

  #markDone(group: Group, item: StoredItem): void {
    group.committed.add(item.index);
    group.forget(item.index);
    item.awaitedBy ??= new Set();
    item.awaitedBy.delete(group.gid);
    for (const other of this.groups.values()) {
      if (other.awaits(item, this.#now(), this.#settings.groupGrace)) item.awaitedBy.add(other.gid);
    }
    this.#awaited.add(item);
  }

  /**
   * Returns an item from its consumer to the group for redelivery. If the item has reached the maximum number of attempts, it
   * is removed and returned.
   */
  negative(gid: string, index: bigint): StoredItem | undefined {
    const item = this.#items.get(index);
    const tries = item && this.groups.get(gid)?.nack(item);
    if (item === undefined || tries === undefined) return undefined;
    this.#onChange({ change: "negative", index, gid });
    if (tries[this.#settings.triesCounted] < this.#settings.maxDeliveries) return undefined;
    this.commit(gid, [index]);
    return item;
  }

  /** Deletes items for all groups. Returns the number of deleted items. */
  remove(indexes: readonly bigint[]): number {
    const deleted = indexes.filter((index) => {
      const item = this.#items.get(index);
      if (item !== undefined) this.#drop(item);
      return item !== undefined;
    });
    if (deleted.length > 0) this.#onChange({ change: "remove", indexes: deleted });
    return deleted.length;
  }

  /** Deletes all items before an index. Returns the number of deleted items. */
  truncate(before: bigint): number {
    return this.remove([...this.#items.keys()].filter((index) => index < before));
  }

  /** Ends the queue, so that it accepts no more items. With `force`, the remaining items are deleted. */
  end(force: boolean): void {
    if (force) this.remove([...this.#items.keys()]);
    if (this.isEnded) return;
    this.isEnded = true;
    this.#onChange({ change: "end" });
  }

  /** Returns up to `length` items that match a filter. */
  find({ index, tags }: ItemFilter, length: number): StoredItem[] {
    this.#dropUnawaited();
    if (index === -1n) return [...this.#items.values()].filter((item) => hasTags(item, tags)).slice(-length);
    const exact = this.#items.get(index);
    if (exact !== undefined && length === 1 && hasTags(exact, tags)) return [exact];
    const found: StoredItem[] = [];
    for (const item of index === 0n ? this.#order : this.#items.values()) {
      if (found.length >= length) break;
      if (item.index >= index && hasTags(item, tags)) found.push(item);
    }
    return found;
  }

  /** Counts the items with all of the tags and, if given, the priority. */
  count(tags: [string, string][], priority?: number): number {
    this.#dropUnawaited();
    let count = 0;
    for (const item of this.#items.values()) {
      if ((priority === undefined || item.priority === priority) && hasTags(item, tags)) count++;
    }
    return count;
  }

  /** Returns the position of an item for a group; undefined if the item does not exist or the group has committed it. */
  search(gid: string, index: bigint): ItemPosition | undefined {
    this.#dropUnawaited();
    const group = this.groups.get(gid);
    if (!this.#items.has(index) || group?.committed.has(index)) return undefined;
    const holder = group?.holderOf(index)?.request.uid;
    if (holder !== undefined) return { holder, waitCount: 0 };
    let waitCount = 0;
    for (const item of this.#order) {
      if (item.index === index) break;
      if (group?.isReady(item) ?? true) waitCount++;
    }
    return { holder: undefined, waitCount };
  }

  /** Applies a change from a log. */
  restore(change: QueueChange): void {
    if (change.change === "put") this.#insert(change.item);
    else if (change.change === "end") this.isEnded = true;
    else if (change.change === "remove") {
      for (const index of change.indexes) this.#restoreRemoved(index);
    } else {
      const item = this.#items.get(change.index);
      if (item === undefined) return;
      const group = this.group(change.gid);
      if (change.change === "negative") group.restoreNegatives(item);
      else {
        group.committed.add(item.index);
        item.awaitedBy = new Set(change.awaitedBy);
        this.#awaited.restore(item, this.#now());
      }
    }
  }

  #restoreRemoved(index: bigint): void {
    const item = this.#items.get(index);
    if (item !== undefined) this.#drop(item);
  }

  /** Removes items that were kept only for groups that are no longer active. */
  #dropUnawaited(): void {
    this.remove(this.#awaited.takeUnawaited(this.#now).map(({ index }) => index));
  }

  #drop(item: StoredItem): void {
    item.isDeleted = true;
    this.#awaited.delete(item);
    this.#items.delete(item.index);
    for (const group of this.groups.values()) {
      group.forget(item.index);
      group.committed.delete(item.index);
    }
  }
}
