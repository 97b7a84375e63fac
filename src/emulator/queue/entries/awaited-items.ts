import type { Group, StoredItem } from "../consumers.js";

/** Items that one group has committed and that the queue keeps for other groups. Finds those that no group awaits any more. */
export class AwaitedItems {
  readonly #groups: ReadonlyMap<string, Group>;
  /** Milliseconds for which a group without consumers still counts as live. */
  readonly #grace: number;
  readonly #items = new Set<StoredItem>();
  /** When a log named the group as awaiting items, for groups that have not been joined since. */
  readonly #restored = new Map<string, number>();
  /** When the next group's grace ends. */
  #nextEnd = Number.POSITIVE_INFINITY;

  constructor(groups: ReadonlyMap<string, Group>, grace: number) {
    this.#groups = groups;
    this.#grace = grace;
  }

  /** Records which groups an item is kept for. */
  add(item: StoredItem): void {
    this.#items.add(item);
  }

  delete(item: StoredItem): void {
    this.#items.delete(item);
  }

  /** Records an item that a log says is kept for groups. The grace of those groups begins now. */
  restore(item: StoredItem, now: number): void {
    this.add(item);
    for (const gid of item.awaitedBy ?? []) if (!this.#restored.has(gid)) this.#restored.set(gid, now);
    this.#scheduleAt(now + this.#grace);
  }

  /**
   * A consumer has joined a group. Whether the group awaits an item no longer depends on the log, nor on an earlier
   * connection of the same consumer, which may have asked for other items.
   */
  joined(gid: string, now: number): void {
    this.#restored.delete(gid);
    this.#scheduleAt(now);
  }

  /** A consumer has left at this time. */
  left(now: number): void {
    this.#scheduleAt(now + this.#grace);
  }

  #scheduleAt(end: number): void {
    this.#nextEnd = Math.min(this.#nextEnd, end);
  }

  /** The items that no group awaits any more, once each time that a group may have ceased to await them. */
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
