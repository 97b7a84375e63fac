import { checkCount, checkFunction, checkSignal } from "../../config/validate.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { changeNames, checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { raceAbort } from "../../util/timing/abort.js";
import type { DataFrame } from "../frame.js";
import type { QueueLogger } from "../options.js";
import type { FrameIndex } from "../values.js";
import { WATCH_OPTIONS, type WatchOptions } from "../watch/options.js";
import type { ConsumedWatcher, ConsumeSettings, FailureAction, FrameHandler, handleItems } from "./handle-items.js";

/** Options for `QueueClient.consume`. */
export interface ConsumeOptions extends Omit<WatchOptions, "autoCommit" | "indexOnly"> {
  /** Index of the first item. Default 0, the head of the queue. -1 handles only new items. */
  readonly index?: FrameIndex | undefined;
  /** Maximum number of uncommitted items that the service sends. Default: twice the `concurrency`. */
  readonly window?: number | undefined;
  /** Maximum number of handlers that run at once. Default 1. */
  readonly concurrency?: number | undefined;
  /**
   * Decides what happens to an item whose handler threw an error before it settled the item. By default, the error
   * is logged with the item's index and tags. The item is returned to the queue (`"negative"`), with the error's
   * name and message as the reason.
   */
  readonly onError?: ((error: unknown, frame: DataFrame) => FailureAction | Promise<FailureAction>) | undefined;
}

const CONSUME_OPTIONS: OptionNames<ConsumeOptions> = /* @__PURE__ */ changeNames(
  WATCH_OPTIONS,
  ["autoCommit", "indexOnly"],
  { index: 1, window: 1, concurrency: 1, onError: 1 },
);

/** Checks the options of `consume` and adds the defaults. Throws a `TypeError` or `RangeError` for an invalid option. */
export function checkConsume(options: ConsumeOptions): ConsumeSettings {
  if (typeof options !== "object" || options === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `consume takes options such as { concurrency: 4 }, not ${show(options)}`,
    );
  }
  checkOptionNames("consume", options, CONSUME_OPTIONS);
  const { concurrency = 1, window, onError, signal } = options;
  return {
    concurrency: checkCount("concurrency", concurrency, 1),
    window: window ?? 2 * concurrency,
    onError: onError === undefined ? undefined : checkFunction("onError", onError),
    signal: signal === undefined ? undefined : checkSignal(signal),
  };
}

/**
 * Runs `handler` for the frames of a watcher until the signal fires or the watcher ends. Waits for running handlers
 * before it resolves. The code that runs handlers is loaded on first use, together with the code of watches.
 */
export async function consume(
  watcher: ConsumedWatcher,
  handler: FrameHandler,
  settings: ConsumeSettings,
  logger: () => QueueLogger,
): Promise<void> {
  const { signal } = settings;
  let code: { readonly handleItems: typeof handleItems } | undefined;
  try {
    // A page without a network cannot load this code, so closing the client must not wait for it.
    const loading = Promise.race([import("../lazy.js"), watcher.closed.then(() => undefined)]);
    code = await (signal === undefined ? loading : raceAbort(loading, signal));
  } catch (error) {
    await watcher.close();
    if (signal?.aborted) return;
    throw error;
  }
  if (code === undefined) {
    // Rejects with the error that ended the watcher, if there is one.
    await watcher.next();
    return;
  }
  await code.handleItems(watcher, handler, settings, logger);
}
