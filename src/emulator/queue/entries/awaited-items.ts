import type { Group, StoredItem } from "../consumers.js";

/** Items that one group has committed but that are kept for other groups. Finds those that no group needs any more. */
export class AwaitedItems {
  readonly #groups: ReadonlyMap<string, Group>;
  /** Time for which a group without consumers still counts as active, in milliseconds. */
  readonly #grace: number;
  readonly #items = new Set<StoredItem>();
  /** Time when each group was restored from a log, for groups that no consumer has joined since. */
  readonly #restored = new Map<string, number>();
  /** The next time at which the grace period of a group ends. */
  #nextEnd = Number.POSITIVE_INFINITY;

  constructor(groups: ReadonlyMap<string, Group>, grace: number) {
    this.#groups = groups;
    this.#grace = grace;
  }

  /** Adds an item whose groups are in `awaitedBy`. */
  add(item: StoredItem): void {
    this.#items.add(item);
  }

  /** Removes an item. */
  delete(item: StoredItem): void {
    this.#items.delete(item);
  }

  /** Adds an item from a log. The grace period of its groups starts now. */
  restore(item: StoredItem, now: number): void {
    this.add(item);
    for (const gid of item.awaitedBy ?? []) if (!this.#restored.has(gid)) this.#restored.set(gid, now);
    this.#scheduleAt(now + this.#grace);
  }

  /**
   * Must be called when a consumer joins a group. From then on, the items that the group awaits depend neither on the
   * log nor on the consumer's earlier connection, which may have selected other items.
   */
  joined(gid: string, now: number): void {
    this.#restored.delete(gid);
    this.#scheduleAt(now);
  }

  /** Must be called when a consumer leaves a group. */
  left(now: number): void {
    this.#scheduleAt(now + this.#grace);
  }

  #scheduleAt(end: number): void {
    this.#nextEnd = Math.min(this.#nextEnd, end);
  }

  /**
   * Returns the items that no group awaits any more. Checks the items only if a group may have stopped awaiting items
   * since the last check.
   */
  takeUnawaited(now: () => number): StoredItem[] {
    if (this.#nextEnd === Number.POSITIVE_INFINITY) return [];
    const time = now();
    if (time < this.#nextEnd) return [];
    this.#nextEnd = Number.POSITIVE_INFINITY;
    for (const end of this.#graceEnds()) if (end > time) this.#scheduleAt(end);
    const unawaited: StoredItem[] = [];
    for (const item of this.#items) {
      for (const gid of item.awaitedBy ?? []) if (!this.#isAwaitedBy(gid, item, time)) item.awaitedBy?.delete(gid);
      if (item.awaitedBy?.size === 0) unawaited.push(item);
    }
    return unawaited;
  }

  *#graceEnds(): Generator<number> {
    for (const since of this.#restored.values()) yield since + this.#grace;
    for (const { former } of this.#groups.values())
      for (const { leftAt } of former.values()) yield leftAt + this.#grace;
  }

  #isAwaitedBy(gid: string, item: StoredItem, now: number): boolean {
    const restoredAt = this.#restored.get(gid);
    if (restoredAt !== undefined && now - restoredAt < this.#grace) return true;
    return this.#groups.get(gid)?.awaits(item, now, this.#grace) ?? false;
  }
}
