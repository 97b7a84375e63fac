import type { Channel } from "../connections/connection-pool.js";
import type { CallPlan } from "../request.js";
import type { CallObserver } from "./call-observer.js";
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
    const { CallObserver } = await import("../lazy.js");
    const observer = new CallObserver(plan, told, OBSERVER_TOOLS);
    try {
      return await make(observer);
    } catch (error) {
      observer.failed(error);
      throw error;
    }
  });
}
