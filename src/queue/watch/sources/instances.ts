import type { CallPlan } from "../../../call/call-plan.js";
import type { ConnectionPool } from "../../../call/connections/connection-pool.js";
import { isInstanceFault, leaseInstance } from "../../../call/connections/instance-lease.js";
import { raceAbort } from "../../../util/timing/abort.js";
import type { OpenSource } from "./frame-source.js";

/**
 * Opens a connection to the plan's target or, with direct connections, to one of the service's instances. Avoids the
 * instance in `last` if there are others, and stores the selected instance in `last`.
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
      // The instance responded, so the end of the connection does not count as an instance failure.
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
