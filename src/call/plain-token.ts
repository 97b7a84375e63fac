import type { CallPlan } from "./call-plan.js";

/** Matches loopback, link-local and private addresses, and the range 100.64.0.0/10, which cloud services use. */
const PRIVATE_IPV4 =
  /^(0|10|127)\.|^192\.168\.|^169\.254\.|^172\.(1[6-9]|2\d|3[01])\.|^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./;
const PRIVATE_IPV6 = /^\[(::1?\]|f[cd]|fe[89ab]|::ffff:)/;
/** Matches names that public DNS does not resolve (RFC 2606, 6761, 6762, 8375) and Kubernetes service names. */
const PRIVATE_NAME = /\.(localhost|local|internal|svc|test|invalid|example|lan|home\.arpa)$/;
/** Matches endpoints inside a VPC: `<uid>.vpc.<region>.pai-eas…`, `pai-eas-vpc.<region>…`. */
const VPC = /(^|[.-])vpc[.-]/;

/** Whether requests to a host go over the public internet. `host` has the format of `URL.hostname`. */
export function isPublicHost(host: string): boolean {
  if (host.startsWith("[")) return !PRIVATE_IPV6.test(host);
  if (/^[\d.]+$/.test(host)) return !PRIVATE_IPV4.test(host);
  // Only internationalized top-level domains contain digits or hyphens.
  return /\.([a-z]{2,}|xn--[a-z0-9-]+)$/.test(host) && !PRIVATE_NAME.test(host) && !VPC.test(host);
}

/** Warns if a call sends its token to a public host, because any network on the path can read the token. */
export function warnOfPlainToken({ target: { origin, isInternal }, logger }: CallPlan): void {
  const { hostname } = new URL(origin);
  if (isInternal || !isPublicHost(hostname)) return;
  (logger ?? console).warn(
    `eas-prediction: the token is sent to ${hostname} over plain http, where any network on the path can read it. Use an endpoint with https://, or the VPC endpoint inside a VPC`,
  );
}
