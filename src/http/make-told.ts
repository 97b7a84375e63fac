import type { CallObserver } from "./call-observer.js";
import type { CallPlan } from "./call-plan.js";
import type { Channel } from "./channel.js";
import { OBSERVER_TOOLS } from "./observer-tools.js";
import { tellStart } from "./tell.js";

/** Makes a call that hooks hear of: of its start at once, and of all the rest by what is loaded on first use. */
export function makeTold<R>(
  channel: Channel,
  plan: CallPlan,
  make: (observer: CallObserver) => Promise<R>,
): Promise<R> {
  const told = tellStart(plan);
  return channel.during(async () => {
    const { CallObserver } = await import("./on-first-use.js");
    const observer = new CallObserver(plan, told, OBSERVER_TOOLS);
    try {
      return await make(observer);
    } catch (error) {
      observer.failed(error);
      throw error;
    }
  });
}
