import { EasError } from "../../errors.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import type { DataFrame } from "../frame.js";
import type { Attempts } from "./attempts.js";
import type { FailureAction } from "./handler.js";
import { ItemContext } from "./item-context.js";
import type { ConsumeSettings } from "./options.js";
import { putSurely } from "./put-surely.js";
import type { WorkerReports } from "./reports.js";
import { ATTEMPT_TAG, putOptionsOf, REASON_TAG, tagOfReason } from "./tags.js";
import type { MutableStats, WorkerHost } from "./worker-host.js";

/** Consequences of each action for the item, for log lines. */
const OUTCOMES: Readonly<Record<FailureAction, string>> = {
  negative: "it is returned to the queue",
  requeue: "it is put into the queue again",
  "dead-letter": "it is given to deadLetter",
  release: "it is released",
  commit: "it is committed",
};

/** The state that all tasks of a worker share. */
export interface TaskHost {
  readonly client: WorkerHost;
  readonly settings: ConsumeSettings;
  readonly stats: MutableStats;
  readonly attempts: Attempts;
  readonly reports: WorkerReports;
  /** Whether the worker has stopped accepting items. */
  readonly isEnding: boolean;
  /** Records that a handler succeeded, which resets the delay of failed items. */
  succeeded(): void;
  /**
   * Waits before a failed item is returned. The wait grows with consecutive failures, and ends early if the worker
   * stops.
   */
  delayFailed(): Promise<void>;
  /**
   * Waits before putting an item again. The wait depends on the number of failed puts, and ends early if the worker
   * stops.
   */
  delayPut(failures: number): Promise<void>;
}

/** Runs the handler for one item and settles the item. */
export class ItemTask {
  readonly #frame: DataFrame;
  readonly #host: TaskHost;
  readonly #context: ItemContext;
  /** Whether an acknowledgment is being sent. The client's timeouts limit how long that takes. */
  #isAcknowledging = false;

  constructor(frame: DataFrame, host: TaskHost) {
    this.#frame = frame;
    this.#host = host;
    this.#context = new ItemContext(frame, host.attempts.add(frame), host.settings.sink);
  }

