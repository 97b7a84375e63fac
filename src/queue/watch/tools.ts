import { firstEntryOf, hasEnded, lastEntryOf, maxPayloadBytesOf } from "../attributes.js";
import { readFirstIndex, readFrame, readIndex } from "../frame-codec.js";
import { ItemGetter } from "../item-getter.js";
import { attributesOperation, FRAMES, getOperation } from "../operations.js";
import { isReusable } from "./deliveries/delivery-tracker.js";

/**
 * Functions passed to a watch's connections, whose code is loaded on first use. If that code imported these functions,
 * bundlers would load the queue client's shared modules even in pages that do not use a queue.
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

/** The functions that all watches use. */
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
