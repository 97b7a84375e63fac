import type { Token } from "../../config/options.js";
import { checkSignal } from "../../config/validate.js";
import { EasClosedError } from "../../errors.js";
import { linkSignal, raceAbort, unlinkSignal } from "../../util/timing/abort.js";
import type { FrameHandler } from "./handler.js";
import type { ConsumeOptions } from "./options.js";
import type { MutableStats, WorkerHost, WorkerStats } from "./worker-host.js";

/**
 * A running worker: the promise of `QueueClient.consume`, with the state of the worker. It resolves when the worker
 * has stopped, and rejects with the error that ended the watch.
 *
 * @example
 * const worker = queue.consume(handler, { concurrency: 4 });
 * await worker.ready();
 * console.log(worker.stats.inWork);
 * await worker.stop();
 */
export interface QueueWorker extends Promise<void> {
  /** The current counters and state. Each access returns a new object. */
  readonly stats: WorkerStats;
  /**
   * Resolves when the connection to the queue is open, immediately if it is open already. Rejects with the error
   * that ended the worker, or with an `EasClosedError` if the worker was stopped.
   */
  ready(): Promise<void>;
  /** Stops the worker, like the `signal` option, and returns the promise of the worker. Can be called repeatedly. */
  stop(): Promise<void>;
}

/**
 * Starts a worker. Its code is loaded on first use, together with the code of watches. `token` returns the client's
 * token, which is removed from log lines.
 */
export function startWorker(
  host: WorkerHost,
  token: () => Token | undefined,
  handler: FrameHandler,
  options: ConsumeOptions,
): QueueWorker {
  const stats: MutableStats = {
    inWork: 0,
    handled: 0,
    failed: 0,
    deadLettered: 0,
    lastError: undefined,
    connected: false,
  };
  const stopping = new AbortController();
  const { signal } = stopping;
  const own = options?.signal;
  const start = async () => {
    if (own !== undefined) linkSignal(checkSignal(own), stopping);
    try {
      const { runWorker } = await raceAbort(import("../lazy.js"), signal);
      return runWorker({ host, token, handler, options, stats, signal });
    } catch (error) {
      // A page without a network cannot load this code, so stopping the worker must not wait for it.
      if (signal.aborted) return undefined;
      throw error;
    }
  };
  const started = start();
  const done = started.then((worker) => worker?.done).finally(() => unlinkSignal(own, stopping));
  const worker = {
    async ready() {
      const running = await started;
      if (running === undefined) throw new EasClosedError("the worker was stopped");
      return running.ready();
    },
    stop() {
      stopping.abort();
      return done;
    },
  };
  Object.defineProperty(done, "stats", { get: () => ({ ...stats }) });
  return Object.assign(done, worker) as QueueWorker;
}
