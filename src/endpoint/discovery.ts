import type { TransportError, TransportRequest, TransportResponse } from "../platform/contract.js";
import type { DiscoveryOptions, EndpointQuery, ServiceInstance } from "./endpoint-source.js";
import type { RouterHost } from "./router.js";

type PathName = Exclude<DiscoveryOptions["path"], "auto" | undefined>;

/**
 * Paths of the discovery service. The first is used by eas-golang-sdk (cacheserver_endpoint.go), the second by
 * eas-python-sdk since January 2026 (cacheserver_endpoint.py).
 */
const PATHS: Readonly<Record<PathName, string>> = {
  "exported-apis": "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/",
  "service-discovery": "/api/v1/servicediscovery/upstreams/",
};

/** The `systemCode` of a transport error for a response larger than `maxResponseBytes`. */
const TOO_LARGE = "ERR_RESPONSE_TOO_LARGE";

/** Maximum size of a discovery response, in bytes. Sufficient for thousands of instances. */
const MAX_RESPONSE_BYTES = 8 * 1024 * 1024;

/**
 * Requests a service's instances from EAS's discovery service. No token is sent because the discovery service does not
 * require one.
 */
export class EasDiscovery {
  readonly #url: string;
  readonly #host: Pick<RouterHost, "transport" | "tools">;
  readonly #query: string;
  #paths: readonly string[];

  /** The discovery path is appended to the base URL `url`. */
  constructor(
    url: string,
    path: DiscoveryOptions["path"],
    internal: boolean,
    host: Pick<RouterHost, "transport" | "tools">,
  ) {
    this.#url = url;
    this.#host = host;
    this.#query = internal ? "?internal=true" : "";
    this.#paths = path === undefined || path === "auto" ? Object.values(PATHS) : [PATHS[path]];
  }

  /**
   * Returns the listed instances without checking them. If all paths fail, rejects with the error of the first path.
   */
  async list({ serviceName, signal }: EndpointQuery): Promise<Iterable<ServiceInstance>> {
    const failures: Error[] = [];
    for (const path of this.#paths) {
      let response: TransportResponse | undefined;
      try {
        response = await get(this.#host, this.#url, path + encodeURIComponent(serviceName) + this.#query, signal);
        const items = itemsOf(response);
        if (items.length === 0) throw new Error("the response lists no instances of the service");
        // Later requests start with the path that returned the service's instances.
        this.#paths = [path, ...this.#paths.filter((other) => other !== path)];
        return items;
      } catch (error) {
        // If the connection failed, the other path would fail too.
        if (response === undefined && (error as TransportError).systemCode !== TOO_LARGE) throw error;
        failures.push(
          new Error(`GET ${this.#url}${path}${serviceName}: ${(error as Error).message}`, { cause: error }),
        );
      }
    }
    throw failures[0];
  }
}

/** Returns the items in a response without checking their fields. */
function itemsOf({ status, body }: TransportResponse): ServiceInstance[] {
  if (status !== 200) throw new Error(`the response has status ${status}`);
  const { endpoints } = (JSON.parse(new TextDecoder().decode(body)) ?? {}) as { endpoints?: { items?: unknown } };
  const items = endpoints?.items ?? [];
  if (!Array.isArray(items)) throw new Error("endpoints.items is not an array");
  return items.map((item) => ({ host: item?.ip, port: item?.port, weight: item?.weight }));
}

/** Sends one GET request. Rejects when the signal fires, even if the transport ignores it. */
function get(
  { transport, tools }: Pick<RouterHost, "transport" | "tools">,
  url: string,
  path: string,
  signal: AbortSignal,
): Promise<TransportResponse> {
  const { origin, pathname } = new URL(url);
  const request: TransportRequest = {
    method: "GET",
    origin,
    path: pathname.replace(/\/$/, "") + path,
    headers: [["accept", "application/json"]],
    body: null,
    maxResponseBytes: MAX_RESPONSE_BYTES,
    signal,
    exchange: undefined,
    onDispatch() {},
    phase: "headers",
  };
  const exchange = { abort: (reason: unknown) => request.exchange?.cancel(reason) };
  const sent = transport()
    .send(request)
    .finally(() => tools.unlinkSignal(signal, exchange));
  tools.linkSignal(signal, exchange);
  return tools.raceAbort(sent, signal);
}
