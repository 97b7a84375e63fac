import { linkSignal, unlinkSignal } from "../util/timing/abort.js";
import { clockNow } from "../util/timing/clock.js";
import type { CallPlan } from "./call-plan.js";
import { type FailedCall, totalTimeoutError } from "./failures/failure.js";
import type { StreamResult } from "./stream-call.js";

/**
 * Ends an answer's body when the caller's signal fires or the whole call's time has run out. To be called in the turn in which
 * the head came, so that nothing is missed. Returns what errors need to know of the call.
 */
export function limitStreamLifetime(
  { response, attempts, token, startedAt }: StreamResult,
  plan: CallPlan,
): FailedCall {
  const call: FailedCall = { plan, attempts, token };
  const { signal, totalTimeout } = plan;
  const abortable = { abort: (reason: unknown) => response.cancel(reason) };
  // It may have fired in the turn in which the head came, when there was nothing left to cancel.
  linkSignal(signal, abortable);
  let timer: ReturnType<typeof setTimeout> | undefined;
  if (totalTimeout !== Number.POSITIVE_INFINITY) {
    const left = totalTimeout - (clockNow() - startedAt);
    timer = setTimeout(() => response.cancel(totalTimeoutError(call)), Math.max(1, left));
  }
  response.atEnd(() => {
    clearTimeout(timer);
    unlinkSignal(signal, abortable);
  });
  return call;
}
