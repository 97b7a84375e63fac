import type { CallBody, CallPlan } from "../../call/call-plan.js";
import type { ConnectionPool } from "../../call/connections/connection-pool.js";
import { openStream } from "../../call/stream-call.js";
import { PredictStream } from "./stream.js";

/** Makes a call whose answer is read while it comes. Loaded on first use. */
export function openPredictStream(
  pool: ConnectionPool,
  plan: CallPlan,
  body: CallBody,
  idleTimeout: number,
): Promise<PredictStream> {
  return openStream(pool, plan, body, {}, (answer) => new PredictStream(answer, plan, idleTimeout));
}
