import type { Lease } from "../../endpoint/router.js";
import { EasHttpError, EasNetworkError, EasTimeoutError } from "../../errors.js";
import type { CallPlan } from "../call-plan.js";
import type { ConnectionPool } from "./connection-pool.js";

/** A plan whose target is one instance, with the lease for that instance. */
export interface LeasedPlan {
  readonly plan: CallPlan;
  readonly lease: Lease | undefined;
}

/**
 * Selects the instance for one attempt and adds it to `tried`. Behind a gateway, returns the plan unchanged. `until`
 * waits for discovery and must reject if the call ends first.
 */
export async function leaseInstance(
  pool: ConnectionPool,
  plan: CallPlan,
  tried: string[],
  until: <T>(work: Promise<T>) => Promise<T>,
): Promise<LeasedPlan> {
  const { route } = plan;
  if (route === undefined) return { plan, lease: undefined };
  let router = pool.routers.get(route);
  if (router instanceof Promise) router = await until(router);
  const first = router.ready();
  if (first !== undefined) await until(first);
  const lease = router.pick(tried, pool.connectionCount);
  tried.push(lease.origin);
  return { plan: { ...plan, target: { ...plan.target, origin: lease.origin } }, lease };
}

/** Statuses that indicate a faulty instance. */
const FAILURE_STATUSES: readonly number[] = [500, 502, 503, 504];

/** Whether a status indicates a faulty instance. */
export function isFailureStatus(status: number): boolean {
  return FAILURE_STATUSES.includes(status);
}

/** Whether an attempt's error indicates a faulty instance. Undefined if the error says nothing about the instance. */
export function isInstanceFault(error: unknown): boolean | undefined {
  if (error instanceof EasTimeoutError) return true;
  if (error instanceof EasHttpError) return isFailureStatus(error.status);
  // An error that is neither retryable nor ambiguous means that the request did not reach the instance.
  if (error instanceof EasNetworkError) return error.retryable || error.maybeAccepted || error.maybeTaken || undefined;
  return undefined;
}
