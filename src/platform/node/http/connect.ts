import type { Socket } from "node:net";
import type { buildConnector } from "undici";
import type { ConnectSettings } from "../options.js";
import type { HttpProxy } from "../proxy.js";

/** The target of a connection. */
export interface ConnectTarget {
  readonly protocol: string;
  readonly hostname: string;
  /** Host and port. Determines the server name for the TLS handshake. */
  readonly host?: string;
  readonly port: string;
  readonly servername?: string;
}

type Done = (error: Error | null, socket: Socket | null) => void;

/** Establishes a connection and calls `done` once. Returns an object that abandons it. */
export type Connect = (target: ConnectTarget, done: Done) => { destroy(): void };

/** A transport's connectors. */
export interface Connections {
  /** Opens connections for requests. If there is a proxy, requests to `http:` endpoints connect to the proxy itself. */
  readonly forRequests: Connect;
  /** Opens connections for WebSockets. If there is a proxy, these connections always go through a tunnel. */
  readonly forSockets: Connect;
}

/** Loads undici and returns the connectors that these settings describe. */
export async function connectionsOf(settings: ConnectSettings): Promise<Connections> {
  const { buildConnector } = await import("undici");
  const { proxyOf, secureContext, connectTimeout } = settings;
  const tls = secureContext && { secureContext: secureContext as import("node:tls").SecureContext };
  if (proxyOf === undefined) {
    const connector = (timeout: number) => buildConnector({ ...tls, timeout }) as unknown as Connect;
    // No timeout is set here, because the pool's connectors have their own.
    return { forRequests: connector(0), forSockets: connector(connectTimeout) };
  }
  // A single timeout covers connecting to the proxy, opening the tunnel and the TLS handshake inside it.
  const dial = buildConnector({ ...tls, timeout: 0 });
  // Connects to targets that the environment exempts from its proxies.
  const direct = buildConnector({ ...tls, timeout: connectTimeout }) as unknown as Connect;
  const through =
    (tunnels: (target: ConnectTarget) => boolean): Connect =>
    (target, done) => {
      const proxy = proxyOf(target);
      if (proxy === undefined) return direct(target, done);
      return connectThrough(proxy, dial, connectTimeout, target, tunnels(target), done);
    };
  return { forRequests: through(({ protocol }) => protocol === "https:"), forSockets: through(() => true) };
}

/** Connects to a proxy. If `tunnels` is true, also connects to the target through the proxy's tunnel. */
function connectThrough(
  proxy: HttpProxy,
  dial: buildConnector.connector,
  timeout: number,
  target: ConnectTarget,
  tunnels: boolean,
  done: Done,
): { destroy(): void } {
  const { protocol, hostname, host, port } = proxy.url;
  let current: { destroy(): void } | undefined;
  let isOver = false;
  const finish = (error: Error | null, socket: Socket | null) => {
    if (isOver) {
      socket?.destroy();
      return;
    }
    isOver = true;
    clearTimeout(timer);
    if (error) current?.destroy();
    done(error, socket);
  };
  const timer = setTimeout(() => {
    const message = `no connection through the proxy ${host} within ${timeout} ms (connectTimeout)`;
    finish(Object.assign(new Error(message), { code: "UND_ERR_CONNECT_TIMEOUT" }), null);
  }, timeout);
  const connect = (options: buildConnector.Options, next: (socket: Socket) => void) => {
    // The function returns the socket, although its declared return type does not say so.
    current = dial(options, (error, socket) => {
      if (error) finish(error, null);
      else if (isOver) socket?.destroy();
      else next(socket as Socket);
    }) as unknown as Socket;
  };
  const proxyPort = port || (protocol === "https:" ? "443" : "80");
  connect({ protocol, hostname: hostname.replace(/^\[|\]$/g, ""), host, port: proxyPort }, (socket) => {
    if (!tunnels) return finish(null, socket);
    openTunnel(proxy, socket, target, (error, tunnel) => {
      if (error) return finish(error, null);
      if (target.protocol !== "https:") return finish(null, tunnel);
      return connect({ ...target, httpSocket: tunnel as Socket }, (secure) => finish(null, secure));
    });
  });
  return {
    destroy() {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      current?.destroy();
    },
  };
}

/** Requests a tunnel to the target from a proxy. */
function openTunnel({ url, authorization }: HttpProxy, socket: Socket, target: ConnectTarget, done: Done): void {
  const port = target.port || (target.protocol === "https:" ? "443" : "80");
  const { hostname } = target;
  const authority = `${hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]` : hostname}:${port}`;
  const request = process.getBuiltinModule("node:http").request({
    method: "CONNECT",
    path: authority,
    headers: { host: authority, ...(authorization && { "proxy-authorization": authorization }) },
    createConnection: () => socket,
  });
  request.once("error", (error) => done(error, null));
  request.once("connect", ({ statusCode: status = 0 }, tunnel: Socket, head: Buffer) => {
    if (status >= 200 && status < 300) {
      if (head.length > 0) tunnel.unshift(head);
      done(null, tunnel);
      return;
    }
    // Keep a listener until the code that receives this error destroys the socket, because an error event without a
    // listener would end the process.
    tunnel.on("error", () => {});
    const isFinal = status < 500 && status !== 408 && status !== 429;
    const advice = status === 407 ? ": put the credentials into the proxy's URL" : "";
    const message = `the proxy ${url.host} responded to CONNECT ${authority} with status ${status}${advice}`;
    done(Object.assign(new Error(message), { code: isFinal ? "ERR_PROXY_REFUSED" : "ERR_PROXY_FAILED" }), null);
  });
  request.end();
}
