import { EasDecodeError, EasError } from "../../errors.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isError, messageOf } from "../../util/realms.js";
import { type Abortable, linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import type { DataFrame } from "../frame.js";
import type { QueueLogger } from "../options.js";

/** Handles an item. The item is committed when the handler returns, unless the handler has already settled it. */
export type FrameHandler = (frame: DataFrame) => void | Promise<void>;

/**
 * The action for an item whose handler failed. `"negative"` returns the item to the queue. The service then counts a
 * failed try, and drops the item if the number of tries exceeds the queue setting `max_delivery`. `"release"` keeps
 * the item uncommitted, so that the service delivers it again after a reconnect. `"commit"` deletes the item.
 */
export type FailureAction = "negative" | "release" | "commit";

/** Validated options of `consume`, with defaults. */
export interface ConsumeSettings {
  readonly concurrency: number;
  readonly window: number;
  readonly onError: ((error: unknown, frame: DataFrame) => FailureAction | Promise<FailureAction>) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The members of a watcher that `consume` uses. */
export interface ConsumedWatcher extends AsyncIterator<DataFrame, undefined> {
  readonly closed: Promise<void>;
  readonly isClosed: boolean;
  next(): Promise<IteratorResult<DataFrame, undefined>>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Delay in milliseconds before the item of the first failure is nacked. The delay doubles with each consecutive
 * failure, so that a broken handler does not cause a busy loop.
 */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

const FAILURE_ACTIONS: readonly unknown[] = ["negative", "release", "commit"];

/**
 * Runs `handler` for the frames of a watcher until the signal fires or the watcher ends. Waits for running handlers
 * before it resolves.
 */
export async function handleItems(
  watcher: ConsumedWatcher,
  handler: FrameHandler,
  settings: ConsumeSettings,
  logger: () => QueueLogger,
): Promise<void> {
  const worker = new Worker(handler, settings, logger);
  const { signal } = settings;
  // This callback also runs while all slots are occupied and `next` is not called.
  void watcher.closed.then(() => worker.hurry());
  try {
    for (;;) {
      await unlessStopped(worker.free(), signal);
      if (signal?.aborted) break;
      const frame = await unlessStopped(take(watcher), signal);
      // The signal may have fired after the frame arrived. If so, other consumers receive the item.
      if (frame === undefined || signal?.aborted) break;
      worker.start(frame);
    }
  } finally {
    // The watcher closes only after all handlers have finished, because closing makes the service deliver uncommitted
    // items to other consumers.
    await worker.finish();
    await watcher.flush();
    await watcher.close();
  }
}

/**
 * Resolves like `promise`, or with undefined when the signal fires. `Promise.race` is not used, because repeated
 * races with one promise for the signal would keep all frames in memory.
 */
function unlessStopped<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop: Abortable = { abort: () => resolve(undefined) };
    linkSignal(signal, stop);
    promise.then(resolve, reject).finally(() => unlinkSignal(signal, stop));
  });
}

/**
 * Returns the next frame, or undefined at the end. Skips unreadable items, because the watcher logs them and returns
 * them to the queue.
 */
async function take(watcher: ConsumedWatcher): Promise<DataFrame | undefined> {
  for (;;) {
    try {
      const { value } = await watcher.next();
      return value;
    } catch (error) {
      if (watcher.isClosed || !(error instanceof EasDecodeError)) throw error;
    }
  }
}

/** Runs handlers and settles their items. */
class Worker {
  readonly #handler: FrameHandler;
  readonly #settings: ConsumeSettings;
  readonly #logger: () => QueueLogger;
  readonly #running = new Set<Promise<void>>();
  /** Functions that end the current delays. */
  readonly #delays = new Set<() => void>();
  #freed: (() => void) | undefined;
  #failures = 0;
  #isEnding = false;

  constructor(handler: FrameHandler, settings: ConsumeSettings, logger: () => QueueLogger) {
    this.#handler = handler;
    this.#settings = settings;
    this.#logger = logger;
  }

  /** Resolves when another handler may start. Supports one waiting caller. */
  async free(): Promise<void> {
    if (this.#running.size < this.#settings.concurrency) return;
    await new Promise<void>((resolve) => {
      this.#freed = resolve;
    });
  }

  /** Ends the delays of failed items. These delays have no purpose once the watcher accepts no more items. */
  hurry(): void {
    this.#isEnding = true;
    for (const end of this.#delays) end();
  }

  /** Resolves when all handlers have finished. */
  async finish(): Promise<void> {
    this.hurry();
    await Promise.all(this.#running);
  }

  /** Starts the handler of a frame. */
  start(frame: DataFrame): void {
    const running: Promise<void> = this.#handle(frame)
      // After any failure the frame must leave the window.
      .catch((error: unknown) => {
        frame.release();
        this.#logger().warn(`eas-prediction: item ${frame.index} was released for redelivery: ${messageOf(error)}`);
      })
      .finally(() => {
        this.#running.delete(running);
        this.#freed?.();
      });
    this.#running.add(running);
  }

  async #handle(frame: DataFrame): Promise<void> {
    try {
      await this.#handler(frame);
      this.#failures = 0;
    } catch (error) {
      return this.#fail(error, frame);
    }
    if (!frame.isSettled) await this.#acknowledged(frame.commit());
  }

  async #fail(error: unknown, frame: DataFrame): Promise<void> {
    const { onError } = this.#settings;
    // A commit that the handler called may have failed. The watcher retries the commit, and the handler must not run
    // again.
    if (frame.isSettled) return this.#warn(`the handler of ${nameOf(frame)} failed after settling it`, error);
    if (onError === undefined) this.#warn(`the handler of ${nameOf(frame)} failed; it is returned to the queue`, error);
    const action = onError === undefined ? "negative" : await onError(error, frame);
    if (!FAILURE_ACTIONS.includes(action)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_WATCH",
        `onError returned ${show(action)}: it must be "negative", "release" or "commit"`,
      );
    }
    if (action === "commit") return this.#acknowledged(frame.commit());
    await this.#delay(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++));
    if (action === "release") frame.release();
    else await this.#acknowledged(frame.negative(undefined, reasonOf(error)));
  }

  /** Ignores a failed acknowledgment. The watcher logs and retries it, and the item is not handled again. */
  async #acknowledged(sent: Promise<void>): Promise<void> {
    await sent.catch((error: unknown) => {
      if (!(error instanceof EasError)) throw error;
    });
  }

  #warn(what: string, error: unknown): void {
    this.#logger().warn(`eas-prediction: ${what}: ${reasonOf(error)}`);
  }

  /** Resolves after a delay, or immediately when the worker ends. */
  async #delay(milliseconds: number): Promise<void> {
    if (this.#isEnding) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#delays.delete(end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      this.#delays.add(end);
    });
  }
}

/** Maximum number of characters of an error's message in a reason or a log line. */
const MAX_REASON = 500;

/** Returns the name and message of an error. Converts any other thrown value to text. */
function reasonOf(error: unknown): string {
  const text = isError(error) ? `${error.name}: ${error.message}` : messageOf(error);
  return text.slice(0, MAX_REASON);
}

/** Returns the index and tags of an item, for a log line. */
function nameOf(frame: DataFrame): string {
  try {
    return `item ${frame.index} ${JSON.stringify(frame.tags)}`;
  } catch {
    return `item ${frame.index}`;
  }
}
