import type { DataFrame } from "../frame.js";
import type { PutOptions } from "../operations.js";
import type { QueueData } from "../options.js";
import type { PutResult } from "../put-result.js";
import type { QueueTags } from "../values.js";

/** The second argument of a handler: details of the item's delivery, and a function that sends results. */
export interface HandlerContext {
  /**
   * Fires when the worker stops and `drainTimeout` has passed. The item is then released to another worker, so stop
   * working on it. Never fires without `drainTimeout`.
   */
  readonly signal: AbortSignal;
  /**
   * Number of this attempt to handle the item, from 1: the value of the `easAttempt` tag, which `"requeue"` sets, plus
   * the earlier deliveries of the item to this worker. Attempts that are known only to the service or to another worker
   * are not counted, such as those of a worker that was killed.
   */
  readonly attempt: number;
  /**
   * Number of times that this worker has received the item, from 1. The service does not report how often it has
   * delivered an item, so deliveries to other workers are not counted.
   */
  readonly delivery: number;
  /**
   * Puts a result into the queue of the `sink` option, with the item's request id and tags. The item is committed only
   * after all of its replies have been stored, even if the handler does not await them. If a reply fails, the handler
   * counts as failed. Throws a `TypeError` without `sink`. Rejects with the signal's reason after `signal` has fired.
   */
  reply(data: QueueData, options?: ReplyOptions): Promise<PutResult>;
}

/** Options for `HandlerContext.reply`. */
export interface ReplyOptions {
  /** Tags of the result, in addition to the item's tags. */
  readonly tags?: QueueTags | undefined;
  /** Priority of the result; see `PutOptions.priority`. */
  readonly priority?: number | undefined;
}

/**
 * Handles an item. The item is committed when the handler returns and its replies are stored, unless the handler has
 * already settled it.
 */
export type FrameHandler = (frame: DataFrame, context: HandlerContext) => void | Promise<void>;

/**
 * The action for an item whose handler failed:
 *
 * - `"negative"` returns the item to the queue. The service counts a failed attempt, and drops the item if the number
 *   of attempts exceeds the queue setting `max_delivery`.
 * - `"requeue"` puts a copy of the item at the end of the queue and then commits the item. The copy's `easAttempt` tag
 *   contains the number of its attempt. The copy has priority 0, and its path within the service is lost.
 * - `"dead-letter"` gives the item to the `deadLetter` option and then commits it.
 * - `"release"` keeps the item uncommitted, so that the service delivers it again after a reconnect.
 * - `"commit"` deletes the item.
 */
export type FailureAction = "negative" | "requeue" | "dead-letter" | "release" | "commit";

/** An item that the worker has given up, as passed to a `deadLetter` function. */
export interface DeadLetter {
  /** The item. It is committed after the function has succeeded. */
  readonly frame: DataFrame;
  /** The value that the handler threw. */
  readonly error: unknown;
  /** Name and message of the error, at most 500 characters, without the client's token. */
  readonly reason: string;
  /** Number of the failed attempt; see `HandlerContext.attempt`. */
  readonly attempt: number;
}

/** A queue that receives results or dead letters, such as a `QueueClient`. */
export interface PutTarget {
  /** Puts an item into the queue. */
  put(data: QueueData, options?: PutOptions): Promise<PutResult>;
}
