import type { Bytes } from "../../../formats/request.js";
import { Consumer, type ConsumerRequest, type Delivery, Group, type StoredItem } from "../consumers.js";
import type { QueueSettings } from "../options.js";
import { hasTags } from "../query.js";
import { AwaitedItems } from "./awaited-items.js";
import { nextIndex } from "./entry-index.js";
import { Lanes } from "./priority-lists.js";

/** What a put brings. */
export interface NewItem {
  readonly data: Bytes;
  readonly tags: Readonly<Record<string, string>>;
  readonly priority?: number | undefined;
  readonly path?: string | undefined;
  readonly contentType?: string | undefined;
}

/** A change that must not be forgotten. */
export type QueueChange =
  | { readonly change: "put"; readonly item: StoredItem }
  | { readonly change: "remove"; readonly indexes: readonly bigint[] }
  /** Committed in one group and kept for others. */
  | { readonly change: "commit"; readonly index: bigint; readonly gid: string; readonly awaitedBy: readonly string[] }
  | { readonly change: "negative"; readonly index: bigint; readonly gid: string }
  | { readonly change: "end" };

/** Which items are meant. */
export interface ItemFilter {
  /** From this index on, in the order of indexes; 0 is the head of the queue, in the order of delivery; -1 the newest. */
  readonly index: bigint;
  readonly tags: [string, string][];
}

/** Where an item is for the consumers of a group. */
export interface ItemPlace {
  /** The user that has it and has not committed it. */
  readonly holder: string | undefined;
  /** Items before it that no consumer has yet. */
  readonly waitCount: number;
}

type StoreSettings = Pick<QueueSettings, "indexShape" | "maxDeliveries" | "triesCounted" | "groupGrace">;

/** The items of one queue and what its groups have done with them: a pure state machine without I/O and timers. */
export class QueueStore {
  readonly groups: Map<string, Group> = new Map();
  isEnded = false;
  readonly #settings: StoreSettings;
  readonly #now: () => number;
  readonly #onChange: (change: QueueChange) => void;
  /** In the order of their indexes. */
  readonly #items = new Map<bigint, StoredItem>();
  readonly #order = new Lanes<StoredItem>((item) => !item.gone);
  readonly #awaited: AwaitedItems;
  #last = 0n;
  #connections = 0;

  constructor(settings: StoreSettings, now: () => number, onChange: (change: QueueChange) => void) {
    this.#settings = settings;
    this.#now = now;
    this.#onChange = onChange;
    this.#awaited = new AwaitedItems(this.groups, settings.groupGrace);
  }

  get length(): number {
    this.#dropUnawaited();
    return this.#items.size;
  }

  /** The index given last, though its item may be gone. */
  get lastIndex(): bigint {
    return this.#last;
  }

  /** By index. */
  items(): IterableIterator<StoredItem> {
    this.#dropUnawaited();
    return this.#items.values();
  }

