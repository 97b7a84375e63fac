import type { Token } from "../../config/options.js";
import { checkFunction } from "../../config/validate.js";
import { EasClosedError } from "../../errors.js";
import { linkSignal, unlinkSignal } from "../../util/timing/abort.js";
import type { WatchStatus } from "../watch/options.js";
import { handleItems, ItemTasks } from "./handle-items.js";
import type { FrameHandler } from "./handler.js";
import { type ConsumeOptions, checkConsume } from "./options.js";
import { WorkerReports } from "./reports.js";
import type { MutableStats, WorkerHost } from "./worker-host.js";

/** The arguments of `runWorker`. */
export interface WorkerStart {
  readonly host: WorkerHost;
  readonly token: () => Token | undefined;
  readonly handler: FrameHandler;
  readonly options: ConsumeOptions;
  readonly stats: MutableStats;
  /** Stops the worker. */
  readonly signal: AbortSignal;
}

/** A worker whose code has been loaded. */
export interface RunningWorker {
  readonly done: Promise<void>;
  ready(): Promise<void>;
}

/** Checks the options and starts the watch and the handlers. Throws a `TypeError` or `RangeError` for an invalid option. */
export function runWorker({ host, token, handler, options, stats, signal }: WorkerStart): RunningWorker {
  const settings = checkConsume(handler, options, host);
  const { index, window, watch } = settings;
  const { onStatus } = watch;
  if (onStatus !== undefined) checkFunction("onStatus", onStatus);
  const readiness = new Readiness(stats, signal);
  const watcher = host.watch(index, window, {
    ...watch,
    onStatus: (status) => {
      readiness.update(status);
      // The promise is returned so that the watcher handles its rejection.
      return onStatus?.(status);
    },
  });
  const tasks = new ItemTasks(host, settings, stats, new WorkerReports(host, token, stats));
  const done = handleItems(watcher, tasks, signal);
  done.then(
    () => readiness.end(),
    (error) => readiness.end(error),
  );
  return { done, ready: () => readiness.ready() };
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Follows the connection of a worker. */
class Readiness {
  readonly #stats: MutableStats;
  readonly #signal: AbortSignal;
  readonly #stop = { abort: () => this.#fail(new EasClosedError("the worker was stopped")) };
  #waiters: Waiter[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(stats: MutableStats, signal: AbortSignal) {
    this.#stats = stats;
    this.#signal = signal;
    linkSignal(signal, this.#stop);
  }

  ready(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    if (this.#stats.connected) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  update(status: WatchStatus): void {
    this.#stats.connected = status.state === "open";
    if (status.state === "reconnecting") this.#stats.lastError = status.cause;
    if (status.state === "closed" && status.error !== undefined) this.#stats.lastError = status.error;
    if (status.state !== "open") return;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  /** Handles the end of the worker. */
  end(error: unknown = new EasClosedError("the worker has ended")): void {
    unlinkSignal(this.#signal, this.#stop);
    this.#fail(error);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of this.#waiters.splice(0)) reject(this.#failure.error);
  }
}
