import type { CallPlan } from "../../call/call-plan.js";

/** What stands in the place of a key, for libraries that want one: it is taken off before anything is sent. */
export const PLACEHOLDER_KEY = "the-client-has-the-token";
/** Where services are whose instances are called directly, for libraries that want a URL. */
const ANY_INSTANCE = "http://any-instance.invalid";

/** The URL below which a client's service is, without a slash at its end. */
export function serviceUrl({ route, target }: Pick<CallPlan, "route" | "target">): string {
  return (route === undefined ? target.origin : ANY_INSTANCE) + target.path.replace(/\/$/, "");
}

/** Returns a URL, or a placeholder where the client's settings do not have one yet. */
export function urlOrPlaceholder(url: () => string): string {
  try {
    return url();
  } catch {
    return "http://unconfigured.invalid";
  }
}
