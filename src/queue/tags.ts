import { checkText } from "../endpoint/path.js";
import { argumentTypeError, show } from "../util/argument-errors.js";

/** The tags of an item, by name. The service returns them with the item. */
export type QueueTags = Readonly<Record<string, string>>;

/** The reserved tag for the id that the service assigns to each item. */
export const REQUEST_ID = "requestId";

/**
 * Returns tags as pairs. Throws a `TypeError` for invalid or reserved names. `"without request id"` accepts the tags of a
 * received item and leaves out the request id.
 */
export function checkTags(tags: QueueTags | undefined, which?: "without request id"): [string, string][] {
  if (tags === undefined) return [];
  if (typeof tags !== "object" || tags === null || Symbol.iterator in tags) {
    throw argumentTypeError("ERR_EAS_ARG_TAG", `tags is ${show(tags)}: it must be an object of strings`);
  }
  const pairs = Object.entries(tags).filter(([key]) => which === undefined || key !== REQUEST_ID);
  for (const [key, value] of pairs) {
    if (typeof value !== "string") {
      throw argumentTypeError("ERR_EAS_ARG_TAG", `tag ${show(key)} is ${show(value)}: its value must be a string`);
    }
    const why =
      key === ""
        ? "is empty"
        : key.startsWith("_")
          ? 'begins with "_", which is reserved for the service'
          : key === REQUEST_ID
            ? "is reserved: use the option requestId of get and put"
            : undefined;
    if (why !== undefined)
      throw argumentTypeError("ERR_EAS_ARG_TAG", `tag ${show(key)} cannot be used: its key ${why}`);
    checkText("ERR_EAS_ARG_TAG", `tag ${show(key)}`, `${key} ${value}`);
  }
  return pairs;
}

/** Returns a valid request id. Throws a `TypeError` for other values. */
export function checkRequestId(requestId: string): string {
  if (typeof requestId === "string" && requestId !== "") {
    checkText("ERR_EAS_ARG_TAG", "requestId", requestId);
    return requestId;
  }
  throw argumentTypeError(
    "ERR_EAS_ARG_TAG",
    `requestId is ${show(requestId)}: it must be a non-empty string, such as the one that put returned`,
  );
}