  /** Runs the handler and settles the item. Never rejects. */
  async run(): Promise<void> {
    try {
      await this.#handle();
    } catch (error) {
      // After any failure, the frame must leave the window. An `onError` that always fails must not cause a busy loop.
      if (!this.#frame.isSettled) await this.#host.delayFailed();
      const isReleased = this.#release();
      if (isReleased) this.#host.reports.warn(this.#frame, (item) => `${item} was released for redelivery`, error);
    }
  }

  /** Fires the handler's signal. */
  expire(reason: unknown): void {
    if (!this.#isAcknowledging) this.#context.abort(reason);
  }

  /** Releases the item unless its acknowledgment is being sent. Returns whether the task may be left behind. */
  abandon(): boolean {
    if (this.#isAcknowledging) return false;
    this.#release();
    return true;
  }

  async #handle(): Promise<void> {
    const { settings, stats, attempts } = this.#host;
    try {
      await settings.handler(this.#frame, this.#context);
      await this.#context.replied();
    } catch (error) {
      return this.#fail(error);
    }
    // An item that was released when the drain timeout passed belongs to another worker.
    if (this.#context.isAborted && this.#frame.isSettled) return;
    this.#host.succeeded();
    stats.handled++;
    attempts.delete(this.#frame.index);
    if (!this.#frame.isSettled) await this.#acknowledge(() => this.#frame.commit());
  }

  async #fail(error: unknown): Promise<void> {
    const { settings, stats, reports } = this.#host;
    const frame = this.#frame;
    // The handler failed because its signal fired, so the attempt does not count.
    if (this.#context.isAborted) {
      this.#release();
      return;
    }
    stats.failed++;
    stats.lastError = error;
    // A commit that the handler called may have failed. The watcher retries the commit, and the handler must not run
    // again.
    if (frame.isSettled) return reports.warn(frame, (item) => `the handler of ${item} failed after settling it`, error);
    const action = await this.#actionFor(error);
    // `onError` has settled the item, or the item was released because the drain timeout has passed.
    if (frame.isSettled) return;
    if (settings.onError === undefined) {
      reports.warn(frame, (item) => `the handler of ${item} failed; ${OUTCOMES[action]}`, error);
    }
    if (action === "commit") return this.#acknowledge(() => frame.commit());
    if (action === "dead-letter") return this.#giveUp(error);
    await this.#host.delayFailed();
    if (frame.isSettled) return;
    if (action === "requeue") return this.#requeue();
    if (action === "release") this.#release();
    else await this.#acknowledge(() => frame.negative(undefined, reports.reasonOf(error)));
  }

  async #actionFor(error: unknown): Promise<FailureAction> {
    const { onError, maxAttempts, deadLetter } = this.#host.settings;
    const isCounted = Number.isFinite(maxAttempts);
    const action =
      onError === undefined ? (isCounted ? "requeue" : "negative") : await onError(error, this.#frame, this.#context);
    if (!Object.hasOwn(OUTCOMES, action as PropertyKey)) {
      throw argumentTypeError(
        "ERR_EAS_ARG_WATCH",
        `onError returned ${show(action)}: it must be ${Object.keys(OUTCOMES).map(show).join(", ")}`,
      );
    }
    if (action === "dead-letter" && deadLetter === undefined) {
      throw argumentTypeError("ERR_EAS_ARG_WATCH", 'onError returned "dead-letter": it needs the deadLetter option');
    }
    const isRetry = action === "negative" || action === "requeue";
    return isRetry && this.#context.attempt >= maxAttempts ? "dead-letter" : action;
  }

  /** Puts a copy of the item at the end of the queue, with the number of its next attempt. */
  async #requeue(): Promise<void> {
    const { client } = this.#host;
    const options = putOptionsOf(this.#frame, { [ATTEMPT_TAG]: String(this.#context.attempt + 1) });
    await this.#replace("put into the queue again", () => putSurely(client, this.#frame.data, options));
  }

  async #giveUp(error: unknown): Promise<void> {
    const { settings, stats, reports } = this.#host;
    const { deadLetter } = settings;
    const frame = this.#frame;
    const { attempt } = this.#context;
    const reason = reports.reasonOf(error);
    const isDone = await this.#replace("given to deadLetter", async () => {
      if (typeof deadLetter === "function") return deadLetter({ frame, error, reason, attempt });
      const tags = { [ATTEMPT_TAG]: String(attempt), [REASON_TAG]: tagOfReason(reason) };
      return deadLetter?.put === undefined ? undefined : putSurely(deadLetter, frame.data, putOptionsOf(frame, tags));
    });
    if (isDone) stats.deadLettered++;
  }

  /**
   * Runs `put` until it succeeds, and then commits the item. If the worker ends first, the item is released. Returns
   * whether `put` succeeded.
   */
  async #replace(what: string, put: () => unknown): Promise<boolean> {
    const { reports, attempts } = this.#host;
    const frame = this.#frame;
    for (let failures = 0; ; failures++) {
      const wasEnding = this.#host.isEnding;
      try {
        await put();
        break;
      } catch (error) {
        if (frame.isSettled) return false;
        reports.warn(frame, (item) => `${item} could not be ${what}, and stays in the queue`, error);
        if (wasEnding) {
          this.#release();
          return false;
        }
        await this.#host.delayPut(failures);
      }
    }
    attempts.delete(frame.index);
    if (!frame.isSettled) await this.#acknowledge(() => frame.commit());
    return true;
  }

  /** Sends an acknowledgment. If it fails, the watcher logs and retries it, and the item is not handled again. */
  async #acknowledge(send: () => Promise<void>): Promise<void> {
    this.#isAcknowledging = true;
    try {
      await send();
    } catch (error) {
      if (!(error instanceof EasError)) throw error;
      this.#host.stats.lastError = error;
    }
  }

  /** Releases the item, if it is not settled. Returns whether it was released. */
  #release(): boolean {
    if (this.#frame.isSettled) return false;
    this.#frame.release();
    return true;
  }
}
