import type { CallPlan } from "../call-plan.js";
import type { ConnectionPool } from "../connections/connection-pool.js";
import type { CallObserver } from "./call-observer.js";
import { OBSERVER_TOOLS } from "./observer-tools.js";
import { notifyStart } from "./tell.js";

/** Makes a call that hooks hear of: of its start at once, and of all the rest by what is loaded on first use. */
export function withHooks<R>(
  pool: ConnectionPool,
  plan: CallPlan,
  make: (observer: CallObserver) => Promise<R>,
): Promise<R> {
  const told = notifyStart(plan);
  return pool.track(async () => {
    const { CallObserver } = await import("../lazy.js");
    const observer = new CallObserver(plan, told, OBSERVER_TOOLS);
    try {
      return await make(observer);
    } catch (error) {
      observer.failed(error);
      throw error;
    }
  });
}
