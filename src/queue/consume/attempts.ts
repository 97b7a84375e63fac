import type { DataFrame } from "../frame.js";
import { ATTEMPT_TAG, tagsOf } from "./tags.js";

/** Maximum number of items whose deliveries are remembered. */
const MAX_ITEMS = 10_000;

/** An item's deliveries to this worker. */
interface Deliveries {
  /** Identifies another item with the same index, in a queue that was recreated. */
  readonly requestId: string | undefined;
  count: number;
}

/** Counts how often each uncommitted item was delivered to this worker. Forgets the oldest of more than 10,000 items. */
export class Attempts {
  readonly #items = new Map<bigint, Deliveries>();

  /** Counts a delivery. Returns its number and the number of the attempt. */
  add(frame: DataFrame): { readonly attempt: number; readonly delivery: number } {
    const { requestId, [ATTEMPT_TAG]: tag } = tagsOf(frame);
    const known = this.#items.get(frame.index);
    const entry = known?.requestId === requestId && known !== undefined ? known : { requestId, count: 0 };
    entry.count++;
    this.#items.delete(frame.index);
    this.#items.set(frame.index, entry);
    if (this.#items.size > MAX_ITEMS) this.#items.delete(this.#items.keys().next().value as bigint);
    return { attempt: firstAttempt(tag) + entry.count - 1, delivery: entry.count };
  }

  /** Forgets an item that was committed. */
  delete(index: bigint): void {
    this.#items.delete(index);
  }
}

/** Returns the number of the attempt in a tag. 1 for a missing or invalid tag. */
function firstAttempt(tag: string | undefined): number {
  return tag !== undefined && /^[1-9]\d{0,8}$/.test(tag) ? Number(tag) : 1;
}
