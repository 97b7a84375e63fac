import type { Dispatcher } from "undici";
import type { ConnectSettings } from "../options.js";
import type { ProxyOf } from "../proxy.js";
import type { Connections } from "./connect.js";
import type { Connectors } from "./connector.js";

/** The part of an undici dispatcher that a transport uses. */
export interface RequestAgent {
  dispatch: Dispatcher["dispatch"];
  destroy(): Promise<void>;
}

/**
 * Time for which an idle connection is kept if the server sends no `Keep-Alive` header, in milliseconds. This time is
 * shorter than the idle timeouts of known servers, some of which close connections after 5 s (Node's own server) or 15
 * s. If there is a `Keep-Alive` header, undici closes the connection 2 s before the stated time.
 */
const IDLE_MS = 4_000;

/** Loads undici and creates the connection pool that these settings describe. */
export async function makeAgent(
  { connections, maxHeaderSize, proxyOf }: ConnectSettings,
  { forRequests }: Connections,
  connectors: Connectors,
): Promise<RequestAgent> {
  const undici = await import("undici");
  const agent = new undici.Agent({
    connections,
    factory: connectors.factory(undici),
    maxHeaderSize,
    keepAliveTimeout: IDLE_MS,
    // Disable undici's timeouts, which would abort long inference calls. The call has its own timeout, from dispatch to
    // the last byte.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: forRequests as never,
  });
  return proxyOf === undefined ? agent : proxied(agent, proxyOf);
}

/** Sends requests for `http:` origins to the proxy itself, with the whole URL as the path (RFC 9112, section 3.2.2). */
function proxied(agent: Dispatcher, proxyOf: ProxyOf): RequestAgent {
  return {
    dispatch(options, handler) {
      const { origin, path, headers } = options;
      const proxy = String(origin).startsWith("http:") ? proxyOf(new URL(String(origin))) : undefined;
      if (proxy === undefined) return agent.dispatch(options, handler);
      const { authorization } = proxy;
      const own = authorization === undefined ? [] : ["proxy-authorization", authorization];
      return agent.dispatch(
        { ...options, path: `${origin}${path}`, headers: [...(headers as string[]), ...own] },
        handler,
      );
    },
    destroy: () => agent.destroy(),
  };
}
