import type { Route } from "../endpoint/route.js";
import { Call } from "./call.js";
import type { CallBody, CallPlan, CallResult } from "./call-plan.js";
import type { Channel } from "./channel.js";

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
  const { route, hedgeAfter, kind } = plan;
  return route === undefined || hedgeAfter === undefined || kind !== "predict"
    ? new Call(channel, plan).run(body, read)
    : makeHedgedCall(channel, route, plan, body, read);
}

async function makeHedgedCall<R>(
  channel: Channel,
  route: Route,
  plan: CallPlan,
  body: CallBody,
  read: (result: CallResult) => R,
): Promise<R> {
  channel.enter();
  try {
    // On first use, as all of direct connections.
    const { hedge } = await import("./hedge.js");
    const start = (plan: CallPlan, tried: string[]) => new Call(channel, plan, tried);
    return await hedge(start, () => channel.routers.get(route), plan, body, read);
  } finally {
    channel.leave();
  }
}
