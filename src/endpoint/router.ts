import type { Transport } from "../platform/contract.js";
import type { isError, messageOf } from "../util/realms.js";
import type * as abort from "../util/timing/abort.js";
import type { clockNow } from "../util/timing/clock.js";

/**
 * Functions passed to a router, whose code is loaded on first use. If that code imported these functions, bundlers
 * would move them from a page's initial chunk to an additional file.
 */
export interface RouterTools extends Pick<typeof abort, "linkSignal" | "unlinkSignal" | "pause" | "raceAbort"> {
  readonly clockNow: typeof clockNow;
  readonly isError: typeof isError;
  readonly messageOf: typeof messageOf;
  /** Creates the error to throw when the first list of instances cannot be loaded. */
  discoveryError(message: string, source: string, cause: unknown): Error;
}

/** The dependencies of a router. */
export interface RouterHost {
  readonly transport: () => Transport;
  readonly env: (name: string) => string | undefined;
  readonly tools: RouterTools;
  /** Releases the resources of a removed instance once it has no attempts in flight. */
  forget(origin: string): void;
}

/** Selects the instance for each attempt. */
export interface Router {
  /**
   * Returns undefined if a list of instances is loaded. Otherwise, returns a promise that resolves when the first list
   * is loaded. The promise rejects with an `EasDiscoveryError` if it cannot be loaded in time.
   */
  ready(): Promise<void> | undefined;
  /**
   * Returns an instance for one attempt. A list must already be loaded. If possible, avoids the origins in `tried` and
   * instances with at least `capacity` attempts in flight.
   */
  pick(tried: readonly string[], capacity: number): Lease;
  /** The 95th percentile of recent response times in milliseconds. Undefined before the 32nd attempt. */
  readonly p95: number | undefined;
  /** Takes one hedge from the budget. Returns false if the budget is empty or all available instances are in `tried`. */
  takeHedge(tried: readonly string[]): boolean;
  /** Stops refreshing the list. */
  close(): void;
}

/** The selection of an instance for one attempt. */
export interface Lease {
  /** Scheme, host and port. */
  readonly origin: string;
  /**
   * Ends the lease. Must be called once. `atFault` is whether the instance caused a failure, or undefined if the
   * outcome says nothing about the instance. The duration of the lease counts toward `p95` unless `isStream` is true,
   * because a stream's duration depends on its length.
   */
  end(atFault: boolean | undefined, isStream?: boolean): void;
}
