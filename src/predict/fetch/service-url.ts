import type { CallPlan } from "../../call/call-plan.js";

/** The key for libraries that require one. The client removes it before it sends a request. */
export const PLACEHOLDER_KEY = "the-client-has-the-token";
/** Origin in URLs of services whose instances are called directly. */
const ANY_INSTANCE = "http://any-instance.invalid";

/** Returns the base URL of a client's service, without a trailing slash. */
export function serviceUrl({ route, target }: Pick<CallPlan, "route" | "target">): string {
  return (route === undefined ? target.origin : ANY_INSTANCE) + target.path.replace(/\/$/, "");
}

/** Returns the result of `url`, or a placeholder if it throws because the client is not configured yet. */
export function urlOrPlaceholder(url: () => string): string {
  try {
    return url();
  } catch {
    return "http://unconfigured.invalid";
  }
}
