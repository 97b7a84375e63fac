/** The parts of an EAS host name. */
export interface EasHost {
  /** The service name, as spelled in the host name. Undefined for a gateway's host name. */
  readonly service: string | undefined;
  /** The gateway's host. */
  readonly gateway: string;
  /** Whether the gateway is the region's shared gateway. */
  readonly isShared: boolean;
}

const DOMAIN = ".pai-eas.aliyuncs.com";

/**
 * Parses an EAS host name: `[<service>.]<gateway>.<region>.pai-eas.aliyuncs.com`. For the shared gateway, `<gateway>`
 * is the account number, followed by `.vpc` inside a VPC. For a dedicated gateway, it is the gateway's id. Returns
 * undefined for any other host.
 */
export function easHost(hostname: string): EasHost | undefined {
  const host = hostname.toLowerCase().replace(/\.$/, "");
  if (!host.endsWith(DOMAIN)) return undefined;
  const labels = host.slice(0, -DOMAIN.length).split(".");
  const region = labels.pop();
  const last = labels.pop();
  const name = last === "vpc" ? `${labels.pop()}.vpc` : last;
  if (!name) return undefined;
  return {
    service: labels.length === 0 ? undefined : labels.join("."),
    gateway: `${name}.${region}${DOMAIN}`,
    isShared: /^\d+(\.vpc)?$/.test(name),
  };
}

/**
 * Whether two names refer to the same service. Ignores case and the difference between "-" and "_", because host names
 * are in lower case and contain "-" instead of "_".
 */
export function isSameService(a: string, b: string): boolean {
  return hostSpelling(a) === hostSpelling(b);
}

function hostSpelling(service: string): string {
  return service.toLowerCase().replace(/[_.]/g, "-");
}
