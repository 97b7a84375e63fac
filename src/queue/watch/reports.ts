import { clockNow } from "../../util/timing/clock.js";
import type { QueueLogger } from "../options.js";

/** Time after a warning during which repetitions with the same cause are only counted, in milliseconds. */
const QUIET_MS = 600_000;
/** Maximum number of causes to remember. */
const MAX_CAUSES = 64;

interface Report {
  readonly loggedAt: number;
  /** Number of repetitions that were not logged. */
  count: number;
}

/** Logs a watch's warnings, once per cause. Counts repetitions and logs the count with a later warning. */
export class WatchReports {
  readonly #logger: () => QueueLogger;
  readonly #reports = new Map<string, Report>();

  constructor(logger: () => QueueLogger) {
    this.#logger = logger;
  }

  /**
   * Logs `message`, unless a message with the same `cause` was logged within the last ten minutes. Ignores errors
   * thrown by the logger.
   */
  warn(cause: string, message: string): void {
    const now = clockNow();
    const known = this.#reports.get(cause);
    if (known !== undefined && now - known.loggedAt < QUIET_MS) {
      known.count++;
      return;
    }
    this.#reports.delete(cause);
    this.#reports.set(cause, { loggedAt: now, count: 0 });
    for (const oldest of this.#reports.keys()) if (this.#reports.size > MAX_CAUSES) this.#reports.delete(oldest);
    const repeated = known?.count ? ` (${known.count} more times since the last log)` : "";
    try {
      this.#logger().warn(`eas-prediction: ${message}${repeated}`);
    } catch {
      // A failing logger must not end the watch.
    }
  }
}
