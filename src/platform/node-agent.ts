import type { Dispatcher } from "undici";

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
  /** Maximum time to establish a connection, in milliseconds. Default 10,000. */
  readonly connectTimeout?: number | undefined;
  /**
   * Number of threads that compute the MD5 of signed bodies of at least 128 KiB, so that the event loop is not blocked. Each thread
   * keeps memory for its largest body so far. Default 0: the event loop is blocked for about 1.2 ms per megabyte.
   */
  readonly hashThreads?: number | undefined;
}

/** Default maximum number of connections to one host, as in the official SDKs. */
const DEFAULT_CONNECTIONS = 100;
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
/**
 * How long an idle connection is kept when the server sends no `Keep-Alive` header. It is shorter than the idle timeout of known
 * servers: some close after 5 s (Node's own server) or 15 s. With a `Keep-Alive` header, undici closes 2 s before the stated time.
 */
const IDLE_MS = 4_000;

/** Loads undici and creates the dispatcher that these options describe. */
export async function makeAgent(options: NodeTransportOptions): Promise<Dispatcher> {
  const { Agent, ProxyAgent } = await import("undici");
  const { ca, cert, key } = options;
  const tls = { ...(ca && { ca: ca as string[] }), ...(cert && { cert }), ...(key && { key }) };
  const pool = {
    connections: options.connections ?? DEFAULT_CONNECTIONS,
    connectTimeout: options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT_MS,
    keepAliveTimeout: IDLE_MS,
    // The call has its own timeout, from dispatch to the last byte. undici's timeouts would abort long inference calls.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  return options.proxy
    ? new ProxyAgent({ ...pool, uri: options.proxy, requestTls: tls, proxyTls: tls })
    : new Agent({ ...pool, connect: tls });
}
