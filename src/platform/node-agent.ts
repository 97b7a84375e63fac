import type { Dispatcher } from "undici";
import type { OptionNames } from "../util/option-names.js";
import type { Connectors } from "./node-connector.js";

/** Options for `nodeTransport`. */
export interface NodeTransportOptions {
  /** Maximum number of connections to one host. Default 100. */
  readonly connections?: number | undefined;
  /** URL of an HTTP proxy, including its credentials if it requires them. Default: none; environment variables are not read. */
  readonly proxy?: string | undefined;
  /** Certificates of the authorities to trust instead of Node's built-in ones, PEM. */
  readonly ca?: string | readonly string[] | undefined;
  /** The client's certificate chain, PEM. */
  readonly cert?: string | undefined;
  /** The private key of `cert`, PEM. */
  readonly key?: string | undefined;
  /**
   * Maximum time to establish a connection, including the tunnel of a proxy and TLS, in milliseconds: 1 to 2,147,483,647.
   * Default 10,000.
   */
  readonly connectTimeout?: number | undefined;
  /** Maximum size of the headers of a response, in bytes: 1,024 to 16,777,216. Default 262,144 (256 KiB). */
  readonly maxHeaderSize?: number | undefined;
  /**
   * Whether a connection may carry more than one request. Default true. With false each request has a connection of its own, so
   * that no faulty server or proxy can answer it with bytes that belong to another; each then costs a handshake.
   */
  readonly reuseConnections?: boolean | undefined;
  /**
   * Number of threads that compute the MD5 of signed bodies of at least 128 KiB, so that the event loop is not blocked. Each thread
   * keeps memory for its largest body so far. Default 0: the event loop is blocked for about 1.2 ms per megabyte.
   */
  readonly hashThreads?: number | undefined;
}

export const NODE_TRANSPORT_OPTIONS: OptionNames<NodeTransportOptions> = {
  connections: 1,
  proxy: 1,
  ca: 1,
  cert: 1,
  key: 1,
  connectTimeout: 1,
  hashThreads: 1,
  maxHeaderSize: 1,
  reuseConnections: 1,
};

/** Default maximum number of connections to one host, as in the official SDKs. */
const DEFAULT_CONNECTIONS = 100;
/** Node's own 16 KiB are less than some gateways send, with large cookies or policy headers. */
const DEFAULT_MAX_HEADER_BYTES = 262_144;
/**
 * How long an idle connection is kept when the server sends no `Keep-Alive` header. It is shorter than the idle timeout of known
 * servers: some close after 5 s (Node's own server) or 15 s. With a `Keep-Alive` header, undici closes 2 s before the stated time.
 */
const IDLE_MS = 4_000;

/** Loads undici and creates the dispatcher that these options describe. */
export async function makeAgent(options: NodeTransportOptions, connectors: Connectors): Promise<Dispatcher> {
  const undici = await import("undici");
  const { Agent, ProxyAgent } = undici;
  const { ca, cert, key } = options;
  const tls = { ...(ca && { ca: ca as string[] }), ...(cert && { cert }), ...(key && { key }) };
  const pool = {
    connections: options.connections ?? DEFAULT_CONNECTIONS,
    factory: connectors.factory(undici),
    maxHeaderSize: options.maxHeaderSize ?? DEFAULT_MAX_HEADER_BYTES,
    keepAliveTimeout: IDLE_MS,
    // The call has its own timeout, from dispatch to the last byte. undici's timeouts would abort long inference calls.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  return options.proxy
    ? new ProxyAgent({
        ...pool,
        uri: options.proxy,
        requestTls: { ...tls, timeout: connectors.timeout },
        proxyTls: { ...tls, timeout: connectors.timeout },
      })
    : new Agent({ ...pool, connect: tls });
}
