import type { DirectOptions } from "../endpoint/endpoint-source.js";
import type { GatewayOptions } from "../endpoint/parse-endpoint.js";
import { directRoute, type Route } from "../endpoint/route.js";
import { argumentTypeError, optionError } from "../util/argument-errors.js";
import { checkOptionNames } from "../util/option-names.js";
import { checkFunction, checkTimeout } from "./options.js";

const PATHS: readonly unknown[] = ["auto", "exported-apis", "service-discovery", undefined];

export const NO_DIRECT_OPTIONS: Required<DirectOptions> = {
  endpointSource: undefined,
  discovery: undefined,
  balancer: undefined,
  hedgeAfter: undefined,
};

/** How each option of direct connections is checked. */
export const DIRECT_CHECKS: {
  readonly [K in keyof DirectOptions]-?: (name: K, value: NonNullable<DirectOptions[K]>) => DirectOptions[K];
} = {
  endpointSource: checkFunction,
  discovery(_, value) {
    if (typeof value !== "object" || value === null) {
      throw optionError("discovery", value, "be an object, such as { interval: 3000 }");
    }
    checkOptionNames("discovery", value, { path: 1, internal: 1, interval: 1, timeout: 1 });
    const { path, internal, interval, timeout } = value;
    if (!PATHS.includes(path))
      throw optionError("discovery.path", path, 'be "auto", "exported-apis" or "service-discovery"');
    if (internal !== undefined && typeof internal !== "boolean") {
      throw optionError("discovery.internal", internal, "be a boolean");
    }
    if (interval !== undefined) checkTimeout("discovery.interval", interval);
    if (timeout !== undefined) checkTimeout("discovery.timeout", timeout);
    return { path, internal, interval, timeout };
  },
  balancer(_, value) {
    if (value === "weighted-round-robin" || value === "least-inflight") return value;
    throw optionError("balancer", value, 'be "weighted-round-robin" or "least-inflight"');
  },
  hedgeAfter: (_, value) => (value === "p95" ? value : checkTimeout("hedgeAfter", value)),
};

/** How instances are chosen; undefined behind a gateway. */
export function routeOf(
  options: GatewayOptions & DirectOptions & { readonly endpointType: "GATEWAY" | "DIRECT" },
): Route | undefined {
  if (options.endpointType === "DIRECT") return directRoute(options);
  // Calls would go to another place than the one that was meant, or be slower than was hoped.
  const misplaced = (["endpointSource", "hedgeAfter"] as const).find((name) => options[name] !== undefined);
  if (misplaced === undefined) return undefined;
  throw argumentTypeError("ERR_EAS_ARG_OPTION", `${misplaced} needs endpointType: ENDPOINT_TYPE_DIRECT`);
}
