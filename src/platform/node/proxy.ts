import { argumentTypeError, show } from "../../util/argument-errors.js";
import { tagOf } from "../../util/realms.js";
import { processVariable } from "../environment.js";

/** Returns the proxy for a target, or undefined for a direct connection. `protocol` is `http:` or `https:`. */
export type ProxyOf = (target: {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: string;
}) => HttpProxy | undefined;

/** An HTTP proxy. */
export interface HttpProxy {
  /** The proxy's URL without credentials. */
  readonly url: URL;
  /** The value of `Proxy-Authorization`. Undefined if the URL has no credentials. */
  readonly authorization: string | undefined;
}

/** Checks the option `proxy` and returns the function that selects the proxy for each target. */
export function proxyOption(value: string | URL | undefined): ProxyOf | undefined {
  if (value === undefined) return undefined;
  if (value === "environment") return environmentProxies();
  const proxy = checkProxy(value);
  return () => proxy;
}

/** Checks the URL of a proxy. Error messages begin with `name`, and do not contain the credentials in the URL. */
function checkProxy(value: string | URL, name = "proxy"): HttpProxy {
  const wrong = (right: string) => {
    const shown =
      typeof value === "string" || tagOf(value) === "URL" ? show(withoutCredentials(String(value))) : show(value);
    return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${shown}: it must ${right}`);
  };
  if (typeof value !== "string" && tagOf(value) !== "URL") throw wrong('be a URL such as "http://127.0.0.1:3128"');
  const text = String(value).trim();
  if (text === "") throw wrong("be a URL, or be left out for connections without a proxy");
  if (!text.includes("://")) throw wrong(`have a scheme: ${show(`http://${withoutCredentials(text)}`)}`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong('be a URL such as "http://127.0.0.1:3128"');
  }
  const { protocol, pathname, search, hash, username, password } = url;
  if (protocol !== "http:" && protocol !== "https:") {
    throw wrong("begin with http:// or https://; SOCKS and other proxies are not supported");
  }
  if (pathname !== "/" || search !== "" || hash !== "") throw wrong("have no path, query or fragment");
  url.username = "";
  url.password = "";
  if (username === "" && password === "") return { url, authorization: undefined };
  const credentials = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64");
  return { url, authorization: `Basic ${credentials}` };
}

function withoutCredentials(text: string): string {
  const at = text.lastIndexOf("@");
  if (at === -1) return text;
  const scheme = /^[a-z][a-z\d+.-]*:\/\//i.exec(text)?.[0] ?? "";
  return `${scheme}${text.slice(at + 1)}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Reads the proxies of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, with the rules of undici's `EnvHttpProxyAgent`. Names
 * in lower case take precedence. `HTTP_PROXY` also applies to https if `HTTPS_PROXY` is not set. Throws a `TypeError`
 * that names the variable for an invalid URL. The message does not contain the credentials in the URL.
 */
function environmentProxies(): ProxyOf | undefined {
  // In a CGI program, HTTP_PROXY is set by a header "Proxy" of the caller.
  const isCgi = processVariable("REQUEST_METHOD") !== undefined;
  const http = proxyOf("http_proxy") ?? (isCgi ? undefined : proxyOf("HTTP_PROXY"));
  const https = proxyOf("https_proxy") ?? proxyOf("HTTPS_PROXY") ?? http;
  if (http === undefined && https === undefined) return undefined;
  const isExempt = exemptions(processVariable("no_proxy") ?? processVariable("NO_PROXY") ?? "");
  return ({ protocol, hostname, port }) => {
    const isSecure = protocol === "https:";
    const host = hostname.toLowerCase().replace(/^\[|\]$/g, "");
    if (isExempt(host, port || (isSecure ? "443" : "80"))) return undefined;
    return isSecure ? https : http;
  };
}

function proxyOf(name: string): HttpProxy | undefined {
  const value = processVariable(name)?.trim();
  if (!value) return undefined;
  return checkProxy(value.includes("://") ? value : `http://${value}`, `the proxy in the environment variable ${name}`);
}

/** Returns whether a list of hosts contains a host or one of its parent domains. */
function exemptions(list: string): (hostname: string, port: string) => boolean {
  const entries = list.split(/[,\s]+/).filter(Boolean);
  if (entries.includes("*")) return () => true;
  const parsed = entries.map((entry) => {
    // An IPv6 address without brackets has colons, but no port.
    const [, name = entry, port] = /^([^:]+|\[.*\]):(\d+)$/.exec(entry) ?? [];
    return { port, hostname: name.replace(/^\*?\.|^\[|\]$/g, "").toLowerCase() };
  });
  return (hostname, port) =>
    parsed.some(
      (entry) =>
        (entry.port === undefined || entry.port === port) &&
        (hostname === entry.hostname || hostname.endsWith(`.${entry.hostname}`)),
    );
}
