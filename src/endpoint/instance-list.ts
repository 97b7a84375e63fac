import type { DiscoveryOptions, EndpointSource } from "./endpoint-source.js";
import type { RouterTools } from "./router.js";

const INTERVAL_MS = 3_000;
/**
 * Default for `discovery.timeout`, in milliseconds. The official Python SDK waits for the first list just as long
 * (endpoint.py).
 */
const TIMEOUT_MS = 5_000;
/** Pause between two attempts to get the first list, in milliseconds. */
const PAUSE_MS = 200;

/** Options for `InstanceList`. */
export interface ListOptions extends Pick<DiscoveryOptions, "interval" | "timeout"> {
  readonly serviceName: string;
  readonly source: EndpointSource;
  /** Name used for the source in error messages. */
  readonly sourceName: string;
  readonly tools: RouterTools;
  /** Called with each list that contains at least one instance with a weight above 0. */
  onList(instances: readonly FoundInstance[]): void;
}

/**
 * Keeps the list of a service's instances. A stale list is refreshed when it is used instead of by a timer, because a
 * timer would keep an idle client's process alive.
 */
export class InstanceList {
  readonly #options: ListOptions;
  readonly #interval: number;
  readonly #timeout: number;
  readonly #life = new AbortController();
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #isLoaded = false;
  #refreshing: Promise<void> | undefined;
  #first: Promise<void> | undefined;

  constructor(options: ListOptions) {
    this.#options = options;
    this.#interval = options.interval ?? INTERVAL_MS;
    this.#timeout = options.timeout ?? TIMEOUT_MS;
  }

  /**
   * Returns undefined if a list is loaded, and refreshes a stale list in the background. Otherwise, returns a promise
   * that resolves when the first list is loaded. The promise rejects with an `EasDiscoveryError` if it cannot be loaded
   * in time.
   */
  use(): Promise<void> | undefined {
    if (!this.#isLoaded) {
      this.#first ??= this.#waitForFirst().finally(() => {
        this.#first = undefined;
      });
      return this.#first;
    }
    // A failed refresh leaves the list unchanged.
    if (this.#options.tools.clockNow() - this.#refreshedAt >= this.#interval) {
      this.#refresh(this.#timeout).catch(() => {});
    }
    return undefined;
  }

  /** Aborts a refresh in progress. */
  close(): void {
    this.#life.abort(new Error("the client was closed"));
  }

  async #waitForFirst(): Promise<void> {
    const startedAt = this.#options.tools.clockNow();
    let known: unknown;
    for (;;) {
      const left = this.#timeout - (this.#options.tools.clockNow() - startedAt);
      try {
        await this.#refresh(Math.max(1, left));
        return;
      } catch (error) {
        // Report an earlier failure, which is more informative than the timeout that ended the call.
        if (known === undefined || !(error instanceof SourceTimeout)) known = error;
        const isLast = this.#options.tools.clockNow() - startedAt + PAUSE_MS >= this.#timeout;
        if (isLast || this.#isFinal(error) || this.#life.signal.aborted) throw this.#noInstances(known);
      }
      // Closing the client rejects the pause. The next iteration reports the error.
      await this.#options.tools.pause(PAUSE_MS, this.#life.signal).catch(() => {});
    }
  }

  #noInstances(cause: unknown): Error {
    const { serviceName, sourceName, tools } = this.#options;
    const why = tools.messageOf(cause);
    const limit = this.#isFinal(cause) ? "" : ` within ${this.#timeout} ms`;
    const message = `no instance of ${serviceName} was found${limit} at ${sourceName}: ${why}`;
    return tools.discoveryError(message, sourceName, cause);
  }

  /** Gets a new list. Concurrent calls share one request. */
  #refresh(milliseconds: number): Promise<void> {
    this.#refreshing ??= this.#load(milliseconds).finally(() => {
      this.#refreshing = undefined;
      this.#refreshedAt = this.#options.tools.clockNow();
    });
    return this.#refreshing;
  }

  async #load(milliseconds: number): Promise<void> {
    const { source, serviceName, onList, tools } = this.#options;
    const deadline = new AbortController();
    const { signal: life } = this.#life;
    life.throwIfAborted();
    tools.linkSignal(life, deadline);
    const timer = setTimeout(
      () => deadline.abort(new SourceTimeout(`no response within ${Math.round(milliseconds)} ms`)),
      milliseconds,
    );
    // On Node, a refresh that hangs must not keep the process alive.
    if (this.#isLoaded) (timer as unknown as { unref?(): void }).unref?.();
    try {
      const query = { serviceName, signal: deadline.signal };
      // The async function turns an exception thrown by the source into a rejection.
      const loading = (async () => source(query))();
      // Do not rely on the source alone: it may ignore the signal and never settle.
      const list = readInstances(await tools.raceAbort(loading, deadline.signal));
      if (!list.some(({ weight }) => weight > 0)) throw new Error("no instance accepts calls");
      this.#isLoaded = true;
      onList(list);
    } finally {
      clearTimeout(timer);
      tools.unlinkSignal(life, deadline);
    }
  }

  /**
   * Whether a retry would fail in the same way, for example because the response is too large or a certificate is
   * invalid.
   */
  #isFinal(error: unknown): boolean {
    const { isError } = this.#options.tools;
    for (let each = error; isError(each); each = each.cause) {
      if ((each as { final?: unknown }).final === true) return true;
    }
    return false;
  }
}

/** Error for a source that did not respond in time. */
class SourceTimeout extends Error {}

/** An instance with a valid address. */
export interface FoundInstance {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Share of calls. An instance with weight 0 receives no calls. */
  readonly weight: number;
}

/** The weight that EAS assigns by default. */
const DEFAULT_WEIGHT = 100;

/**
 * Returns the valid instances in a list, without duplicates. If an instance is listed more than once, its last weight
 * is used, as in the official Python SDK. Throws a `TypeError` if the value is not iterable, or if it has items but no
 * valid instance.
 */
export function readInstances(list: unknown): FoundInstance[] {
  if (typeof list !== "object" || list === null || !(Symbol.iterator in list)) {
    throw new TypeError(`the list of instances is of type ${typeof list}: it must be an iterable of instances`);
  }
  const items = [...(list as Iterable<unknown>)];
  const weights = new Map<string, number>();
  for (const item of items) {
    const { protocol, host, port, weight } = (item ?? {}) as Record<string, unknown>;
    const origin = originOf(protocol ?? "http", host, port);
    if (origin !== undefined) weights.set(origin, weightOf(weight));
  }
  if (items.length > 0 && weights.size === 0) {
    throw new TypeError(`none of the ${items.length} instances has a valid host and port`);
  }
  return [...weights].map(([origin, weight]) => ({ origin, weight }));
}

function originOf(protocol: unknown, host: unknown, port: unknown): string | undefined {
  if (protocol !== "http" && protocol !== "https") return undefined;
  // Some servers send numbers as strings.
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
