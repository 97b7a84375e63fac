import type { Router } from "../endpoint/router.js";
import type { EasError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import type { CallBody, CallPlan, CallResult } from "./call-plan.js";

/** A call of which there may be two. */
export interface HedgedCall {
  run<R>(body: CallBody, read: (result: CallResult) => R): Promise<R>;
  abort(reason: unknown): void;
}

/**
 * Makes a call, and a second one beside it when no answer has come for a while; the first answer counts, and the other call
 * is aborted. `start` makes a call that goes to none of `tried`, and notes there where it goes. The second makes one attempt.
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
  let made: Promise<Bytes> | undefined;
  const once: CallBody =
    typeof body !== "function"
      ? body
      : (call) => {
          made ??= body(call);
          return made;
        };
  return new Promise((resolve, reject) => {
    const running = new Set<HedgedCall>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let firstError: unknown;
    const settle = (act: () => void) => {
      clearTimeout(timer);
      for (const call of running) call.abort(new Error("the other attempt was answered first"));
      act();
    };
    const run = (plan: CallPlan, isFirst: boolean) => {
      const call = start(plan, tried);
      running.add(call);
      call.run(once, readAll).then(
        (answer) => {
          running.delete(call);
          settle(() => resolve(answer));
        },
        (error: unknown) => {
          running.delete(call);
          if (isFirst) firstError = error;
          // What no retry helps is an answer too; else the other call may still get one.
          const isOver = isFirst && (error as Partial<EasError> | undefined)?.retryable !== true;
          if (isOver || running.size === 0) settle(() => reject(firstError ?? error));
        },
      );
    };
    const onTime = (delay: number) => {
      // It has not yet found out where to go: nothing that a second attempt would do sooner.
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
