import type { CallPlan } from "../../call/call-plan.js";

/** Placeholder for libraries that require a key. The client removes it before sending a request. */
export const PLACEHOLDER_KEY = "the-client-has-the-token";
/** Placeholder origin in the URLs of services whose instances are called directly. */
const ANY_INSTANCE = "http://any-instance.invalid";

/** Returns the base URL of a client's service, without a trailing slash. */
export function serviceUrl({ route, target }: Pick<CallPlan, "route" | "target">): string {
  return (route === undefined ? target.origin : ANY_INSTANCE) + target.path.replace(/\/$/, "");
}

/** Returns the result of `url`. If `url` throws because the client is not configured yet, returns a placeholder. */
export function urlOrPlaceholder(url: () => string): string {
  try {
    return url();
  } catch {
    return "http://unconfigured.invalid";
  }
}
