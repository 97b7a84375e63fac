import type { Route } from "../endpoint/route.js";
import { clockNow } from "../util/timing/clock.js";
import { Call } from "./call.js";
import type { Channel } from "./connections/connection-pool.js";
import type { CallObserver } from "./observers/call-observer.js";
import { makeTold } from "./observers/make-told.js";
import type { CallBody, CallPlan, CallResult } from "./request.js";

/**
 * Makes one logical call: attempts, waits between them, and the verdict when they have failed. `read` makes the caller's
 * result of the answer.
 */
export function makeCall<R>(
  channel: Channel,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
): Promise<R> {
  return plan.hooks === undefined
    ? make(channel, plan, body, read, undefined)
    : makeTold(channel, plan, (observer) => make(channel, plan, body, read, observer));
}

function make<R>(
  channel: Channel,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
  observer: CallObserver | undefined,
): Promise<R> {
  const { route, hedgeAfter, kind } = plan;
  return route === undefined || hedgeAfter === undefined || kind !== "predict"
    ? new Call(channel, plan, undefined, observer).run(body, read)
    : makeHedgedCall(channel, route, plan, body, read, observer);
}

function makeHedgedCall<R>(
  channel: Channel,
  route: Route,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
  observer: CallObserver | undefined,
): Promise<R> {
  return channel.during(async () => {
    // On first use, as all of direct connections.
    const { hedge } = await import("./lazy.js");
    const start = (plan: CallPlan, tried: string[]) => new Call(channel, plan, tried, observer?.side());
    return hedge(clockNow, start, () => channel.routers.get(route), plan, body, read);
  });
}
