import { EasDecodeError, EasError } from "../../errors.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { isError, messageOf } from "../../util/realms.js";
import { type Abortable, linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import type { DataFrame } from "../frame.js";
import type { QueueLogger } from "../options.js";

/** Handles an item. The item is committed when the promise resolves, unless the handler has settled it itself. */
export type FrameHandler = (frame: DataFrame) => void | Promise<void>;

/**
 * What happens to an item whose handler failed. `"negative"` returns it to the queue, which counts a failed try: after as many
 * as the service's queue setting `max_delivery` allows, the service drops the item. `"release"` leaves it until a reconnect.
 * `"commit"` deletes it.
 */
export type FailureAction = "negative" | "release" | "commit";

/** Options of `consume`, checked and complete. */
export interface ConsumeSettings {
  readonly concurrency: number;
  readonly window: number;
  readonly onError: ((error: unknown, frame: DataFrame) => FailureAction | Promise<FailureAction>) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What `consume` uses of a watcher. */
export interface ConsumedWatcher extends AsyncIterator<DataFrame, undefined> {
  readonly closed: Promise<void>;
  readonly isClosed: boolean;
  next(): Promise<IteratorResult<DataFrame, undefined>>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Milliseconds before the first failure in a row is told; doubled with each, so that a broken handler spins on nothing. */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

const FAILURE_ACTIONS: readonly unknown[] = ["negative", "release", "commit"];

/** Runs `handler` for the frames of a watcher until the signal fires or the watcher ends; then lets what runs end. */
export async function handleItems(
  watcher: ConsumedWatcher,
  handler: FrameHandler,
  settings: ConsumeSettings,
  logger: () => QueueLogger,
): Promise<void> {
  const worker = new Worker(handler, settings, logger);
  const { signal } = settings;
  // Also while all slots are taken, when `next` is not called.
  void watcher.closed.then(() => worker.hurry());
  try {
    for (;;) {
      await unlessStopped(worker.free(), signal);
      if (signal?.aborted) break;
      const frame = await unlessStopped(take(watcher), signal);
      // The signal may have fired after the frame came: then it is left to others.
      if (frame === undefined || signal?.aborted) break;
      worker.start(frame);
    }
  } finally {
    // Before the watcher closes: the service would deliver uncommitted items to another consumer.
    await worker.finish();
    await watcher.flush();
    await watcher.close();
  }
}

/**
 * What a promise gives, or undefined as soon as the signal fires. Not a race with one promise for the signal: that would
 * keep all that it was ever raced with, which are the frames.
 */
function unlessStopped<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop: Abortable = { abort: () => resolve(undefined) };
    linkSignal(signal, stop);
    promise.then(resolve, reject).finally(() => unlinkSignal(signal, stop));
  });
}

/** The next frame; undefined at the end. The watcher logs items that cannot be read, and returns them to the queue. */
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

/** The handlers at work. */
class Worker {
  readonly #handler: FrameHandler;
  readonly #settings: ConsumeSettings;
  readonly #logger: () => QueueLogger;
  readonly #running = new Set<Promise<void>>();
  /** Ends each delay under way. */
  readonly #delays = new Set<() => void>();
  #freed: (() => void) | undefined;
  #failures = 0;
  #isEnding = false;

  constructor(handler: FrameHandler, settings: ConsumeSettings, logger: () => QueueLogger) {
    this.#handler = handler;
    this.#settings = settings;
    this.#logger = logger;
  }

  /** Resolves when another handler may begin. For one who waits. */
  async free(): Promise<void> {
    if (this.#running.size < this.#settings.concurrency) return;
    await new Promise<void>((resolve) => {
      this.#freed = resolve;
    });
  }

  /** What failed waits no longer: nothing that comes again is taken here. */
  hurry(): void {
    this.#isEnding = true;
    for (const end of this.#delays) end();
  }

  /** Resolves when nothing is at work any more. */
  async finish(): Promise<void> {
    this.hurry();
    await Promise.all(this.#running);
  }

  start(frame: DataFrame): void {
    const running: Promise<void> = this.#handle(frame)
      // Whatever went wrong, the frame must not stay in the window.
      .catch((error: unknown) => {
        frame.release();
        this.#logger().warn(
          `eas-prediction: item ${frame.index} is left to the service for redelivery: ${messageOf(error)}`,
        );
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
    // The handler may have settled it itself.
    if (!frame.isSettled) await this.#acknowledged(frame.commit());
  }

  async #fail(error: unknown, frame: DataFrame): Promise<void> {
    const { onError } = this.#settings;
    // A commit that the handler awaits may have failed: the watcher retries it, and the handler must not run again.
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

  /** The watcher retries what fails, and logs it: the item is not handled again. */
  async #acknowledged(sent: Promise<void>): Promise<void> {
    await sent.catch((error: unknown) => {
      if (!(error instanceof EasError)) throw error;
    });
  }

  #warn(what: string, error: unknown): void {
    this.#logger().warn(`eas-prediction: ${what}: ${reasonOf(error)}`);
  }

  /** Waits, but not when the worker is to end. */
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

/** Maximum number of characters of an error's message in a negative or a log line. */
const MAX_REASON = 500;

/** The name and message of an error. Anything may have been thrown. */
function reasonOf(error: unknown): string {
  const text = isError(error) ? `${error.name}: ${error.message}` : messageOf(error);
  return text.slice(0, MAX_REASON);
}

/** The item for a log line: its index and tags. */
function nameOf(frame: DataFrame): string {
  try {
    return `item ${frame.index} ${JSON.stringify(frame.tags)}`;
  } catch {
    return `item ${frame.index}`;
  }
}
