import { type CheckResult, ok, problem, warning } from "./result.js";
import { isLoopback, parseUrl } from "./steps.js";
import type { Subject } from "./subject.js";

/** Returns the finding for client options that are invalid, or that name no address. */
export function invalidOptions(error: Error): CheckResult {
  const { code } = error as Error & { code?: unknown };
  const isOfAddress = code === undefined || code === "ERR_EAS_ARG_ENDPOINT" || code === "ERR_EAS_ARG_SERVICE_NAME";
  if (!isOfAddress) return problem("options-invalid", error.message, "Correct this option, and run the command again.");
  return problem(
    "address-invalid",
    error.message,
    "Correct --endpoint and --service, or the environment variables EAS_ENDPOINT and EAS_SERVICE_NAME.",
  );
}

/** Checks the form of the address. Sends nothing. */
export function checkAddress({ url, token }: Subject): CheckResult {
  const { protocol, hostname, href } = url;
  if (protocol === "http:" && token !== undefined && !isLoopback(hostname) && !isPrivate(hostname)) {
    return warning(
      "address-plain-http",
      `${href} is a public address without TLS, so everyone on the way can read the token`,
      "Use https:// if the gateway supports it.",
    );
  }
  return ok("address", href);
}

/** Whether a host is inside a VPC by its form. */
function isPrivate(host: string): boolean {
  return /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)|(\.|-)vpc\.|\.(svc|internal|local)$|^[^.]+$/.test(host);
}

/** Checks the environment variables for proxies. A client uses a proxy only if its transport is configured with it. */
export function checkProxy({ url, env }: Subject): CheckResult {
  const names = url.protocol === "https:" ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy", "HTTP_PROXY"];
  const name = names.find((name) => env[name]);
  const value = name === undefined ? undefined : env[name];
  if (name === undefined || value === undefined) return ok("proxy", "the environment names no proxy for this address");
  // A proxy URL can contain a password, so only its host is shown.
  const proxy = hostOf(value);
  if (proxy === undefined) {
    return problem(
      "proxy-invalid",
      `${name} is not a URL`,
      `Set ${name} to a URL such as http://proxy.example.com:3128.`,
    );
  }
  const noProxy = env.no_proxy || env.NO_PROXY || "";
  if (isExcluded(url, noProxy)) return ok("proxy", `${name} names ${proxy}, and NO_PROXY excludes ${url.hostname}`);
  return warning(
    "proxy-not-used",
    `${name} names ${proxy}, but clients connect directly unless they are configured with a proxy`,
    'If direct connections fail, create the client with transport: nodeTransport({ proxy: "environment" }). Otherwise, ignore this warning.',
  );
}

function hostOf(text: string): string | undefined {
  return parseUrl(text.includes("://") ? text : `http://${text}`)?.host || undefined;
}

/** Whether `NO_PROXY` excludes an address: by `*`, by its host, or by a suffix of its host. */
function isExcluded({ hostname, port }: URL, noProxy: string): boolean {
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      const [, name = "", wanted] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (wanted !== undefined && wanted !== port) return false;
      return entry === "*" || hostname === name || hostname.endsWith(`.${name}`);
    });
}
