import type { Consumer, ConsumerRequest, Delivery, EmulatorQueueItem, StoredItem } from "./consumers.js";
import { type ItemFilter, type NewItem, type QueueChange, QueueStore } from "./entries/entry-storage.js";
import { History } from "./entries/history.js";
import type { QueueSettings } from "./options.js";
import { hasTags, QueueRefusal } from "./query.js";

/** Who takes what a consumer is pushed. */
export interface Receiver {
  /** Whether it can take no more for now; `QueueSide.pump` tells the side that it can again. */
  isFull(): boolean;
  push(delivery: Delivery): void;
  /** Nothing more will come. */
  end(code: number, reason: string): void;
}

/** What one side of a queue needs to know of the whole. */
export interface SideContext {
  readonly queueName: string;
  readonly settings: QueueSettings;
  readonly maxLength: number;
  readonly now: () => number;
  readonly onChange: (change: QueueChange) => void;
}

/** The longest time that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What an answer is earlier than its timeout, so that a client with the same one gets it: a twentieth, at most this. */
const MAX_EARLY_MS = 100;

/** An input queue, a sink or what is behind one of them: the store together with those who wait for its items. */
export class QueueSide {
  readonly context: SideContext;
  readonly store: QueueStore;
  readonly history: History;
  /** Where dead items go, and where callers with the header for it are. */
  readonly rear: QueueSide | undefined;
  readonly #receivers = new Map<Consumer, Receiver>();
  readonly #waiting = new Set<(item: StoredItem | undefined) => void>();
  readonly #listeners: (() => void)[] = [];
  readonly #takeovers = new Map<string, number>();
  #pumping = false;
  #pumpAgain = false;

  constructor(context: SideContext, rear: QueueSide | undefined) {
    this.context = context;
    this.rear = rear;
    this.history = new History(context.settings.historyLength);
    this.store = new QueueStore(context.settings, context.now, context.onChange);
  }

  get isFull(): boolean {
    return this.store.length >= this.context.maxLength;
  }

  /** Calls `listener` after every change. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  put(item: NewItem): StoredItem {
    const { maxPayloadBytes, tooLargeStatus, fullStatus, badParameterStatus } = this.context.settings;
    const { maxLength } = this.context;
    if (item.data.length > maxPayloadBytes) {
      throw new QueueRefusal(tooLargeStatus, `the item has ${item.data.length} bytes, more than ${maxPayloadBytes}`);
    }
    if (this.store.isEnded) throw new QueueRefusal(badParameterStatus, "the queue has ended");
    if (this.isFull) throw new QueueRefusal(fullStatus, `the queue is full: it has ${maxLength} items`);
    return this.#admit(item);
  }

  #admit(item: NewItem): StoredItem {
    const stored = this.store.put(item);
    // Who waited first takes first: an item that it deletes is not there for the next one.
    for (const check of [...this.#waiting]) check(stored);
    this.pump();
    return stored;
  }

  commit(indexes: readonly bigint[], uid: string, gid: string, auto = false): void {
    const time = this.context.now();
    for (const index of this.store.commit(gid, indexes)) this.history.commits.add({ index, uid, gid, auto, time });
    this.pump();
  }

  negative(indexes: readonly bigint[], by: { uid: string; gid: string; code: string; reason: string }): void {
    const { uid, gid, code } = by;
    if (code === "Shutdown") {
      const consumer = this.store.groups.get(gid)?.consumers.get(uid);
      if (consumer) consumer.isShutDown = true;
    }
    for (const index of indexes) {
      this.history.negatives.add({ index, ...by, time: this.context.now() });
      const dead = this.store.negative(gid, index);
      if (dead) this.#bury(dead, gid);
    }
    this.pump();
  }

  remove(indexes: readonly bigint[]): void {
    this.store.remove(indexes);
    this.pump();
  }

  truncate(before: bigint): void {
    this.store.truncate(before);
    this.pump();
  }

  end(force: boolean): void {
    this.store.end(force);
    this.endWaits();
    this.pump();
  }

  /** Lets those who wait have what is there. */
  endWaits(): void {
    for (const check of [...this.#waiting]) check(undefined);
  }

  /** Whether a watch of this user is there already. */
  hasConsumer(uid: string, gid: string): boolean {
    return this.store.groups.get(gid)?.consumers.has(uid) ?? false;
  }

  /** Starts a watch; another one of the same user gives its place to it. */
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

  /** Ends a watch: what it had goes to others. */
  leave(consumer: Consumer): void {
    // Who has been replaced, or told the end, is not there any more.
    if (!this.#receivers.delete(consumer)) return;
    for (const dead of this.store.disconnect(consumer)) this.#bury(dead, consumer.request.gid);
    this.pump();
  }

  /** Pushes what can be pushed. */
  pump(): void {
    // A receiver that ends in the middle comes back here.
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
    // A connection that has broken in the push has given the item back.
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

  #bury(item: StoredItem, gid: string): void {
    const became = this.rear === undefined ? "drop" : this.context.settings.deadItems;
    this.history.dead.add({ index: item.index, gid, became, time: this.context.now() });
    // Not `put`: a full rear must not lose it.
    if (became === "rear" && this.rear !== undefined) this.rear.#admit(item);
  }

  /** Finds items, waits for them for `timeout` milliseconds at most, and deletes what it returns if it is to. */
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
        // Only what is new can be what was missing.
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
