import type { TransportError, TransportRequest, TransportResponse } from "../platform/contract.js";
import type { DiscoveryOptions, EndpointQuery, ServiceInstance } from "./endpoint-source.js";
import type { RouterHost } from "./router.js";

type PathName = Exclude<DiscoveryOptions["path"], "auto" | undefined>;

/** github.com/pai-eas/eas-golang-sdk (cacheserver_endpoint.go) and, since January 2026, eas-python-sdk (cacheserver_endpoint.py). */
const PATHS: Readonly<Record<PathName, string>> = {
  "exported-apis": "/exported/apis/eas.alibaba-inc.k8s.io/v1/upstreams/",
  "service-discovery": "/api/v1/servicediscovery/upstreams/",
};

/** The `RESPONSE_TOO_LARGE` of transports. */
const TOO_LARGE = "ERR_RESPONSE_TOO_LARGE";

/** Thousands of instances fit. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** Asks EAS's discovery for the instances of a service. It takes no token, so none is sent. */
export class EasDiscovery {
  readonly #url: string;
  readonly #host: Pick<RouterHost, "transport" | "tools">;
  readonly #query: string;
  #paths: readonly string[];

  /** `url` is what stands before the paths. */
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

  /** The instances, as they came. Rejects with what the path said that was asked first. */
  async list({ serviceName, signal }: EndpointQuery): Promise<Iterable<ServiceInstance>> {
    const failures: Error[] = [];
    for (const path of this.#paths) {
      let answer: TransportResponse | undefined;
      try {
        answer = await get(this.#host, this.#url, path + encodeURIComponent(serviceName) + this.#query, signal);
        const items = itemsOf(answer);
        if (items.length === 0) throw new Error("it lists no instances of the service");
        // The one that knows the service is asked first from now on.
        this.#paths = [path, ...this.#paths.filter((other) => other !== path)];
        return items;
      } catch (error) {
        // The other path is not tried over a connection that failed.
        if (answer === undefined && (error as TransportError).systemCode !== TOO_LARGE) throw error;
        failures.push(
          new Error(`GET ${this.#url}${path}${serviceName}: ${(error as Error).message}`, { cause: error }),
        );
      }
    }
    throw failures[0];
  }
}

/** The list in an answer; items may be anything yet. */
function itemsOf({ status, body }: TransportResponse): ServiceInstance[] {
  if (status !== 200) throw new Error(`it was answered with ${status}`);
  const { endpoints } = (JSON.parse(new TextDecoder().decode(body)) ?? {}) as { endpoints?: { items?: unknown } };
  const items = endpoints?.items ?? [];
  if (!Array.isArray(items)) throw new Error("endpoints.items is not a list");
  return items.map((item) => ({ host: item?.ip, port: item?.port, weight: item?.weight }));
}

/** One GET that ends with the signal, whether or not the transport listens. */
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
    maxResponseBytes: MAX_ANSWER_BYTES,
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
