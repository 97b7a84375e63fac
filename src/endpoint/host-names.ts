/** The parts of an EAS host name. */
export interface EasHost {
  /** The name of the service, as spelled in the host name. Undefined for the host name of a gateway. */
  readonly service: string | undefined;
  /** The host of the gateway. */
  readonly gateway: string;
  /** Whether the gateway is the shared gateway of the region. */
  readonly isShared: boolean;
}

const DOMAIN = ".pai-eas.aliyuncs.com";

/**
 * Parses an EAS host name: `[<service>.]<gateway>.<region>.pai-eas.aliyuncs.com`. For the shared gateway,
 * `<gateway>` is the number of the account, followed by `.vpc` inside a VPC. For a dedicated gateway, it is the id
 * of the gateway. Returns undefined for any other host.
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

/** Whether two names refer to the same service. Host names are in lower case and contain "-" instead of "_". */
export function isSameService(a: string, b: string): boolean {
  return hostSpelling(a) === hostSpelling(b);
}

function hostSpelling(service: string): string {
  return service.toLowerCase().replace(/[_.]/g, "-");
}
