import { checkCount, checkFunction, checkTimeout } from "../../config/validate.js";
import { argumentTypeError, optionError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import type { DataFrame } from "../frame.js";
import type { FrameIndex } from "../values.js";
import type { WatchOptions } from "../watch/options.js";
import type { DeadLetter, FailureAction, FrameHandler, HandlerContext, PutTarget } from "./handler.js";

/** Options for `QueueClient.consume`. */
export interface ConsumeOptions extends Omit<WatchOptions, "autoCommit" | "indexOnly"> {
  /** Index of the first item. Default 0, the head of the queue. -1 handles only new items. */
  readonly index?: FrameIndex | undefined;
  /** Maximum number of uncommitted items that the service sends. Default: twice the `concurrency`. */
  readonly window?: number | undefined;
  /** Maximum number of handlers that run at once. Default 1. */
  readonly concurrency?: number | undefined;
  /**
   * Time in milliseconds that running handlers get after the worker was stopped. After that, their `signal` fires,
   * and their items are released, so that the service delivers them to another worker. The worker does not wait for
   * these handlers any longer. Default: the worker waits for all handlers, so a handler that never resolves keeps
   * the worker from stopping.
   */
  readonly drainTimeout?: number | undefined;
  /**
   * Maximum number of attempts to handle an item, at least 1; see `HandlerContext.attempt`. Requires `deadLetter`.
   * Failed items are put again (`"requeue"`) by default, because the service does not report the number of attempts.
   * After the last attempt they are given to `deadLetter`. Default: no limit.
   */
  readonly maxAttempts?: number | undefined;
  /**
   * Receives items after `maxAttempts`, and items for which `onError` returns `"dead-letter"`: a queue, such as another
   * `QueueClient`, or a function. A queue receives the item's data, request id and tags, and the tags `easAttempt`
   * and `easReason`. The item is committed afterwards. If it cannot be put, or the function throws, the worker tries
   * again with increasing delays of up to 10 s. If the worker is stopped in the meantime, the item is released.
   */
  readonly deadLetter?: PutTarget | ((letter: DeadLetter) => unknown) | undefined;
  /** The queue that receives replies; see `HandlerContext.reply`. It must not be the client that consumes. */
  readonly sink?: PutTarget | undefined;
  /**
   * Decides what happens to an item whose handler threw an error before it settled the item. By default, the error
   * is logged with the item's index and tags. The item is returned to the queue (`"negative"`), with the error's
   * name and message as the reason. With `maxAttempts`, the item is put again (`"requeue"`). After the last attempt,
   * `"negative"` and `"requeue"` mean `"dead-letter"`.
   */
  readonly onError?:
    | ((error: unknown, frame: DataFrame, context: HandlerContext) => FailureAction | Promise<FailureAction>)
    | undefined;
  /** Stops the worker: it accepts no more items, waits for the running handlers and commits their items. */
  readonly signal?: AbortSignal | undefined;
}

/** Validated options of `consume`, with defaults. */
export interface ConsumeSettings {
  readonly handler: FrameHandler;
  readonly concurrency: number;
  readonly window: number;
  readonly index: FrameIndex;
  readonly drainTimeout: number | undefined;
  readonly maxAttempts: number;
  readonly deadLetter: PutTarget | ((letter: DeadLetter) => unknown) | undefined;
  readonly sink: PutTarget | undefined;
  readonly onError: ConsumeOptions["onError"];
  /** The options for the watch. */
  readonly watch: Omit<WatchOptions, "signal">;
}

/**
 * The names are listed here, although `WATCH_OPTIONS` contains most of them, because importing that table would make
 * bundlers split the queue client.
 */
const CONSUME_OPTIONS: OptionNames<ConsumeOptions> = {
  index: 1,
  window: 1,
  concurrency: 1,
  drainTimeout: 1,
  maxAttempts: 1,
  deadLetter: 1,
  sink: 1,
  onError: 1,
  tags: 1,
  transport: 1,
  reconnect: 1,
  onStatus: 1,
  skipRepeated: 1,
  signal: 1,
};

/**
 * Checks the arguments of `consume` and adds the defaults. `self` is the client that consumes. Throws a `TypeError`
 * or `RangeError` for an invalid argument.
 */
export function checkConsume(handler: FrameHandler, options: ConsumeOptions, self: PutTarget): ConsumeSettings {
  checkFunction("handler", handler);
  if (typeof options !== "object" || options === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `consume accepts options such as { concurrency: 4 }, not ${show(options)}`,
    );
  }
  checkOptionNames("consume", options, CONSUME_OPTIONS);
  const {
    index = 0n,
    concurrency = 1,
    window,
    drainTimeout,
    maxAttempts,
    deadLetter,
    sink,
    onError,
    signal: _,
    ...watch
  } = options;
  if (maxAttempts !== undefined && deadLetter === undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `maxAttempts is ${show(maxAttempts)}, but deadLetter is missing: set deadLetter to a QueueClient or to a function that receives the items that are given up`,
    );
  }
  return {
    handler,
    index,
    concurrency: checkCount("concurrency", concurrency, 1),
    window: window ?? 2 * concurrency,
    // With 0, the handlers' signals fire at once.
    drainTimeout:
      drainTimeout === undefined || drainTimeout === 0 ? drainTimeout : checkTimeout("drainTimeout", drainTimeout),
    maxAttempts: maxAttempts === undefined ? Number.POSITIVE_INFINITY : checkCount("maxAttempts", maxAttempts, 1),
    deadLetter: typeof deadLetter === "function" ? deadLetter : checkTarget("deadLetter", deadLetter, self),
    sink: checkTarget("sink", sink, self),
    onError: onError === undefined ? undefined : checkFunction("onError", onError),
    watch,
  };
}

function checkTarget(name: "deadLetter" | "sink", target: PutTarget | undefined, self: PutTarget) {
  if (target === undefined) return undefined;
  if (target === self) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `${name} is the client that consumes, so the worker would receive its own items: pass a client for another queue`,
    );
  }
  if (typeof target?.put !== "function") {
    const allowed = name === "sink" ? "be a QueueClient" : "be a QueueClient or a function";
    throw optionError(name, target, allowed);
  }
  return target;
}
