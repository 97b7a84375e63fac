import type { Bytes } from "../../formats/request.js";
import { Lanes } from "./entries/priority-lists.js";
import { hasTags } from "./query.js";

/** An item of a queue. */
export interface EmulatorQueueItem {
  readonly index: bigint;
  readonly tags: Readonly<Record<string, string>>;
  readonly data: Bytes;
  /** Higher ones are pushed first. */
  readonly priority: number;
  /** What the put had behind the queue's path, for the service: `""` or text that begins with `/`. */
  readonly path: string;
  /** `Content-Type` of the put, for the service. */
  readonly contentType: string | undefined;
}

/** An item with what its queue knows of it. */
export interface StoredItem extends EmulatorQueueItem {
  gone: boolean;
  /** Groups that it is kept for although another group has committed it. */
  awaitedBy: Set<string> | undefined;
}

/** What a watch asks for. */
export interface ConsumerRequest {
  readonly uid: string;
  readonly gid: string;
  /** Only items from here on. */
  readonly start: bigint;
  /** The most items pushed and not committed. */
  readonly window: number;
  readonly indexOnly: boolean;
  readonly autoCommit: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

/** One live watch. */
export class Consumer {
  readonly request: ConsumerRequest;
  /** A number of its own among all watches of the queue. */
  readonly connection: number;
  /** Pushed here and not committed. */
  readonly pending: Map<bigint, StoredItem> = new Map();
  /** Those of `pending` that the connection before this one was given, and this one was not yet. */
  readonly inherited: StoredItem[] = [];
  /** Set while the connection takes no more. */
  isFull = false;
  /** Set by the code `Shutdown`: nothing is pushed to it any more. */
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

/** What is left of a consumer that has gone, for the attributes. */
export interface FormerConsumer {
  readonly request: ConsumerRequest;
  readonly leftAt: number;
  /** Whether it left items behind that it had not committed. */
  readonly hadPending: boolean;
}

/** The most that a group remembers. */
const MAX_FORMER = 100;

/** What a group knows of an item that it has been given at least once. */
interface Progress {
  deliveries: number;
  negatives: number;
  holder: Consumer | undefined;
  /** The user that has refused it last: another one is to get it, if there is one. */
  refusedBy: string | undefined;
}

/** An item handed to a consumer. */
export interface Delivery {
  readonly item: StoredItem;
  readonly consumer: Consumer;
  /** 1 for the first time in this group. */
  readonly number: number;
}

/** Consumers that share the items between them; each group gets all of them. A pure state machine. */
export class Group {
  readonly gid: string;
  /** By user; the one that has waited longest for an item comes first. */
  readonly consumers: Map<string, Consumer> = new Map();
  readonly former: Map<string, FormerConsumer> = new Map();
  /** Items that this group has committed and that are kept for other groups. */
  readonly done: Set<bigint> = new Set();
  deliveries = 0;
  lastIndex = 0n;
  readonly #progress = new Map<bigint, Progress>();
  readonly #ready = new Lanes<StoredItem>((item) => !item.gone && !this.done.has(item.index));

  constructor(gid: string) {
    this.gid = gid;
  }

  add(item: StoredItem): void {
    this.#ready.add(item);
  }

  /** Takes a consumer in. It gets first what an earlier connection of its user had and did not commit. */
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

  /** Lets a consumer go; what it had is there for others again. */
  leave(consumer: Consumer, now: number): void {
    const { request, pending } = consumer;
    // One whose place was taken has nothing, and is not there any more.
    if (this.consumers.get(request.uid) !== consumer) return;
    this.consumers.delete(request.uid);
    this.former.set(request.uid, { request, leftAt: now, hadPending: pending.size > 0 });
    // Most clients make up a new name at every start.
    for (const uid of this.former.keys()) if (this.former.size > MAX_FORMER) this.former.delete(uid);
    for (const item of pending.values()) this.#release(item);
    pending.clear();
  }

  /** Hands the next item to one of the consumers, if there is one for any of them. */
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
      // Meanwhile it may have been committed.
      if (item === undefined || consumer.pending.has(item.index)) return item;
    }
  }

  #fresh(consumer: Consumer): StoredItem | undefined {
    if (consumer.freeSlots <= 0) return undefined;
    const { uid } = consumer.request;
    return this.#ready.take(
      (item) =>
        consumer.wants(item) && !(this.#progress.get(item.index)?.refusedBy === uid && this.#hasOther(consumer, item)),
    );
  }

  #hasOther(consumer: Consumer, item: StoredItem): boolean {
    return [...this.consumers.values()].some(
      (other) => other !== consumer && !other.isShutDown && other.freeSlots > 0 && other.wants(item),
    );
  }

  deliveriesOf(index: bigint): number {
    return this.#progress.get(index)?.deliveries ?? 0;
  }

  holderOf(index: bigint): Consumer | undefined {
    return this.#progress.get(index)?.holder;
  }

  /** Forgets an item that is gone, or that this group has done. */
  forget(index: bigint): void {
    this.#progress.get(index)?.holder?.pending.delete(index);
    this.#progress.delete(index);
  }

  /** Takes an item back from its holder. Returns how often it was tried, by both ways of counting. */
  refuse(item: StoredItem): { readonly negatives: number; readonly deliveries: number } | undefined {
    const progress = this.#progress.get(item.index);
    if (progress?.holder === undefined) return undefined;
    const { request, pending, inherited } = progress.holder;
    progress.negatives++;
    progress.refusedBy = request.uid;
    pending.delete(item.index);
    // Else it would be pushed twice when the same consumer gets it again.
    if (inherited.includes(item)) inherited.splice(inherited.indexOf(item), 1);
    this.#release(item);
    return progress;
  }

  /** Sets what a log has told of an item. */
  restoreNegatives(item: StoredItem): void {
    this.#progressOf(item).negatives++;
  }

  isReady(item: StoredItem): boolean {
    return !item.gone && !this.done.has(item.index) && this.holderOf(item.index) === undefined;
  }

  pendingCount(): number {
    let count = 0;
    for (const { pending } of this.consumers.values()) count += pending.size;
    return count;
  }

  /** Whether there is nothing left that this consumer could get, now or when another one goes. */
  isDrainedFor(consumer: Consumer): boolean {
    if (this.pendingCount() > 0) return false;
    for (const item of this.#ready) if (consumer.wants(item)) return false;
    return true;
  }

  /** Whether a commit elsewhere has to keep an item for this group. */
  awaits(item: StoredItem, now: number, grace: number): boolean {
    if (this.done.has(item.index)) return false;
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
      progress = { deliveries: 0, negatives: 0, holder: undefined, refusedBy: undefined };
      this.#progress.set(item.index, progress);
    }
    return progress;
  }
}
