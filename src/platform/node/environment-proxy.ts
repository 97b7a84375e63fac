import { processVariable } from "../environment.js";
import { checkProxy, type HttpProxy, type ProxyOf } from "./options.js";

/**
 * Reads the proxies of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, with the rules of undici's `EnvHttpProxyAgent`: names
 * in lower case take precedence, and `HTTP_PROXY` also applies to https if `HTTPS_PROXY` is not set. Throws a `TypeError`
 * that names the variable for an invalid URL. The message does not contain the credentials in the URL.
 */
export function environmentProxies(): ProxyOf | undefined {
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
