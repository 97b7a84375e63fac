import { argumentTypeError, showUrl } from "../util/argument-errors.js";
import type { DirectOptions } from "./endpoint-source.js";
import { checkServiceName, endpointOf, type GatewayOptions, type Target } from "./parse-endpoint.js";
import { encodePath } from "./path.js";

/** The route to a service with direct connections. */
export interface Route extends DirectOptions {
  /** The service name used for discovery. */
  readonly serviceName: string;
  /** Scheme, host, port and path prefix of EAS's discovery. Undefined if there is an `endpointSource`. */
  readonly discoveryUrl: string | undefined;
  /** Routes with the same key and the same `endpointSource` share a router. */
  readonly key: string;
  /** The target of all calls. Its origin is a placeholder, because each attempt uses the origin of its instance. */
  readonly target: Target;
}

/** Returns the route for direct connections. Throws a `TypeError` for missing or contradictory options. */
export function directRoute(options: GatewayOptions & DirectOptions): Route {
  const { endpointSource, discovery, balancer } = options;
  if (options.customUrl) {
    throw argumentTypeError(
      "ERR_EAS_ARG_ENDPOINT",
      "customUrl cannot be used with ENDPOINT_TYPE_DIRECT: leave one out",
    );
  }
  const endpoint = endpointOf(options);
  if (endpoint?.gateway !== undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_ENDPOINT",
      `endpoint ${showUrl(options.endpoint)} is the host of one service: for ENDPOINT_TYPE_DIRECT, set it to the region's discovery service, for example "pai-eas-vpc.cn-shanghai.aliyuncs.com", and set serviceName`,
    );
  }
  const name = checkServiceName(options.serviceName || endpoint?.serviceName || "");
  if (!endpoint && !endpointSource) {
    throw argumentTypeError(
      "ERR_EAS_ARG_ENDPOINT",
      'endpoint is empty: for ENDPOINT_TYPE_DIRECT, set it to the region\'s discovery service, for example "pai-eas-vpc.cn-shanghai.aliyuncs.com", or set endpointSource',
    );
  }
  // The rest of the name is a path within the service, as in "service/model" or "service/sink".
  const serviceName = name.split("/", 1)[0] as string;
  const discoveryUrl = endpointSource || !endpoint ? undefined : endpoint.origin + endpoint.prefix;
  return {
    endpointSource,
    discovery,
    balancer,
    serviceName,
    discoveryUrl,
    key: JSON.stringify([serviceName, discoveryUrl, discovery, balancer]),
    target: {
      origin: "(any instance)",
      path: `/api/predict/${encodePath(name)}`,
      query: "",
      requestPath: endpoint?.requestPath ?? "",
      resource: `/api/predict/${name}`,
      isPredict: true,
      isSharedGateway: false,
    },
  };
}
