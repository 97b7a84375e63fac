import { EasHttpError } from "../../errors.js";
import type { QueueCalls } from "../calls.js";
import type { DataFrame } from "../frame.js";
import { getOperation } from "../operations.js";
import { idOf, isSame } from "./deliveries/delivery-tracker.js";

/** Statuses that mean that this client may not read items. If so, acknowledgments are sent without verification. */
const UNREADABLE_STATUSES: readonly number[] = [400, 403, 405, 501];

/**
 * Whether the queue still contains a frame's item. After the queue is recreated, the frame's index may belong to
 * another item.
 */
export async function queueHasItem(calls: QueueCalls, frame: DataFrame, signal: AbortSignal): Promise<boolean> {
  const { index, owner } = frame;
  try {
    const [found] = await calls.run(getOperation({ index, autoDelete: false, timeout: 0, signal }, owner));
    return found?.index === index && isSame(idOf(frame), found);
  } catch (error) {
    if (error instanceof EasHttpError && UNREADABLE_STATUSES.includes(error.status)) return true;
    throw error;
  }
}
