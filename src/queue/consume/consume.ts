import { checkCount, checkFunction, checkSignal } from "../../config/validate.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { changeNames, checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { raceAbort } from "../../util/timing/abort.js";
import type { DataFrame } from "../frame.js";
import type { QueueLogger } from "../options.js";
import type { FrameIndex } from "../values.js";
import { WATCH_OPTIONS, type WatchOptions } from "../watch/options.js";
import type { ConsumedWatcher, ConsumeSettings, FailureAction, FrameHandler, handleItems } from "./handle-items.js";

/** How `QueueClient.consume` works. */
export interface ConsumeOptions extends Omit<WatchOptions, "autoCommit" | "indexOnly"> {
  /** Where it begins. Default 0, the head of the queue. */
  readonly index?: FrameIndex | undefined;
  /** The most items that the service sends without a commit. Default: twice the `concurrency`. */
  readonly window?: number | undefined;
  /** The most handlers at work at once. Default 1. */
  readonly concurrency?: number | undefined;
  /**
   * Decides on an item whose handler threw before it settled the item. Default: logs the error with the item's index and tags,
   * and returns `"negative"`. A negative carries the error's message as its reason.
   */
  readonly onError?: ((error: unknown, frame: DataFrame) => FailureAction | Promise<FailureAction>) | undefined;
}

const CONSUME_OPTIONS: OptionNames<ConsumeOptions> = /* @__PURE__ */ changeNames(
  WATCH_OPTIONS,
  ["autoCommit", "indexOnly"],
  { index: 1, window: 1, concurrency: 1, onError: 1 },
);

/** Checks how `consume` is to work. */
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
 * Runs `handler` for the frames of a watcher until the signal fires or the watcher ends; then lets what runs end. The code for that
 * is loaded on first use, with that of watches.
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
    // A client that is closed does not wait for a page without a network.
    const loading = Promise.race([import("../lazy.js"), watcher.closed.then(() => undefined)]);
    code = await (signal === undefined ? loading : raceAbort(loading, signal));
  } catch (error) {
    await watcher.close();
    if (signal?.aborted) return;
    throw error;
  }
  if (code === undefined) {
    // Rejects with what ended the watcher, if it was an error.
    await watcher.next();
    return;
  }
  await code.handleItems(watcher, handler, settings, logger);
}
