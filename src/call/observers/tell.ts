import { type CallHooks, type CallInfo, oneLineMessage } from "../../config/hooks.js";
import { clockNow } from "../../util/timing/clock.js";
import type { CallPlan } from "../call-plan.js";

/** A call whose start was told. */
export interface ObservedCallStart {
  readonly info: CallInfo;
  /** By `performance.now()`. */
  readonly startedAt: number;
}

/** Tells hooks of a call's start. */
export function notifyStart(plan: CallPlan): ObservedCallStart {
  const { kind, method } = plan;
  const path = plan.path.split("?", 1)[0] as string;
  const startedAt = clockNow();
  const info = { kind, method, path, startedAt: Date.now() };
  notify(plan, plan.hooks ?? [], "start", info);
  return { info, startedAt };
}

/** Calls the hook of a name, of all that have it. What watches a call must not change it. */
export function notify<K extends keyof CallHooks>(
  { logger }: CallPlan,
  list: readonly CallHooks[],
  name: K,
  event: Parameters<NonNullable<CallHooks[K]>>[0],
): void {
  const onFailure = (error: unknown) => {
    try {
      logger?.warn(`eas-prediction: the hook "${name}" failed: ${oneLineMessage(error)}`);
    } catch {
      // There is nobody left to tell.
    }
  };
  for (const hooks of list) {
    try {
      const told = hooks[name]?.(event as never) as Partial<PromiseLike<unknown>> | null | undefined;
      // It is nobody's to wait for.
      told?.then?.(undefined, onFailure);
    } catch (error) {
      onFailure(error);
    }
  }
}
