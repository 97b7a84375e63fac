import type { Route } from "../endpoint/direct-route.js";
import { clockNow } from "../util/timing/clock.js";
import { Call } from "./call.js";
import type { CallBody, CallPlan, CallResult } from "./call-plan.js";
import type { ConnectionPool } from "./connections/connection-pool.js";
import type { CallObserver } from "./observers/call-observer.js";
import { withHooks } from "./observers/with-hooks.js";

/** Makes one logical call, including retries. `read` converts the response to the call's result. */
export function runCall<R>(
  pool: ConnectionPool,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
): Promise<R> {
  return plan.hooks === undefined
    ? make(pool, plan, body, read, undefined)
    : withHooks(pool, plan, (observer) => make(pool, plan, body, read, observer));
}

function make<R>(
  pool: ConnectionPool,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
  observer: CallObserver | undefined,
): Promise<R> {
  const { route, hedgeAfter, kind } = plan;
  return route === undefined || hedgeAfter === undefined || kind !== "predict"
    ? new Call(pool, plan, undefined, observer).run(body, read)
    : makeHedgedCall(pool, route, plan, body, read, observer);
}

function makeHedgedCall<R>(
  pool: ConnectionPool,
  route: Route,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
  observer: CallObserver | undefined,
): Promise<R> {
  return pool.track(async () => {
    // Hedging is loaded on first use, like all code for direct connections.
    const { hedge } = await import("./lazy.js");
    const start = (plan: CallPlan, tried: string[]) => new Call(pool, plan, tried, observer?.side());
    return hedge(clockNow, start, () => pool.routers.get(route), plan, body, read);
  });
}
