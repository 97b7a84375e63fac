/** What is known of an instance when it is found. */
export interface FoundInstance {
  /** Scheme, host and port. */
  readonly origin: string;
  /** 0 when it is to get no calls. */
  readonly weight: number;
}

/** What EAS gives to instances that nobody gave another weight. */
const DEFAULT_WEIGHT = 100;

/**
 * The instances that can be called, each once; of those named twice the last weight counts, as in the official Python SDK.
 * Throws when it is no list, or nothing in it is an instance.
 */
export function readInstances(list: unknown): FoundInstance[] {
  if (typeof list !== "object" || list === null || !(Symbol.iterator in list)) {
    throw new TypeError(`the list of instances is of type ${typeof list}: it must be a list`);
  }
  const items = [...(list as Iterable<unknown>)];
  const weights = new Map<string, number>();
  for (const item of items) {
    const { protocol, host, port, weight } = (item ?? {}) as Record<string, unknown>;
    const origin = originOf(protocol ?? "http", host, port);
    if (origin !== undefined) weights.set(origin, weightOf(weight));
  }
  if (items.length > 0 && weights.size === 0) {
    throw new TypeError(`none of ${items.length} instances has a host and a port`);
  }
  return [...weights].map(([origin, weight]) => ({ origin, weight }));
}

function originOf(protocol: unknown, host: unknown, port: unknown): string | undefined {
  if (protocol !== "http" && protocol !== "https") return undefined;
  // Some servers write numbers as text.
  if (typeof host !== "string" || (typeof port !== "number" && typeof port !== "string")) return undefined;
  if (!/^[1-9]\d{0,4}$/.test(String(port)) || Number(port) > 65_535) return undefined;
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  if (!/^[\w.-]+$|^[\da-fA-F:.]+$/.test(bare)) return undefined;
  const url = `${protocol}://${bare.includes(":") ? `[${bare}]` : bare}:${port}`;
  try {
    return new URL(url).origin;
  } catch {
    return undefined;
  }
}

function weightOf(weight: unknown): number {
  const value = typeof weight === "string" && weight.trim() !== "" ? Number(weight) : weight;
  return typeof value === "number" && Number.isFinite(value) ? Math.max(0, value) : DEFAULT_WEIGHT;
}
