import { argumentTypeError, show } from "../../util/argument-errors.js";

/** Names of the loopback interface. Browsers resolve all names below `localhost` to it. */
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;

/** Decides from the `Host` header whether a request is accepted. */
export type HostCheck = (host: string | undefined) => boolean;

/**
 * Returns a check that accepts loopback names and the names in `hosts`. It protects against DNS rebinding: a web page
 * whose host name resolves to 127.0.0.1 has the same origin as
 * the emulator. However, its requests contain the page's own host name in the `Host` header.
 */
export function hostCheck(hosts: readonly string[] | "*" = []): HostCheck {
  if (hosts === "*") return () => true;
  if (!Array.isArray(hosts)) throw badHosts("is", hosts);
  const checks = hosts.map(checkOf);
  return (host) => {
    // Accept requests without the header, because only HTTP/1.0 clients omit it; browsers always send it.
    if (host === undefined) return true;
    const name = nameOf(host);
    return name !== undefined && (LOOPBACK.test(name) || checks.some((matches) => matches(name)));
  };
}

function checkOf(pattern: unknown): (name: string) => boolean {
  if (pattern === "*") return () => true;
  const isWildcard = typeof pattern === "string" && pattern.startsWith("*.");
  const name = typeof pattern === "string" ? hostname(isWildcard ? pattern.slice(2) : pattern) : undefined;
  if (name === undefined) throw badHosts("has", pattern);
  return isWildcard ? (host) => host.endsWith(`.${name}`) : (host) => host === name;
}

/** Returns the name in a `Host` header, without its port; undefined if the header is malformed. */
function nameOf(host: string): string | undefined {
  return hostname(host.replace(/:\d*$/, ""));
}

/**
 * Returns the canonical form of a host name, as browsers send it; undefined for text that contains other parts of a
 * URL.
 */
function hostname(text: string): string | undefined {
  if (!/^([^\s:/?#@\\*[\]]+|\[[\da-f:.]+\])$/i.test(text) || !URL.canParse(`http://${text}`)) return undefined;
  return new URL(`http://${text}`).hostname.replace(/\.$/, "");
}

function badHosts(verb: string, value: unknown): TypeError {
  return argumentTypeError(
    "ERR_EAS_ARG_OPTION",
    `hosts ${verb} ${show(value)}: it must be a list of host names without scheme and port, such as "host.docker.internal" or "*.aliyuncs.com", or "*" for all`,
  );
}
