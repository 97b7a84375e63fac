import { unsignedPlan, withCallOptions } from "../../call/build-plan.js";
import type { CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { runCall } from "../../call/run-call.js";
import type { CallOptions } from "../../config/options.js";
import type { Settings } from "../../config/settings.js";
import { isOfGatewayOnly } from "./not-ready.js";

/**
 * Sends a GET without a body, which is never signed, and resolves with the status of a success. Never HEAD, which EAS does not
 * answer. Where an LLM gateway refuses the path without asking an engine, it asks for `/v1/models`, which an engine answers.
 */
export async function probe(pool: ConnectionPool, settings: Settings, call: CallOptions): Promise<number> {
  const asked = probePlan(pool, settings, call);
  const send = (plan: CallPlan) => runCall(pool, plan, null, ({ response }) => response.status);
  try {
    return await send(asked);
  } catch (error) {
    if (!isOfGatewayOnly(error)) throw error;
    const models = { ...withCallOptions(asked, { path: "/v1/models" }), signal: asked.signal };
    return await send(models).catch((second) => {
      throw isOfGatewayOnly(second) ? error : second;
    });
  }
}

/** The plan of the first GET of `probe`. */
export function probePlan(pool: ConnectionPool, settings: Settings, call: CallOptions): CallPlan {
  const plan = unsignedPlan(settings, pool.platform);
  return { ...withCallOptions(plan, call), kind: "other", method: "GET", hedgeAfter: undefined, runsOnce: false };
}
