import type { CallPlan } from "../http/call-plan.js";
import type { Channel } from "../http/channel.js";
import type { Settings } from "../http/client-settings.js";
import { makeCall } from "../http/make-call.js";
import type { CallOptions } from "../http/options.js";
import { unsignedPlan, withCallOptions } from "../http/prepare.js";

/** Asks a service with a bare GET, which is never signed; resolves with the status of a success. Never HEAD: EAS holds that back. */
export function probe(channel: Channel, settings: Settings, call: CallOptions): Promise<number> {
  const plan = unsignedPlan(settings, channel.platform);
  const asked: CallPlan = { ...withCallOptions(plan, call), kind: "other", method: "GET", hedgeAfter: undefined };
  return makeCall(channel, asked, null, ({ response }) => response.status);
}
