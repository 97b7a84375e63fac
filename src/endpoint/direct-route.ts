import { argumentTypeError, showUrl } from "../util/argument-errors.js";
import type { DirectOptions } from "./endpoint-source.js";
import { checkServiceName, endpointOf, type GatewayOptions, type Target } from "./parse-endpoint.js";
import { encodePath } from "./path.js";

/** Where the calls of a service go that is reached directly. */
export interface Route extends DirectOptions {
  /** The service as discovery knows it. */
  readonly serviceName: string;
  /** Scheme, host, port and prefix of EAS's discovery; undefined where the instances come from the user's own source. */
  readonly discoveryUrl: string | undefined;
  /** Routes of the same key and the same `endpointSource` lead to the same instances. */
  readonly key: string;
  /** What the calls have in common; each attempt has an origin of its own. */
  readonly target: Target;
}

/** Finds out how a service is reached directly; throws a `TypeError` that says what is missing or wrong. */
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
      `endpoint ${showUrl(options.endpoint)} is the host of one service: for ENDPOINT_TYPE_DIRECT set it to the region's discovery, for example "pai-eas-vpc.cn-shanghai.aliyuncs.com", and set serviceName`,
    );
  }
  const name = checkServiceName(options.serviceName || endpoint?.serviceName || "");
  if (!endpoint && !endpointSource) {
    throw argumentTypeError(
      "ERR_EAS_ARG_ENDPOINT",
      'endpoint is empty: for ENDPOINT_TYPE_DIRECT set it to the region\'s discovery, for example "pai-eas-vpc.cn-shanghai.aliyuncs.com", or set endpointSource',
    );
  }
  // What follows is a path within the service: "service/model" or "service/sink".
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
