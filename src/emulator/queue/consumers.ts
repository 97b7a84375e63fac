import type { Bytes } from "../../formats/request.js";
import { PriorityLists } from "./entries/priority-lists.js";
import { hasTags } from "./query.js";

/** An item of a queue. */
export interface EmulatorQueueItem {
  /** Unique index, ascending in the order of puts. */
  readonly index: bigint;
  /** Tags of the put request. */
  readonly tags: Readonly<Record<string, string>>;
  /** The payload. */
  readonly data: Bytes;
  /** Priority. Items with a higher priority are delivered first. */
  readonly priority: number;
  /** Path of the put request after the queue's name, for the service: `""`, or text that starts with `/`. */
  readonly path: string;
  /** `Content-Type` of the put request, for the service. */
  readonly contentType: string | undefined;
}

/** An item with its state in the queue. */
export interface StoredItem extends EmulatorQueueItem {
  isDeleted: boolean;
  /** Groups for which the item is kept although another group has committed it. */
  awaitedBy: Set<string> | undefined;
}

/** The parameters of a watch. */
export interface ConsumerRequest {
  readonly uid: string;
  readonly gid: string;
  /** Minimum index of the items. */
  readonly start: bigint;
  /** Maximum number of delivered, uncommitted items. */
  readonly window: number;
  readonly indexOnly: boolean;
  readonly autoCommit: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

/** A consumer with an open watch. */
export class Consumer {
  readonly request: ConsumerRequest;
  /** Number of the connection, unique among all watches of the queue. */
  readonly connection: number;
  /** Items that were delivered to this consumer and have not been committed. */
  readonly pending: Map<bigint, StoredItem> = new Map();
  /** Items of `pending` that were delivered over the user's previous connection, but not yet over this connection. */
  readonly inherited: StoredItem[] = [];
  /** Whether the connection cannot accept more items at the moment. */
  isFull = false;
  /** Whether a negative commit had the code `Shutdown`. If so, no more items are delivered. */
  isShutDown = false;
  lastActive: number;
  readonly #tags: [string, string][];

  constructor(request: ConsumerRequest, connection: number, now: number) {
    this.request = request;
    this.connection = connection;
    this.lastActive = now;
    this.#tags = Object.entries(request.tags);
  }

  get freeSlots(): number {
    return this.request.autoCommit ? Number.POSITIVE_INFINITY : this.request.window - this.pending.size;
  }

  canTake(): boolean {
    return !this.isFull && !this.isShutDown && (this.inherited.length > 0 || this.freeSlots > 0);
  }

  wants(item: StoredItem): boolean {
    return item.index >= this.request.start && hasTags(item, this.#tags);
  }
}

/** A consumer that has left, for the queue's attributes. */
export interface FormerConsumer {
  readonly request: ConsumerRequest;
  readonly leftAt: number;
  /** Whether the consumer left without committing all of its items. */
  readonly hadPending: boolean;
}

/** Maximum number of former consumers that a group remembers. */
const MAX_FORMER = 100;

/** The state of an item in a group, once it has been delivered. */
interface Progress {
  deliveries: number;
  negatives: number;
  holder: Consumer | undefined;
  /**
   * The user that last returned the item with a negative commit. If possible, the item is delivered to another user
   * next.
   */
  nackedBy: string | undefined;
}

/** An item that is delivered to a consumer. */
export interface Delivery {
  readonly item: StoredItem;
  readonly consumer: Consumer;
  /** Number of deliveries of the item in this group, starting at 1. */
  readonly number: number;
}

/** A group of consumers that share the items. Every group receives all items. This is a state machine without I/O. */
export class Group {
  readonly gid: string;
  /** Consumers by user. The consumer that has waited longest for an item comes first. */
  readonly consumers: Map<string, Consumer> = new Map();
  readonly former: Map<string, FormerConsumer> = new Map();
  /** Indexes of the items that this group has committed and that are kept for other groups. */
  readonly committed: Set<bigint> = new Set();
  deliveries = 0;
  lastIndex = 0n;
  readonly #progress = new Map<bigint, Progress>();
  readonly #ready = new PriorityLists<StoredItem>((item) => !item.isDeleted && !this.committed.has(item.index));

  constructor(gid: string) {
    this.gid = gid;
  }

  /** Adds an item for delivery. */
  add(item: StoredItem): void {
    this.#ready.add(item);
  }

  /**
   * Adds a consumer. The consumer first receives the items that were delivered over an earlier connection of the same
   * user and have not been committed.
   */
  join(consumer: Consumer): void {
    const { uid } = consumer.request;
    const before = this.consumers.get(uid);
    this.consumers.delete(uid);
    this.consumers.set(uid, consumer);
    this.former.delete(uid);
    for (const item of before?.pending.values() ?? []) {
      if (consumer.freeSlots <= 0) {
        this.#release(item);
        continue;
      }
      consumer.pending.set(item.index, item);
      consumer.inherited.push(item);
      this.#progressOf(item).holder = consumer;
    }
    before?.pending.clear();
  }

