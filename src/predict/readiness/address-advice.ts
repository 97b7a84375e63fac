import type { CallPlan } from "../../call/call-plan.js";
import { easHost } from "../../endpoint/host-names.js";
import { EasHttpError, EasNetworkError, EasTimeoutError } from "../../errors.js";

/** Advice about a call's address. */
interface AddressAdvice {
  /** The finding; undefined if the error determines the finding. */
  readonly finding?: "path";
  readonly text: string;
}

/**
 * Matches the error messages of runtimes for a host name that cannot be resolved. Needed because some runtimes do not
 * report an error code.
 */
const UNKNOWN_HOST = /ENOTFOUND|EAI_AGAIN|\bdns\b|\blookup\b/i;

/**
 * Checks whether the address explains why a call failed: the path may be wrong for the host, or the host may be
 * unreachable from this network.
 */
export function addressAdvice({ route, target, path }: CallPlan, error: unknown): AddressAdvice | undefined {
  // Instances that are called directly have IP addresses.
  const host = route === undefined ? new URL(target.origin).hostname : "";
  const eas = easHost(host);
  if (eas === undefined) return undefined;
  const { service, gateway } = eas;
  if (error instanceof EasHttpError) {
    const named = /^.*?\/api\/predict(\/[^/?]*)?/.exec(path)?.[0];
    if (![400, 404, 405].includes(error.status) || (named === undefined) === (service !== undefined)) return undefined;
    const text = service
      ? `The host ${host} leads to the service "${service}" and forwards paths unchanged: leave "${named}" out of the path`
      : `The host ${host} is a gateway, but the path does not name a service: it must begin with "/api/predict/<service>"`;
    return { finding: "path", text };
  }
  const isVpc = /[.-]vpc\./.test(gateway);
  if (isVpc && (error instanceof EasNetworkError || error instanceof EasTimeoutError)) {
    return {
      text: `The host ${host} can be reached only inside its VPC: from elsewhere, use the public address shown in the console`,
    };
  }
  if (!(error instanceof EasNetworkError) || !UNKNOWN_HOST.test(error.message)) return undefined;
  const text = service
    ? `Check the service "${service}", the gateway and the region in ${host}, or use the gateway "${gateway}" as the endpoint with a serviceName`
    : `Check the gateway and the region in ${host}`;
  return { text };
}
