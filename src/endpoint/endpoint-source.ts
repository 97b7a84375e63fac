/** One instance of a service, as returned by an `EndpointSource`. */
export interface ServiceInstance {
  /** IPv4 address, IPv6 address or host name. */
  readonly host: string;
  /** Port, from 1 to 65,535. */
  readonly port: number;
  /**
   * Share of calls relative to other instances. Default 100, as in EAS. An instance with weight 0 receives no calls.
   */
  readonly weight?: number | undefined;
  /** Protocol that the instance uses. Default `"http"`. */
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
 * Returns the instances of a service for direct connections, for example from Nacos, Consul, DNS or a file. Replaces
 * EAS's discovery. The client invokes the function before the first call, and again during a later call if the list is
 * older than `discovery.interval`. Invocations never overlap. If the function throws, returns no instances, or takes
 * longer than `discovery.timeout`, the previous list stays in use. The client sends its token to all returned
 * instances.
 *
 * @example
 * const endpointSource: EndpointSource = async ({ serviceName }) =>
 *   (await dns.promises.resolve4(`${serviceName}.internal`)).map((host) => ({ host, port: 8080 }));
 */
export type EndpointSource = (
  query: EndpointQuery,
) => Iterable<ServiceInstance> | PromiseLike<Iterable<ServiceInstance>>;

/** Options for finding a service's instances and keeping the list up to date. */
export interface DiscoveryOptions {
  /**
   * The path of EAS's discovery service. `"exported-apis"` is `/exported/apis/…/upstreams/`, as in the official Go and
   * Java SDKs. `"service-discovery"` is `/api/v1/servicediscovery/upstreams/`, as in the Python SDK. Default `"auto"`:
   * tries the two paths in this order. Later requests start with the path that found the service.
   */
  readonly path?: "auto" | "exported-apis" | "service-discovery" | undefined;
  /**
   * Whether to request addresses within the cluster (`?internal=true`). Default: true in an EAS pod, otherwise false.
   */
  readonly internal?: boolean | undefined;
  /** Age of the list in milliseconds after which the next call refreshes it in the background. Default 3,000. */
  readonly interval?: number | undefined;
  /** Timeout in milliseconds for the first list, including retries, and for each later refresh. Default 5,000. */
  readonly timeout?: number | undefined;
}

/**
 * Selects the instance for a call. `"weighted-round-robin"` distributes calls in proportion to the weights, in the same
 * order as the official SDKs. `"least-inflight"` compares two random instances and selects the one with fewer calls in
 * flight relative to its weight. Slow instances therefore receive fewer calls.
 */
export type Balancer = "weighted-round-robin" | "least-inflight";

/**
 * Options for `ENDPOINT_TYPE_DIRECT`. A client behind a gateway throws a `TypeError` if `endpointSource` or
 * `hedgeAfter` is set.
 */
export interface DirectOptions {
  /** Returns the instances. Default: EAS's discovery service at `endpoint`. */
  readonly endpointSource?: EndpointSource | undefined;
  /** Options for the list of instances. */
  readonly discovery?: DiscoveryOptions | undefined;
  /** Selects the instance for each call. Default `"weighted-round-robin"`. */
  readonly balancer?: Balancer | undefined;
  /**
   * Time in milliseconds after which a prediction without a response is also sent to a second instance (a hedge). The
   * first response is used, and the other attempt is aborted. `"p95"` uses the 95th percentile of recent response
   * times, which is available after 32 attempts. At most a tenth of all calls are hedged. A hedge requires a second
   * instance and is not retried. Default: no hedging. Queue clients and clients behind a gateway throw a `TypeError` if
   * this option is set.
   */
  readonly hedgeAfter?: number | "p95" | undefined;
}
