import type { CallBody, CallPlan } from "../http/call-plan.js";
import type { Channel } from "../http/channel.js";
import { openStream } from "../http/stream-call.js";
import { PredictStream } from "./predict-stream.js";

/** Makes a call whose answer is read while it comes. Loaded on first use. */
export function openPredictStream(
  channel: Channel,
  plan: CallPlan,
  body: CallBody,
  idleTimeout: number,
): Promise<PredictStream> {
  return openStream(channel, plan, body, {}, (answer) => new PredictStream(answer, plan, idleTimeout));
}
