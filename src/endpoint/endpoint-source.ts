/** One instance of a service, as returned by an `EndpointSource`. */
export interface ServiceInstance {
  /** IPv4 or IPv6 address, or host name. */
  readonly host: string;
  /** Port, from 1 to 65,535. */
  readonly port: number;
  /**
   * Share of the calls relative to the other instances. Default 100, as in EAS. An instance with the weight 0
   * receives no calls.
   */
  readonly weight?: number | undefined;
  /** Protocol of the instance. Default `"http"`. */
  readonly protocol?: "http" | "https" | undefined;
}

/** The argument that an `EndpointSource` receives. */
export interface EndpointQuery {
  /** The service name up to the first `/`. */
  readonly serviceName: string;
  /** Aborted when the client no longer needs the result. */
  readonly signal: AbortSignal;
}

/**
 * Returns the instances of a service for direct connections, for example from Nacos, Consul, DNS or a file. Replaces EAS's
 * discovery. The client invokes the function before the first call, and again during later calls when the list is older
 * than `discovery.interval`. Invocations never overlap. If the function throws, returns no instances, or takes longer than
 * `discovery.timeout`, the previous list stays in use. The client sends its token to all returned instances.
 *
 * @example
 * const endpointSource: EndpointSource = async ({ serviceName }) =>
 *   (await dns.promises.resolve4(`${serviceName}.internal`)).map((host) => ({ host, port: 8080 }));
 */
export type EndpointSource = (
  query: EndpointQuery,
) => Iterable<ServiceInstance> | PromiseLike<Iterable<ServiceInstance>>;

/** Options for finding the instances of a service and keeping the list up to date. */
export interface DiscoveryOptions {
  /**
   * The path of EAS's discovery. `"exported-apis"` is `/exported/apis/…/upstreams/`, as in the official Go and Java
   * SDKs. `"service-discovery"` is `/api/v1/servicediscovery/upstreams/`, as in the Python SDK. Default `"auto"`:
   * tries the two paths in this order. Later requests try the path that found the service first.
   */
  readonly path?: "auto" | "exported-apis" | "service-discovery" | undefined;
  /**
   * Whether to request addresses within the cluster (`?internal=true`). Default: true in a pod of EAS, otherwise false.
   */
  readonly internal?: boolean | undefined;
  /** Age of the list in milliseconds after which the next call refreshes it in the background. Default 3,000. */
  readonly interval?: number | undefined;
  /** Timeout in milliseconds for the first list, including retries, and for each later refresh. Default 5,000. */
  readonly timeout?: number | undefined;
}

/**
 * Selects the instance for a call. `"weighted-round-robin"` distributes calls in proportion to the weights, in the
 * order of the official SDKs. `"least-inflight"` compares two random instances and selects the one with fewer calls
 * in flight relative to its weight. As a result, slow instances receive fewer calls.
 */
export type Balancer = "weighted-round-robin" | "least-inflight";

/**
 * Options for `ENDPOINT_TYPE_DIRECT`. A client behind a gateway throws a `TypeError` if `endpointSource` or
 * `hedgeAfter` is set.
 */
export interface DirectOptions {
  /** Returns the instances. Default: EAS's discovery at `endpoint`. */
  readonly endpointSource?: EndpointSource | undefined;
  /** Options for the list of instances. */
  readonly discovery?: DiscoveryOptions | undefined;
  /** Selects the instance for each call. Default `"weighted-round-robin"`. */
  readonly balancer?: Balancer | undefined;
  /**
   * Time in milliseconds after which a prediction without a response is also sent to a second instance (a hedge).
   * The first response is used, and the other attempt is aborted. `"p95"` uses the 95th percentile of recent
   * response times, which is known from the 32nd attempt on. At most a tenth of the calls are hedged. A hedge is not
   * retried, and requires a second instance. Default: no hedging. Queue clients and clients behind a gateway throw a
   * `TypeError` if this option is set.
   */
  readonly hedgeAfter?: number | "p95" | undefined;
}
