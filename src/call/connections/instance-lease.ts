import type { Lease } from "../../endpoint/router.js";
import { EasHttpError, EasNetworkError, EasTimeoutError } from "../../errors.js";
import type { CallPlan } from "../call-plan.js";
import type { ConnectionPool } from "./connection-pool.js";

/** A plan whose target is one instance, and the use of that instance. */
export interface LeasedPlan {
  readonly plan: CallPlan;
  readonly lease: Lease | undefined;
}

/**
 * Chooses the instance for one attempt and notes it in `tried`, where calls go to instances directly. `until` waits for what
 * takes time, and rejects when the call is over before.
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

/** Statuses by which an instance says that it is not well. */
const UNWELL: readonly number[] = [500, 502, 503, 504];

/** Whether a status says that the instance is at fault. */
export function isFailureStatus(status: number): boolean {
  return UNWELL.includes(status);
}

/** Whether an attempt's error is its instance's fault; undefined when it tells nothing of it. */
export function isInstanceFault(error: unknown): boolean | undefined {
  if (error instanceof EasTimeoutError) return true;
  if (error instanceof EasHttpError) return isFailureStatus(error.status);
  // What no retry can help never came to the instance.
  if (error instanceof EasNetworkError) return error.retryable || error.maybeAccepted || error.maybeTaken || undefined;
  return undefined;
}
