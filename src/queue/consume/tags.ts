import type { DataFrame } from "../frame.js";
import type { QueueTags } from "../values.js";

/**
 * The tag that contains the attempt number. A worker sets it when it puts a failed item again. `RepeatFilter` also uses
 * this name.
 */
export const ATTEMPT_TAG = "easAttempt";

/** The tag that contains the reason, for items in the dead-letter queue. */
export const REASON_TAG = "easReason";

/** Maximum number of characters of a reason in a tag. Tags are part of the URL, where a character takes up to 9 bytes. */
const MAX_TAG_REASON = 200;

/** Returns the tags of an item, or no tags if they are damaged. */
export function tagsOf(frame: DataFrame): QueueTags {
  try {
    return frame.tags;
  } catch {
    return {};
  }
}

/**
 * Returns the options for putting a copy of an item, or a result for it: the item's request id, and its tags that a put
 * accepts. `more` are tags to add.
 */
export function putOptionsOf(frame: DataFrame, more: QueueTags): { tags: Record<string, string>; requestId?: string } {
  const { requestId, ...tags } = tagsOf(frame);
  const own = Object.entries(tags).filter(([name]) => name !== "" && !name.startsWith("_"));
  return { tags: { ...Object.fromEntries(own), ...more }, ...(requestId ? { requestId } : {}) };
}

/** Returns a reason as the value of a tag. */
export function tagOfReason(reason: string): string {
  // A cut can leave half of a surrogate pair, which a URL cannot represent.
  return reason.slice(0, MAX_TAG_REASON).replace(/\p{Surrogate}/gu, "\ufffd");
}
