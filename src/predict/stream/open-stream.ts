import type { Channel } from "../../call/connections/connection-pool.js";
import type { CallBody, CallPlan } from "../../call/request.js";
import { openStream } from "../../call/stream-call.js";
import { PredictStream } from "./stream.js";

/** Makes a call whose answer is read while it comes. Loaded on first use. */
export function openPredictStream(
  channel: Channel,
  plan: CallPlan,
  body: CallBody,
  idleTimeout: number,
): Promise<PredictStream> {
  return openStream(channel, plan, body, {}, (answer) => new PredictStream(answer, plan, idleTimeout));
}