  put({ data, tags, priority = 0, path = "", contentType }: NewItem): StoredItem {
    const index = nextIndex(this.#settings.indexShape, this.#last, this.#now());
    const item = { index, data, tags, priority, path, contentType, gone: false, awaitedBy: undefined };
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

  /** A group, which is known from now on and has all items before it. */
  group(gid: string): Group {
    let group = this.groups.get(gid);
    if (group === undefined) {
      group = new Group(gid);
      for (const item of this.#items.values()) group.add(item);
      this.groups.set(gid, group);
    }
    return group;
  }

  connect(request: ConsumerRequest): Consumer {
    const consumer = new Consumer(request, ++this.#connections, this.#now());
    this.group(request.gid).join(consumer);
    this.#awaited.joined(request.gid, this.#now());
    this.#dropUnawaited();
    return consumer;
  }

  /** Lets a consumer go. Returns items that have been pushed too often, where pushes are counted, and were taken out. */
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

  /** Hands out the next item, to whomever; undefined when nobody can take any. */
  next(): Delivery | undefined {
    for (const group of this.groups.values()) {
      const delivery = group.next(this.#now());
      if (delivery !== undefined) return delivery;
    }
    return undefined;
  }

  /**
   * Takes items as done for a group, whoever of it has them, or nobody yet. They go, unless another live group has yet to
   * commit them. Returns those that were there to commit.
   */
  commit(gid: string, indexes: readonly bigint[]): bigint[] {
    const group = this.group(gid);
    const gone: bigint[] = [];
    const committed = indexes.filter((index) => {
      const item = this.#items.get(index);
      if (item === undefined || group.done.has(index)) return false;
      this.#markDone(group, item);
      if (item.awaitedBy?.size === 0) {
        this.#drop(item);
        gone.push(index);
      }
      return true;
    });
    if (gone.length > 0) this.#onChange({ change: "remove", indexes: gone });
    for (const index of committed) {
      const awaitedBy = this.#items.get(index)?.awaitedBy;
      if (awaitedBy) this.#onChange({ change: "commit", index, gid, awaitedBy: [...awaitedBy] });
    }
    return committed;
  }

  #markDone(group: Group, item: StoredItem): void {
    group.done.add(item.index);
    group.forget(item.index);
    item.awaitedBy ??= new Set();
    item.awaitedBy.delete(group.gid);
    for (const other of this.groups.values()) {
      if (other.awaits(item, this.#now(), this.#settings.groupGrace)) item.awaitedBy.add(other.gid);
    }
    this.#awaited.add(item);
  }

  /**
   * Takes an item back from its holder in a group, for another one. Returns the item when it has been tried too often and
   * was taken out.
   */
  negative(gid: string, index: bigint): StoredItem | undefined {
    const item = this.#items.get(index);
    const tries = item && this.groups.get(gid)?.refuse(item);
    if (item === undefined || tries === undefined) return undefined;
    this.#onChange({ change: "negative", index, gid });
    if (tries[this.#settings.triesCounted] < this.#settings.maxDeliveries) return undefined;
    this.commit(gid, [index]);
    return item;
  }

  /** Deletes items, for all groups. Returns how many there were. */
  remove(indexes: readonly bigint[]): number {
    const gone = indexes.filter((index) => {
      const item = this.#items.get(index);
      if (item !== undefined) this.#drop(item);
      return item !== undefined;
    });
    if (gone.length > 0) this.#onChange({ change: "remove", indexes: gone });
    return gone.length;
  }

  /** Deletes all items before an index. */
  truncate(before: bigint): number {
    return this.remove([...this.#items.keys()].filter((index) => index < before));
  }

  /** Takes no more items; `force` deletes those that are there. */
  end(force: boolean): void {
    if (force) this.remove([...this.#items.keys()]);
    if (this.isEnded) return;
    this.isEnded = true;
    this.#onChange({ change: "end" });
  }

  /** The first items that a filter lets through. */
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

  count(tags: [string, string][], priority?: number): number {
    this.#dropUnawaited();
    let count = 0;
    for (const item of this.#items.values()) {
      if ((priority === undefined || item.priority === priority) && hasTags(item, tags)) count++;
    }
    return count;
  }

  /** Where an item is for a group; undefined when it is not there, or done. */
  search(gid: string, index: bigint): ItemPlace | undefined {
    this.#dropUnawaited();
    const group = this.groups.get(gid);
    if (!this.#items.has(index) || group?.done.has(index)) return undefined;
    const holder = group?.holderOf(index)?.request.uid;
    if (holder !== undefined) return { holder, waitCount: 0 };
    let waitCount = 0;
    for (const item of this.#order) {
      if (item.index === index) break;
      if (group?.isReady(item) ?? true) waitCount++;
    }
    return { holder: undefined, waitCount };
  }

  /** Does again what a log tells. */
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
        group.done.add(item.index);
        item.awaitedBy = new Set(change.awaitedBy);
        this.#awaited.restore(item, this.#now());
      }
    }
  }

  #restoreRemoved(index: bigint): void {
    const item = this.#items.get(index);
    if (item !== undefined) this.#drop(item);
  }

  /** Removes the items that were kept only for groups whose last consumer has left, or whose grace has ended since. */
  #dropUnawaited(): void {
    this.remove(this.#awaited.takeUnawaited(this.#now).map(({ index }) => index));
  }

  #drop(item: StoredItem): void {
    item.gone = true;
    this.#awaited.delete(item);
    this.#items.delete(item.index);
    for (const group of this.groups.values()) {
      group.forget(item.index);
      group.done.delete(item.index);
    }
  }
}
