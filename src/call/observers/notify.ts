import { type CallHooks, type CallInfo, oneLineMessage } from "../../config/hooks.js";
import { clockNow } from "../../util/timing/clock.js";
import type { CallPlan } from "../call-plan.js";

/** The start of a call, as reported to the hooks. */
export interface ObservedCallStart {
  readonly info: CallInfo;
  /** Start time of the call, from `clockNow()`. */
  readonly startedAt: number;
}

/** Notifies hooks of the start of a call. */
export function notifyStart(plan: CallPlan): ObservedCallStart {
  const { kind, method } = plan;
  const path = plan.path.split("?", 1)[0] as string;
  const startedAt = clockNow();
  const info = { kind, method, path, startedAt: Date.now() };
  notify(plan, plan.hooks ?? [], "start", info);
  return { info, startedAt };
}

/**
 * Calls the hook with the same name on each object in `list`. An error from a hook becomes a warning, because a hook
 * must not change a call's outcome.
 */
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
      // The logger failed as well, so the error cannot be reported.
    }
  };
  for (const hooks of list) {
    try {
      const result = hooks[name]?.(event as never) as Partial<PromiseLike<unknown>> | null | undefined;
      // The promise is not awaited because calls do not wait for hooks.
      result?.then?.(undefined, onFailure);
    } catch (error) {
      onFailure(error);
    }
  }
}
