/** A host name of EAS, as the console shows it. */
export interface EasHost {
  /** The only service that the host leads to, as the host spells it; undefined for a gateway, which leads to all. */
  readonly service: string | undefined;
  /** The host of the gateway. */
  readonly gateway: string;
  /** Whether the gateway is the region's shared one. */
  readonly isShared: boolean;
}

const DOMAIN = ".pai-eas.aliyuncs.com";

/**
 * Takes a host name of EAS apart: `[<service>.]<gateway>.<region>.pai-eas.aliyuncs.com`. The shared gateway is named by the
 * account's number, with `.vpc` behind it inside a VPC; a dedicated gateway by its id. Undefined for any other host.
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

/** Whether two spellings name one service. Host names are in lower case and have "-" in place of "_". */
export function isSameService(a: string, b: string): boolean {
  return hostSpelling(a) === hostSpelling(b);
}

function hostSpelling(service: string): string {
  return service.toLowerCase().replace(/[_.]/g, "-");
}
