import { argumentTypeError, EasDecodeError, show } from "../errors.js";
import { checkCount, checkFunction } from "../http/options.js";
import type { DataFrame } from "./data-frame.js";
import type { FrameIndex } from "./frame-index.js";
import type { QueueLogger } from "./queue-options.js";
import type { WatchOptions } from "./watch/watch-options.js";
import type { Watcher } from "./watch/watcher.js";

/** Handles an item; its promise is when the item is done. */
export type FrameHandler = (frame: DataFrame) => void | Promise<void>;

/**
 * What becomes of an item whose handler failed: `"negative"` gives it to a consumer again and counts as a failed try,
 * `"release"` leaves it until a reconnect, `"commit"` deletes it.
 */
export type FailureVerdict = "negative" | "release" | "commit";

/** How `QueueClient.consume` works. */
export interface ConsumeOptions extends Omit<WatchOptions, "autoCommit" | "indexOnly"> {
  /** Where it begins. Default 0, the head of the queue. */
  readonly index?: FrameIndex | undefined;
  /** The most items that the service sends without a commit. Default: twice the `concurrency`. */
  readonly window?: number | undefined;
  /** The most handlers at work at once. Default 1. */
  readonly concurrency?: number | undefined;
  /** Decides on an item whose handler threw. Default: `"negative"`. */
  readonly onError?: ((error: unknown, frame: DataFrame) => FailureVerdict | Promise<FailureVerdict>) | undefined;
}

/** Options of `consume`, checked and complete. */
export interface ConsumeSettings {
  readonly concurrency: number;
  readonly window: number;
  readonly onError: NonNullable<ConsumeOptions["onError"]>;
  readonly signal: AbortSignal | undefined;
}

/** Milliseconds before the first failure in a row is told; doubled with each, so that a broken handler spins on nothing. */
const FIRST_DELAY_MS = 100;
const MOST_DELAY_MS = 10_000;

const VERDICTS: readonly unknown[] = ["negative", "release", "commit"];

/** Checks how `consume` is to work. */
export function checkConsume({
  concurrency = 1,
  window,
  onError = () => "negative",
  signal,
}: ConsumeOptions): ConsumeSettings {
  return {
    concurrency: checkCount("concurrency", concurrency, 1),
    window: window ?? 2 * concurrency,
    onError: checkFunction("onError", onError),
    signal,
  };
}

/** Runs `handler` for the frames of a watcher until the signal fires or the watcher ends; then lets what runs end. */
export async function consume(
  watcher: Watcher,
  handler: FrameHandler,
  settings: ConsumeSettings,
  logger: () => QueueLogger,
): Promise<void> {
  const worker = new Worker(handler, settings, logger);
  let stop!: () => void;
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
  });
  const { signal } = settings;
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop();
  try {
    for (;;) {
      if ((await Promise.race([stopped, worker.free()])) === undefined) break;
      const taken = await Promise.race([stopped, take(watcher, logger)]);
      if (taken === undefined) break;
      worker.start(taken);
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    // Before the watcher closes: the service would give items that are not committed yet to somebody else.
    await worker.idle();
    await watcher.close();
  }
}

/** The next frame; undefined at the end. A frame that cannot be read has no index to tell the service. */
async function take(watcher: Watcher, logger: () => QueueLogger): Promise<DataFrame | undefined> {
  for (;;) {
    try {
      const { value } = await watcher.next();
      return value;
    } catch (error) {
      if (watcher.isClosed || !(error instanceof EasDecodeError)) throw error;
      logger().warn(`eas-prediction: an item could not be read: ${error.message}`);
    }
  }
}

/** The handlers at work. */
class Worker {
  readonly #handler: FrameHandler;
  readonly #settings: ConsumeSettings;
  readonly #logger: () => QueueLogger;
  readonly #running = new Set<Promise<void>>();
  #failures = 0;

  constructor(handler: FrameHandler, settings: ConsumeSettings, logger: () => QueueLogger) {
    this.#handler = handler;
    this.#settings = settings;
    this.#logger = logger;
  }

  /** Resolves when another handler may begin. */
  async free(): Promise<true> {
    while (this.#running.size >= this.#settings.concurrency) await Promise.race(this.#running);
    return true;
  }

  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  start(frame: DataFrame): void {
    const running: Promise<void> = this.#handle(frame)
      // Whatever went wrong, the frame must not stay in the window.
      .catch((error: unknown) => {
        frame.release();
        this.#logger().warn(`eas-prediction: item ${frame.index} is left to the service: ${messageOf(error)}`);
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #handle(frame: DataFrame): Promise<void> {
    try {
      await this.#handler(frame);
      this.#failures = 0;
    } catch (error) {
      return this.#fail(error, frame);
    }
    await frame.commit();
  }

  async #fail(error: unknown, frame: DataFrame): Promise<void> {
    const verdict = await this.#settings.onError(error, frame);
    if (!VERDICTS.includes(verdict)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_WATCH",
        `onError gave ${show(verdict)}: it must be "negative", "release" or "commit"`,
      );
    }
    if (verdict === "commit") return frame.commit();
    const delay = Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    await pause(delay, this.#settings.signal);
    if (verdict === "release") frame.release();
    else await frame.negative();
  }
}

/** Waits, but not on a worker that is to stop. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end, { once: true });
    if (signal?.aborted) end();
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
