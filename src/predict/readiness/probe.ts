import { unsignedPlan, withCallOptions } from "../../call/build-plan.js";
import type { CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { runCall } from "../../call/run-call.js";
import type { CallOptions } from "../../config/options.js";
import type { Settings } from "../../config/settings.js";
import { isOfGatewayOnly } from "./not-ready.js";

/**
 * Sends an unsigned GET without a body. Resolves with the status if the response is a success. A GET is used because
 * EAS does not respond to HEAD. If an LLM gateway itself refuses the path, a second GET requests `/v1/models`, which
 * the gateway forwards to an engine.
 */
export async function probe(pool: ConnectionPool, settings: Settings, call: CallOptions): Promise<number> {
  const plan = probePlan(pool, settings, call);
  const send = (plan: CallPlan) => runCall(pool, plan, null, ({ response }) => response.status);
  try {
    return await send(plan);
  } catch (error) {
    if (!isOfGatewayOnly(error)) throw error;
    const models = { ...withCallOptions(plan, { path: "/v1/models" }), signal: plan.signal };
    return await send(models).catch((second) => {
      throw isOfGatewayOnly(second) ? error : second;
    });
  }
}

/** Returns the plan for the first GET that `probe` sends. */
export function probePlan(pool: ConnectionPool, settings: Settings, call: CallOptions): CallPlan {
  const plan = unsignedPlan(settings, pool.platform);
  return { ...withCallOptions(plan, call), kind: "other", method: "GET", hedgeAfter: undefined, runsOnce: false };
}
