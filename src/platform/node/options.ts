import { argumentRangeError, argumentTypeError, optionError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { isBytes } from "../../util/realms.js";
import { checkConnectionOptions } from "./http/connector.js";
import { type ProxyOf, proxyOption } from "./proxy.js";

/** One or more certificates, or a private key, as PEM text or bytes. */
export type Pem = string | Uint8Array;

/**
 * Options for `nodeTransport`.
 *
 * @example
 * const transport = nodeTransport({ connections: 20, proxy: "http://127.0.0.1:3128" });
 */
export interface NodeTransportOptions {
  /** Maximum number of connections to one host. Default 100. */
  readonly connections?: number | undefined;
  /**
   * URL of an HTTP proxy, `http://` or `https://`, including credentials if the proxy requires them. Requests to
   * `https:` endpoints and WebSockets go through a tunnel (`CONNECT`). Requests to `http:` endpoints are sent to the
   * proxy itself. `"environment"` uses the proxies in the environment variables `HTTP_PROXY` and `HTTPS_PROXY`, except
   * for the hosts in `NO_PROXY`. The variables are read when the transport is created. Default: no proxy.
   */
  readonly proxy?: string | URL | undefined;
  /** Certificates of the authorities to trust instead of Node's default authorities. */
  readonly ca?: Pem | readonly Pem[] | undefined;
  /** The client's certificate chain. Requires `key`. */
  readonly cert?: Pem | readonly Pem[] | undefined;
  /** The unencrypted private key for `cert`. */
  readonly key?: Pem | readonly Pem[] | undefined;
  /**
   * Maximum time to establish a connection, including a proxy tunnel and the TLS handshake, in milliseconds, from 1 to
   * 2,147,483,647. Default 10,000.
   */
  readonly connectTimeout?: number | undefined;
  /** Maximum size of the response headers in bytes, from 1,024 to 16,777,216. Default 262,144 (256 KiB). */
  readonly maxHeaderSize?: number | undefined;
  /**
   * Whether a connection can be used for more than one request. Default true. If false, each request opens a new
   * connection, which requires a handshake. This prevents a faulty server or proxy from answering a request with bytes
   * from another response.
   */
  readonly reuseConnections?: boolean | undefined;
}

/** The checked options for connections that carry requests, streams and WebSockets. */
export interface ConnectSettings {
  readonly connections: number;
  readonly connectTimeout: number;
  readonly maxHeaderSize: number;
  /** Selects the proxy for each target. Undefined if no target has a proxy. */
  readonly proxyOf: ProxyOf | undefined;
  /** A `SecureContext` from `node:tls`. Declared as `object` because some users do not install Node's types. */
  readonly secureContext: object | undefined;
}

/** Default maximum number of connections to one host, as in the official SDKs. */
const DEFAULT_CONNECTIONS = 100;
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
/**
 * Default maximum size of response headers, in bytes. Some gateways send large cookies or policy headers, which
 * exceed Node's default of 16 KiB.
 */
const DEFAULT_MAX_HEADER_BYTES = 262_144;

const NODE_TRANSPORT_OPTIONS: OptionNames<NodeTransportOptions> = {
  connections: 1,
  proxy: 1,
  ca: 1,
  cert: 1,
  key: 1,
  connectTimeout: 1,
  maxHeaderSize: 1,
  reuseConnections: 1,
};

/** Checks the options that describe how connections are established. Throws a `TypeError` or `RangeError`. */
export function checkConnect(options: NodeTransportOptions): ConnectSettings {
  checkOptionNames("nodeTransport", options, NODE_TRANSPORT_OPTIONS);
  const { connections = DEFAULT_CONNECTIONS, connectTimeout = DEFAULT_CONNECT_TIMEOUT_MS, proxy } = options;
  if (!Number.isSafeInteger(connections) || connections < 1) {
    throw argumentRangeError(
      "ERR_EAS_ARG_OPTION",
      `connections is ${show(connections)}: it must be an integer of at least 1`,
    );
  }
  checkConnectionOptions(options);
  return {
    connections,
    connectTimeout,
    maxHeaderSize: options.maxHeaderSize ?? DEFAULT_MAX_HEADER_BYTES,
    proxyOf: proxyOption(proxy),
    secureContext: secureContextOf(options),
  };
}

/** Returns the TLS settings, or undefined if Node's defaults apply. */
function secureContextOf({ ca, cert, key }: NodeTransportOptions): object | undefined {
  const pems = { ca: pemsOf("ca", ca), cert: pemsOf("cert", cert), key: pemsOf("key", key) };
  if ((pems.cert === undefined) !== (pems.key === undefined)) {
    const [given, missing] = pems.cert ? ["cert", "key"] : ["key", "cert"];
    throw argumentTypeError("ERR_EAS_ARG_OPTION", `${given} is given without ${missing}: both are needed`);
  }
  if (pems.ca === undefined && pems.cert === undefined) return undefined;
  const { X509Certificate } = process.getBuiltinModule("node:crypto");
  for (const name of ["ca", "cert"] as const) {
    for (const pem of pems[name] ?? []) {
      try {
        // Check the certificate here, because Node ignores certificates that it cannot read.
        new X509Certificate(pem);
      } catch (error) {
        throw unreadable(name, error);
      }
    }
  }
  try {
    const { ca, cert, key } = pems;
    return process.getBuiltinModule("node:tls").createSecureContext({ ...(ca && { ca }), ...(cert && { cert, key }) });
  } catch (error) {
    throw unreadable("cert or key", error);
  }
}

function unreadable(name: string, error: unknown): TypeError {
  const { code } = error as { code?: unknown };
  return argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `${name} cannot be read (${String(code ?? (error as Error).message)}): it must be valid PEM, and a key must match its cert and not be encrypted`,
  );
}

function pemsOf(name: string, value: Pem | readonly Pem[] | undefined): Buffer[] | undefined {
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? (value as readonly Pem[]) : [value as Pem];
  if (list.length === 0) throw optionError(name, "[]", "contain at least one PEM, or be left out");
  return list.map((pem) => {
    // The message must not contain the value, which may be a private key.
    if (typeof pem !== "string" && !isBytes(pem)) {
      const type = pem === null ? "null" : typeof pem;
      throw argumentTypeError(
        "ERR_EAS_ARG_OPTION",
        `${name} has a value of type ${type}: it must be PEM as a string or bytes (a Buffer), or a list of them`,
      );
    }
    const bytes = typeof pem === "string" ? Buffer.from(pem) : Buffer.from(pem.buffer, pem.byteOffset, pem.length);
    if (!bytes.includes("-----BEGIN ")) {
      throw argumentTypeError(
        "ERR_EAS_ARG_OPTION",
        `${name} is not PEM: it must contain "-----BEGIN …"; read files first, and convert DER to PEM`,
      );
    }
    return bytes;
  });
}
