import type { Balancer, DirectOptions, DiscoveryOptions } from "../endpoint/endpoint-source.js";
import type { GatewayOptions } from "../endpoint/gateway.js";
import { directRoute, type Route } from "../endpoint/route.js";
import { argumentTypeError, show } from "../errors.js";
import { checkTimeout } from "./options.js";

const PATHS: readonly unknown[] = ["auto", "exported-apis", "service-discovery", undefined];

/** Checks how instances are discovered, and returns it. */
export function checkDiscovery(value: DiscoveryOptions): DiscoveryOptions {
  if (typeof value !== "object" || value === null) {
    throw refused("discovery", value, "an object, such as { interval: 3000 }");
  }
  const { path, internal, interval, timeout } = value;
  if (!PATHS.includes(path)) throw refused("discovery.path", path, '"auto", "exported-apis" or "service-discovery"');
  if (internal !== undefined && typeof internal !== "boolean") {
    throw refused("discovery.internal", internal, "a boolean");
  }
  if (interval !== undefined) checkTimeout("discovery.interval", interval);
  if (timeout !== undefined) checkTimeout("discovery.timeout", timeout);
  return { path, internal, interval, timeout };
}

/** Checks a balancer and returns it. */
export function checkBalancer(value: Balancer): Balancer {
  if (value === "weighted-round-robin" || value === "least-inflight") return value;
  throw refused("balancer", value, '"weighted-round-robin" or "least-inflight"');
}

function refused(name: string, value: unknown, right: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must be ${right}`);
}

/** How instances are chosen; undefined behind a gateway. */
export function routeOf(
  options: GatewayOptions & DirectOptions & { readonly endpointType: "GATEWAY" | "DIRECT" },
): Route | undefined {
  if (options.endpointType === "DIRECT") return directRoute(options);
  if (options.endpointSource === undefined) return undefined;
  // Calls would go to another place than the one that was meant.
  throw argumentTypeError("ERR_EAS_ARG_OPTION", "an endpointSource needs endpointType: ENDPOINT_TYPE_DIRECT");
}
