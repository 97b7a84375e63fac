import type { Consumer, ConsumerRequest, Delivery, EmulatorQueueItem, StoredItem } from "./consumers.js";
import { type ItemFilter, type NewItem, type QueueChange, QueueStore } from "./entries/entry-storage.js";
import { History } from "./entries/history.js";
import type { QueueSettings } from "./options.js";
import { hasTags, QueueRefusal } from "./query.js";

/** A consumer's connection, which receives deliveries. */
export interface Receiver {
  /**
   * Whether the connection cannot accept more deliveries at the moment. Call `QueueSide.pump` when the connection can
   * accept deliveries again.
   */
  isFull(): boolean;
  /** Sends a delivery to the consumer. */
  push(delivery: Delivery): void;
  /** Closes the connection; no more deliveries follow. */
  end(code: number, reason: string): void;
}

/** The settings and callbacks that a side shares with its queue. */
export interface SideContext {
  readonly queueName: string;
  readonly settings: QueueSettings;
  readonly maxLength: number;
  readonly now: () => number;
  readonly onChange: (change: QueueChange) => void;
}

/** Maximum delay of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Maximum margin between a response and the request's timeout, in milliseconds. The margin is a twentieth of the
 * timeout, up to this maximum. It lets a client with the same timeout still receive the response.
 */
const MAX_EARLY_MS = 100;

/** An input queue, a sink, or a dead-letter queue: the stored items and the callers that wait for them. */
export class QueueSide {
  readonly context: SideContext;
  readonly store: QueueStore;
  readonly history: History;
  /** The dead-letter queue of this side. */
  readonly deadLetters: QueueSide | undefined;
  readonly #receivers = new Map<Consumer, Receiver>();
  readonly #waiting = new Set<(item: StoredItem | undefined) => void>();
  readonly #listeners: (() => void)[] = [];
  readonly #takeovers = new Map<string, number>();
  #pumping = false;
  #pumpAgain = false;

  constructor(context: SideContext, deadLetters: QueueSide | undefined) {
    this.context = context;
    this.deadLetters = deadLetters;
    this.history = new History(context.settings.historyLength);
    this.store = new QueueStore(context.settings, context.now, context.onChange);
  }

  /** Whether the maximum number of items is reached. */
  get isFull(): boolean {
    return this.store.length >= this.context.maxLength;
  }

  /** Calls `listener` after every change. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Adds an item. Throws a `QueueRefusal` if the item is too large, or the queue is full or has ended. */
  put(item: NewItem): StoredItem {
    const { maxPayloadBytes, tooLargeStatus, fullStatus, badParameterStatus } = this.context.settings;
    const { maxLength } = this.context;
    if (item.data.length > maxPayloadBytes) {
      throw new QueueRefusal(
        tooLargeStatus,
        `the item has ${item.data.length} bytes: the maximum is ${maxPayloadBytes}`,
      );
    }
    if (this.store.isEnded) throw new QueueRefusal(badParameterStatus, "the queue has ended: it accepts no more items");
    if (this.isFull) throw new QueueRefusal(fullStatus, `the queue is full: the maximum is ${maxLength} items`);
    return this.#append(item);
  }

