import type { CallPlan } from "../call-plan.js";
import type { ConnectionPool } from "../connections/connection-pool.js";
import type { CallObserver } from "./call-observer.js";
import { notifyStart } from "./notify.js";
import { OBSERVER_TOOLS } from "./observer-tools.js";

/**
 * Runs a call and reports it to its hooks. Reports the start synchronously; the code that reports other events is
 * loaded on first use.
 */
export function withHooks<R>(
  pool: ConnectionPool,
  plan: CallPlan,
  run: (observer: CallObserver) => Promise<R>,
): Promise<R> {
  const start = notifyStart(plan);
  return pool.track(async () => {
    const { CallObserver } = await import("../lazy.js");
    const observer = new CallObserver(plan, start, OBSERVER_TOOLS);
    try {
      return await run(observer);
    } catch (error) {
      observer.failed(error);
      throw error;
    }
  });
}
