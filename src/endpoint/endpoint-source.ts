/** One instance of a service, as an `EndpointSource` names it. */
export interface ServiceInstance {
  /** IPv4 or IPv6 address, or host name. */
  readonly host: string;
  readonly port: number;
  /** Its share of the calls, in proportion to the others'. Default 100, as EAS gives it; 0 takes it out. */
  readonly weight?: number | undefined;
  /** Default `"http"`. */
  readonly protocol?: "http" | "https" | undefined;
}

/** What an `EndpointSource` is asked for. */
export interface EndpointQuery {
  /** The service, without what follows a `/` in its name. */
  readonly serviceName: string;
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * Gives the instances of a service for direct connections, in place of EAS's own discovery: from Nacos, Consul, DNS or a
 * file. Asked when the first call needs it, and again when calls are made and the list is older than `discovery.interval`;
 * never twice at a time. When it throws, gives none, or takes longer than `discovery.timeout`, the list before stays.
 * The client sends its token to all instances that are named here.
 *
 * @example
 * const endpointSource: EndpointSource = async ({ serviceName }) =>
 *   (await dns.promises.resolve4(`${serviceName}.internal`)).map((host) => ({ host, port: 8080 }));
 */
export type EndpointSource = (
  query: EndpointQuery,
) => Iterable<ServiceInstance> | PromiseLike<Iterable<ServiceInstance>>;

/** How the instances of a service are found and kept up to date. */
export interface DiscoveryOptions {
  /**
   * The path of EAS's discovery: `"exported-apis"` (`/exported/apis/…/upstreams/`, which the official Go and Java SDKs ask),
   * `"service-discovery"` (`/api/v1/servicediscovery/upstreams/`, which the Python SDK asks), or `"auto"`, the default: both in
   * this order, and from then on the one that knew the service.
   */
  readonly path?: "auto" | "exported-apis" | "service-discovery" | undefined;
  /** Whether to ask for addresses within the cluster (`?internal=true`). Default: whether this runs in a pod of EAS. */
  readonly internal?: boolean | undefined;
  /** Milliseconds after which the list is asked for again, while calls are made. Default 3,000. */
  readonly interval?: number | undefined;
  /** Milliseconds for the first list, retries included, and for each answer after it. Default 5,000. */
  readonly timeout?: number | undefined;
}

/**
 * Which instance a call goes to. `"weighted-round-robin"`: in turn, as the official SDKs do. `"least-inflight"`: of two taken
 * at random the one with fewer calls under way, which keeps off instances that are slow.
 */
export type Balancer = "weighted-round-robin" | "least-inflight";

/** Options of `ENDPOINT_TYPE_DIRECT`. Behind a gateway `endpointSource` and `hedgeAfter` are refused. */
export interface DirectOptions {
  /** Where the instances are found. Default: EAS's discovery at `endpoint`. */
  readonly endpointSource?: EndpointSource | undefined;
  /** How the list of instances is kept up to date. */
  readonly discovery?: DiscoveryOptions | undefined;
  /** Default `"weighted-round-robin"`. */
  readonly balancer?: Balancer | undefined;
  /**
   * When a prediction has no answer after so many milliseconds, it is sent to a second instance as well, and the first answer
   * counts; the other attempt is aborted. `"p95"`: the time within which 95 of 100 attempts were answered lately, from the
   * 32nd on. At most a tenth of the calls get a second attempt, which is made once and not repeated; none where discovery
   * knows no other instance. Default: off. Only for predictions: queues refuse it, and so do clients behind a gateway.
   */
  readonly hedgeAfter?: number | "p95" | undefined;
}