  #append(item: NewItem): StoredItem {
    const stored = this.store.put(item);
    // Serve waiting requests in arrival order. If a request deletes the item, later requests do not receive it.
    for (const check of [...this.#waiting]) check(stored);
    this.pump();
    return stored;
  }

  /** Commits items for a group. Unknown indexes are ignored. */
  commit(indexes: readonly bigint[], uid: string, gid: string, auto = false): void {
    const time = this.context.now();
    for (const index of this.store.commit(gid, indexes)) this.history.commits.add({ index, uid, gid, auto, time });
    this.pump();
  }

  /** Returns items to the queue for redelivery. The code `Shutdown` also stops deliveries to the consumer. */
  negative(indexes: readonly bigint[], by: { uid: string; gid: string; code: string; reason: string }): void {
    const { uid, gid, code } = by;
    if (code === "Shutdown") {
      const consumer = this.store.groups.get(gid)?.consumers.get(uid);
      if (consumer) consumer.isShutDown = true;
    }
    for (const index of indexes) {
      this.history.negatives.add({ index, ...by, time: this.context.now() });
      const dead = this.store.negative(gid, index);
      if (dead) this.#moveToDeadLetters(dead, gid);
    }
    this.pump();
  }

  /** Deletes items for all groups. Unknown indexes are ignored. */
  remove(indexes: readonly bigint[]): void {
    this.store.remove(indexes);
    this.pump();
  }

  /** Deletes all items before an index. */
  truncate(before: bigint): void {
    this.store.truncate(before);
    this.pump();
  }

  /** Ends the queue, so that it accepts no more items. With `force`, the remaining items are deleted. */
  end(force: boolean): void {
    this.store.end(force);
    this.completeWaits();
    this.pump();
  }

  /** Completes all waiting requests with the items that are available. */
  completeWaits(): void {
    for (const check of [...this.#waiting]) check(undefined);
  }

  /** Whether the user already has a watch in the group. */
  hasConsumer(uid: string, gid: string): boolean {
    return this.store.groups.get(gid)?.consumers.has(uid) ?? false;
  }

  /** Starts a watch. Replaces any watch by the same user in the same group. */
  join(request: ConsumerRequest, receiver: Receiver): Consumer {
    const { uid, gid } = request;
    const before = this.store.groups.get(gid)?.consumers.get(uid);
    const consumer = this.store.connect(request);
    this.#receivers.set(consumer, receiver);
    if (before !== undefined) {
      const id = JSON.stringify([gid, uid]);
      const count = (this.#takeovers.get(id) ?? 0) + 1;
      this.#takeovers.set(id, count);
      this.history.takeovers.add({ uid, gid, count, time: this.context.now() });
      const receiverBefore = this.#receivers.get(before);
      this.#receivers.delete(before);
      receiverBefore?.end(this.context.settings.takeoverCode, "replaced by another connection of this user");
    }
    this.pump();
    return consumer;
  }

  /** Ends a watch and redelivers its uncommitted items to other consumers. */
  leave(consumer: Consumer): void {
    // A watch that was replaced or ended is no longer in the map.
    if (!this.#receivers.delete(consumer)) return;
    for (const dead of this.store.disconnect(consumer)) this.#moveToDeadLetters(dead, consumer.request.gid);
    this.pump();
  }

  /** Delivers all items that consumers can accept. */
  pump(): void {
    // A receiver that ends during a delivery calls `pump` again.
    this.#pumpAgain = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#pumpAgain) {
        this.#pumpAgain = false;
        for (const [consumer, receiver] of this.#receivers) consumer.isFull = receiver.isFull();
        for (let delivery = this.store.next(); delivery !== undefined; delivery = this.store.next()) {
          this.#push(delivery);
        }
        this.#endDrained();
        for (const listener of this.#listeners) listener();
      }
    } finally {
      this.#pumping = false;
    }
  }

  #push(delivery: Delivery): void {
    const { item, consumer, number } = delivery;
    const { uid, gid, autoCommit } = consumer.request;
    const receiver = this.#receivers.get(consumer);
    if (receiver === undefined) return;
    this.history.pushes.add({
      index: item.index,
      uid,
      gid,
      delivery: number,
      connection: consumer.connection,
      time: this.context.now(),
    });
    receiver.push(delivery);
    consumer.isFull = receiver.isFull();
    // If the connection broke during the push, the item has already been returned to the queue.
    if (autoCommit && consumer.pending.has(item.index)) this.commit([item.index], uid, gid, true);
  }

  #endDrained(): void {
    if (!this.store.isEnded) return;
    for (const [consumer, receiver] of [...this.#receivers]) {
      if (!this.store.groups.get(consumer.request.gid)?.isDrainedFor(consumer)) continue;
      this.#receivers.delete(consumer);
      this.store.disconnect(consumer);
      receiver.end(1000, "end of the queue");
    }
  }

  #moveToDeadLetters(item: StoredItem, gid: string): void {
    const action = this.deadLetters === undefined ? "drop" : this.context.settings.deadItems;
    this.history.dead.add({ index: item.index, gid, action, time: this.context.now() });
    // Do not call `put`, which would lose the item if the dead-letter queue is full.
    if (action === "dead-letter" && this.deadLetters !== undefined) this.deadLetters.#append(item);
  }

  /** Returns items and deletes them if `autoDelete` is true. Waits up to `timeout` milliseconds for items. */
  get(
    filter: ItemFilter,
    options: { length: number; timeout: number; autoDelete: boolean; signal: AbortSignal },
  ): Promise<EmulatorQueueItem[]> {
    const { length, timeout, autoDelete, signal } = options;
    const wanted = this.context.settings.partialGet === "wait" ? length : 1;
    const take = (): EmulatorQueueItem[] => {
      const found = this.store.find(filter, length);
      if (autoDelete) this.remove(found.map(({ index }) => index));
      return found;
    };
    const isWaiting = timeout > 0 && !this.store.isEnded && this.store.find(filter, wanted).length < wanted;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (!isWaiting) return Promise.resolve(take());
    return new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        this.#waiting.delete(check);
      };
      const finish = () => {
        stop();
        resolve(take());
      };
      const onAbort = () => {
        stop();
        reject(signal.reason);
      };
      const check = (item: StoredItem | undefined) => {
        if (item === undefined) return finish();
        // An item that does not match the filter cannot complete the result.
        if (!matches(item, filter)) return undefined;
        return this.store.find(filter, wanted).length >= wanted ? finish() : undefined;
      };
      const hold = timeout - Math.min(MAX_EARLY_MS, timeout / 20);
      const timer = setTimeout(finish, Math.min(hold, MAX_TIMER_MS));
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(check);
    });
  }
}

function matches(item: StoredItem, { index, tags }: ItemFilter): boolean {
  return item.index >= index && hasTags(item, tags);
}
