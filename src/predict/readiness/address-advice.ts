import type { CallPlan } from "../../call/call-plan.js";
import { easHost } from "../../endpoint/host-names.js";
import { EasHttpError, EasNetworkError, EasTimeoutError } from "../../errors.js";

/** What is wrong with the address of a call. */
interface AddressAdvice {
  /** The finding; undefined if the error itself determines it. */
  readonly finding?: "path";
  readonly text: string;
}

/** Parts of the runtimes' messages about a host name that cannot be resolved. */
const UNKNOWN_HOST = /ENOTFOUND|EAI_AGAIN|\bdns\b|\blookup\b/i;

/** Explains a failed call by its address, if host and path do not fit together or the host cannot be reached from here. */
export function addressAdvice({ route, target, path }: CallPlan, error: unknown): AddressAdvice | undefined {
  // Instances that are called directly have addresses instead of names.
  const host = route === undefined ? new URL(target.origin).hostname : "";
  const eas = easHost(host);
  if (eas === undefined) return undefined;
  const { service, gateway } = eas;
  if (error instanceof EasHttpError) {
    const named = /^.*?\/api\/predict(\/[^/?]*)?/.exec(path)?.[0];
    if (![400, 404, 405].includes(error.status) || (named === undefined) === (service !== undefined)) return undefined;
    const text = service
      ? `The host ${host} leads to the service "${service}" and takes paths as they are: leave "${named}" out of the path`
      : `The host ${host} is a gateway, and the path names no service: it must begin with "/api/predict/<service>"`;
    return { finding: "path", text };
  }
  const isVpc = /[.-]vpc\./.test(gateway);
  if (isVpc && (error instanceof EasNetworkError || error instanceof EasTimeoutError)) {
    return {
      text: `The host ${host} can be reached only inside its VPC: elsewhere use the public address of the console`,
    };
  }
  if (!(error instanceof EasNetworkError) || !UNKNOWN_HOST.test(error.message)) return undefined;
  const text = service
    ? `Check the service "${service}", the gateway and the region in ${host}, or use the gateway "${gateway}" as the endpoint with a serviceName`
    : `Check the gateway and the region in ${host}`;
  return { text };
}
