import type { CallPlan } from "../../../call/call-plan.js";
import type { ConnectionPool } from "../../../call/connections/connection-pool.js";
import { isInstanceFault, leaseInstance } from "../../../call/connections/instance-lease.js";
import { raceAbort } from "../../../util/timing/abort.js";
import type { OpenSource } from "./frame-source.js";

/**
 * A connection to the plan's target, or to one of its instances, where they are reached directly; not to `last`, where there
 * are others. `last` then says which.
 */
export function instanceSource(
  pool: ConnectionPool,
  plan: CallPlan,
  last: string[],
  open: (plan: CallPlan) => OpenSource,
): OpenSource {
  return async (events, signal) => {
    const tried = last.splice(0);
    const leased = await leaseInstance(pool, plan, tried, (work) => raceAbort(work, signal));
    last.push(...tried.slice(-1));
    const onEnd: typeof events.onEnd = (end) => {
      // It had answered, and may have ended for many reasons.
      leased.lease?.end(false, true);
      events.onEnd(end);
    };
    try {
      return await open(leased.plan)({ ...events, onEnd }, signal);
    } catch (error) {
      leased.lease?.end(isInstanceFault(error));
      throw error;
    }
  };
}
