import type { Transport } from "../platform/contract.js";
import type { isError, messageOf } from "../util/realms.js";
import type * as abort from "../util/timing/abort.js";
import type { clockNow } from "../util/timing/clock.js";

/**
 * Functions that are passed to a router instead of imported. Its code is loaded on first use, and bundlers would
 * move modules that it shares with the start of a page into an additional file.
 */
export interface RouterTools extends Pick<typeof abort, "linkSignal" | "unlinkSignal" | "pause" | "raceAbort"> {
  readonly clockNow: typeof clockNow;
  readonly isError: typeof isError;
  readonly messageOf: typeof messageOf;
  /** Creates the error for a first list that is not available. */
  discoveryError(message: string, source: string, cause: unknown): Error;
}

/** The dependencies of a router. */
export interface RouterHost {
  readonly transport: () => Transport;
  readonly env: (name: string) => string | undefined;
  readonly tools: RouterTools;
  /** Releases the resources of an instance that was removed and has no attempt in flight. */
  forget(origin: string): void;
}

/** Selects the instance for each attempt. */
export interface Router {
  /**
   * Returns undefined if a list of instances is loaded. Otherwise returns a promise for the first list, which
   * rejects with an `EasDiscoveryError` if there is none in time.
   */
  ready(): Promise<void> | undefined;
  /**
   * Returns an instance for one attempt. A list must be loaded. Avoids the origins in `tried` and instances with at
   * least `capacity` attempts in flight, unless there is no other instance.
   */
  pick(tried: readonly string[], capacity: number): Lease;
  /** The 95th percentile of recent response times in milliseconds. Undefined before the 32nd attempt. */
  readonly p95: number | undefined;
  /** Takes one hedge from the budget. Returns false if the budget is used up or there is no instance besides `tried`. */
  takeHedge(tried: readonly string[]): boolean;
  /** Stops refreshing the list. */
  close(): void;
}

/** The use of an instance by one attempt. */
export interface Lease {
  /** Scheme, host and port. */
  readonly origin: string;
  /**
   * Ends the lease. Must be called once. `atFault` is whether the instance caused a failure, or undefined if the
   * outcome says nothing about it. The duration counts for `p95` unless `isStream` is true, because it then depends
   * on the length of the stream.
   */
  end(atFault: boolean | undefined, isStream?: boolean): void;
}
