import { EasDecodeError } from "../../errors.js";
import { type Abortable, linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import type { DataFrame } from "../frame.js";
import { Attempts } from "./attempts.js";
import { ItemTask, type TaskHost } from "./item-task.js";
import type { ConsumeSettings } from "./options.js";
import type { WorkerReports } from "./reports.js";
import type { ConsumedWatcher, MutableStats, WorkerHost } from "./worker-host.js";

/**
 * Delay in milliseconds before the item of the first failure is returned. The delay doubles with each consecutive
 * failure, so that a broken handler does not cause a busy loop.
 */
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 10_000;

/**
 * Runs the handler for the frames of a watcher until the signal fires or the watcher ends. Waits for running handlers
 * before it resolves, at most for the drain timeout.
 */
export async function handleItems(watcher: ConsumedWatcher, tasks: ItemTasks, signal: AbortSignal): Promise<void> {
  const drain = { abort: () => tasks.drain() };
  linkSignal(signal, drain);
  // This callback also runs while all slots are occupied and `next` is not called.
  void watcher.closed.then(drain.abort);
  try {
    for (;;) {
      await unlessStopped(tasks.free(), signal);
      if (signal.aborted || tasks.isOver) break;
      const frame = await unlessStopped(take(watcher), signal);
      // The signal may have fired after the frame arrived. If so, other consumers receive the item.
      if (frame === undefined || signal.aborted) break;
      tasks.start(frame);
    }
  } finally {
    // The watcher closes only after all handlers have finished, because closing makes the service deliver uncommitted
    // items to other consumers.
    await tasks.finish();
    unlinkSignal(signal, drain);
    await watcher.flush();
    await watcher.close();
  }
}

/**
 * Resolves like `promise`, or with undefined when the signal fires. `Promise.race` is not used, because repeated
 * races with one promise for the signal would keep all frames in memory.
 */
function unlessStopped<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
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

/** The items being handled: at most `concurrency` at once. */
export class ItemTasks implements TaskHost {
  readonly client: WorkerHost;
  readonly settings: ConsumeSettings;
  readonly stats: MutableStats;
  readonly reports: WorkerReports;
  readonly attempts: Attempts = new Attempts();
  readonly #running = new Map<ItemTask, Promise<void>>();
  /** Functions that end the current delays. */
  readonly #delays = new Set<() => void>();
  /** Called when an item is settled or left behind. */
  #changed: (() => void) | undefined;
  #failures = 0;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  #isEnding = false;
  #isOver = false;

  constructor(client: WorkerHost, settings: ConsumeSettings, stats: MutableStats, reports: WorkerReports) {
    this.client = client;
    this.settings = settings;
    this.stats = stats;
    this.reports = reports;
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Whether the drain timeout has passed. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when another handler may start, or when the drain timeout has passed. Supports one waiting caller. */
  async free(): Promise<void> {
    if (this.#running.size < this.settings.concurrency || this.#isOver) return;
    await this.#change();
  }

  /** Starts the handler of a frame. */
  start(frame: DataFrame): void {
    const task = new ItemTask(frame, this);
    this.#running.set(
      task,
      task.run().then(() => this.#remove(task)),
    );
    this.stats.inWork = this.#running.size;
  }

  /** Prepares for the end: ends the delays of failed items and starts the drain timeout. */
  drain(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    for (const end of this.#delays) end();
    const { drainTimeout } = this.settings;
    if (drainTimeout !== undefined) this.#drainTimer = setTimeout(() => this.#expire(drainTimeout), drainTimeout);
  }

  /** Resolves when all items are settled or left behind. */
  async finish(): Promise<void> {
    this.drain();
    while (this.#running.size > 0) await this.#change();
    clearTimeout(this.#drainTimer);
  }

  succeeded(): void {
    this.#failures = 0;
  }

  delayFailed(): Promise<void> {
    return this.delayPut(this.#failures++);
  }

  async delayPut(failures: number): Promise<void> {
    if (this.#isEnding) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#delays.delete(end);
        resolve();
      };
      const timer = setTimeout(end, Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** failures));
      this.#delays.add(end);
    });
  }

  /** Fires the signals of the running handlers. Releases their items if the handlers do not end at once. */
  #expire(drainTimeout: number): void {
    const reason = new DOMException(
      `the worker was stopped, and its drainTimeout of ${drainTimeout} ms has passed`,
      "AbortError",
    );
    for (const task of this.#running.keys()) task.expire(reason);
    // Handlers that react to the signal without waiting can still commit their items.
    setTimeout(() => {
      this.#isOver = true;
      for (const task of this.#running.keys()) if (task.abandon()) this.#remove(task);
      this.#changed?.();
    });
  }

  #remove(task: ItemTask): void {
    this.#running.delete(task);
    this.stats.inWork = this.#running.size;
    this.#changed?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }
}