  /** Removes a consumer and makes its items available to other consumers. */
  leave(consumer: Consumer, now: number): void {
    const { request, pending } = consumer;
    // A consumer that was replaced has no items left and is not in the map.
    if (this.consumers.get(request.uid) !== consumer) return;
    this.consumers.delete(request.uid);
    this.former.set(request.uid, { request, leftAt: now, hadPending: pending.size > 0 });
    // Most clients use a new user name for every start, so old entries must be removed.
    for (const uid of this.former.keys()) if (this.former.size > MAX_FORMER) this.former.delete(uid);
    for (const item of pending.values()) this.#release(item);
    pending.clear();
  }

  /** Delivers the next item to a consumer. Returns undefined if no consumer can accept any item. */
  next(now: number): Delivery | undefined {
    for (const consumer of this.consumers.values()) {
      if (!consumer.canTake()) continue;
      const item = this.#inherited(consumer) ?? this.#fresh(consumer);
      if (item === undefined) continue;
      const progress = this.#progressOf(item);
      progress.deliveries++;
      progress.holder = consumer;
      consumer.pending.set(item.index, item);
      consumer.lastActive = now;
      this.deliveries++;
      this.lastIndex = item.index;
      this.consumers.delete(consumer.request.uid);
      this.consumers.set(consumer.request.uid, consumer);
      return { item, consumer, number: progress.deliveries };
    }
    return undefined;
  }

  #inherited(consumer: Consumer): StoredItem | undefined {
    for (;;) {
      const item = consumer.inherited.shift();
      // The item may have been committed in the meantime.
      if (item === undefined || consumer.pending.has(item.index)) return item;
    }
  }

  #fresh(consumer: Consumer): StoredItem | undefined {
    if (consumer.freeSlots <= 0) return undefined;
    const { uid } = consumer.request;
    return this.#ready.take(
      (item) =>
        consumer.wants(item) && !(this.#progress.get(item.index)?.nackedBy === uid && this.#hasOther(consumer, item)),
    );
  }

  #hasOther(consumer: Consumer, item: StoredItem): boolean {
    return [...this.consumers.values()].some(
      (other) => other !== consumer && !other.isShutDown && other.freeSlots > 0 && other.wants(item),
    );
  }

  /** Returns the number of deliveries of an item in this group. */
  deliveriesOf(index: bigint): number {
    return this.#progress.get(index)?.deliveries ?? 0;
  }

  /** Returns the consumer that has an item and has not committed it. */
  holderOf(index: bigint): Consumer | undefined {
    return this.#progress.get(index)?.holder;
  }

  /** Removes the state of an item that was deleted, or that this group has committed. */
  forget(index: bigint): void {
    this.#progress.get(index)?.holder?.pending.delete(index);
    this.#progress.delete(index);
  }

  /**
   * Returns an item from its consumer to the group, for redelivery. Returns both attempt counts of the item, or
   * undefined if no consumer has the item.
   */
  nack(item: StoredItem): { readonly negatives: number; readonly deliveries: number } | undefined {
    const progress = this.#progress.get(item.index);
    if (progress?.holder === undefined) return undefined;
    const { request, pending, inherited } = progress.holder;
    progress.negatives++;
    progress.nackedBy = request.uid;
    pending.delete(item.index);
    // If the item stayed in `inherited`, it could be delivered twice to the same consumer.
    if (inherited.includes(item)) inherited.splice(inherited.indexOf(item), 1);
    this.#release(item);
    return progress;
  }

  /** Restores a negative commit from a log. */
  restoreNegatives(item: StoredItem): void {
    this.#progressOf(item).negatives++;
  }

  /** Whether an item waits for delivery in this group. */
  isReady(item: StoredItem): boolean {
    return !item.isDeleted && !this.committed.has(item.index) && this.holderOf(item.index) === undefined;
  }

  /** Returns the number of delivered, uncommitted items. */
  pendingCount(): number {
    let count = 0;
    for (const { pending } of this.consumers.values()) count += pending.size;
    return count;
  }

  /** Whether no item is left that this consumer could receive, now or after another consumer leaves. */
  isDrainedFor(consumer: Consumer): boolean {
    if (this.pendingCount() > 0) return false;
    for (const item of this.#ready) if (consumer.wants(item)) return false;
    return true;
  }

  /** Whether an item that another group commits must be kept for this group. */
  awaits(item: StoredItem, now: number, grace: number): boolean {
    if (this.committed.has(item.index)) return false;
    if ([...this.consumers.values()].some((consumer) => consumer.wants(item) || consumer.pending.has(item.index))) {
      return true;
    }
    return [...this.former.values()].some(
      ({ request, leftAt }) => now - leftAt < grace && new Consumer(request, 0, now).wants(item),
    );
  }

  #release(item: StoredItem): void {
    this.#progressOf(item).holder = undefined;
    this.#ready.add(item);
  }

  #progressOf(item: StoredItem): Progress {
    let progress = this.#progress.get(item.index);
    if (progress === undefined) {
      progress = { deliveries: 0, negatives: 0, holder: undefined, nackedBy: undefined };
      this.#progress.set(item.index, progress);
    }
    return progress;
  }
}
