import { firstEntryOf, hasEnded, lastEntryOf, maxPayloadBytesOf } from "../attributes.js";
import { readFirstIndex, readFrame, readIndex } from "../frame.js";
import { ItemGetter } from "../item-getter.js";
import { attributesOperation, FRAMES, getOperation } from "../operations.js";
import { isReusable } from "./deliveries/delivery-tracker.js";

/**
 * What the connections of a watch are given and do not import: they are loaded on first use, and bundlers would load the modules
 * that they share with the queue client in pages that have no queue.
 */
export interface WatchTools {
  readonly readFrame: typeof readFrame;
  readonly readIndex: typeof readIndex;
  readonly readFirstIndex: typeof readFirstIndex;
  readonly ItemGetter: typeof ItemGetter;
  readonly firstEntryOf: typeof firstEntryOf;
  readonly lastEntryOf: typeof lastEntryOf;
  readonly hasEnded: typeof hasEnded;
  readonly maxPayloadBytesOf: typeof maxPayloadBytesOf;
  readonly attributesOperation: typeof attributesOperation;
  readonly getOperation: typeof getOperation;
  readonly FRAMES: typeof FRAMES;
  readonly isReusable: typeof isReusable;
}

export const WATCH_TOOLS: WatchTools = {
  readFrame,
  readIndex,
  readFirstIndex,
  ItemGetter,
  firstEntryOf,
  lastEntryOf,
  hasEnded,
  maxPayloadBytesOf,
  attributesOperation,
  getOperation,
  FRAMES,
  isReusable,
};
