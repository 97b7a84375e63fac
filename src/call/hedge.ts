import type { Router } from "../endpoint/router.js";
import type { EasError } from "../errors.js";
import type { CallBody, CallPlan, CallResult, LateBody } from "./call-plan.js";

/** One of two parallel calls. */
export interface HedgedCall {
  run<R>(body: CallBody, read: (result: CallResult) => R): Promise<R>;
  abort(reason: unknown): void;
}

/**
 * Runs a call. If no response arrives within `plan.hedgeAfter`, starts a second call in parallel. Resolves with the
 * first response and aborts the other call. `start` creates a call that avoids the instances in `tried` and adds its
 * own instances to `tried`. The second call makes only one attempt.
 */
export function hedge<R>(
  clockNow: () => number,
  start: (plan: CallPlan, tried: string[]) => HedgedCall,
  routerNow: () => Router | Promise<Router>,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
): Promise<R> {
  const startedAt = clockNow();
  const tried: string[] = [];
  const readAll = (result: CallResult) => read({ ...result, attempts: tried.length, startedAt });
  let created: Promise<LateBody> | undefined;
  const createOnce: CallBody =
    typeof body !== "function"
      ? body
      : (plan) => {
          created ??= body(plan);
          return created;
        };
  return new Promise((resolve, reject) => {
    const running = new Set<HedgedCall>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let firstError: unknown;
    const settle = (act: () => void) => {
      clearTimeout(timer);
      for (const call of running) call.abort(new Error("the other attempt received a response first"));
      act();
    };
    const run = (plan: CallPlan, isFirst: boolean) => {
      const call = start(plan, tried);
      running.add(call);
      call.run(createOnce, readAll).then(
        (response) => {
          running.delete(call);
          settle(() => resolve(response));
        },
        (error: unknown) => {
          running.delete(call);
          if (isFirst) firstError = error;
          // If the first call fails with an error that is not retryable, the hedged call fails too. After any other
          // error, the parallel call may still succeed.
          const isOver = isFirst && (error as Partial<EasError> | undefined)?.retryable !== true;
          if (isOver || running.size === 0) settle(() => reject(firstError ?? error));
        },
      );
    };
    const onTime = (delay: number) => {
      // The first call does not have an instance yet, and a second call would also have to wait for discovery.
      if (tried.length === 0) return wait(delay);
      const router = routerNow();
      const left = plan.totalTimeout - (clockNow() - startedAt);
      if (left <= 0 || router instanceof Promise || !router.takeHedge(tried)) return;
      run({ ...plan, retryCount: 0, totalTimeout: left }, false);
    };
    const wait = (delay: number) => {
      timer = setTimeout(() => onTime(delay), delay);
    };
    const router = routerNow();
    const delay = plan.hedgeAfter !== "p95" ? plan.hedgeAfter : router instanceof Promise ? undefined : router.p95;
    if (delay !== undefined) wait(delay);
    run(plan, true);
  });
}
