import type { Transport } from "../platform/contract.js";
import type { isError, messageOf } from "../util/realms.js";
import type * as abort from "../util/timing/abort.js";
import type { clockNow } from "../util/timing/clock.js";

/**
 * Functions that are passed to a router instead of being imported by it. The router's code is loaded on first use.
 * If it imported these functions, bundlers would move them from a page's initial chunk to an additional file.
 */
export interface RouterTools extends Pick<typeof abort, "linkSignal" | "unlinkSignal" | "pause" | "raceAbort"> {
  readonly clockNow: typeof clockNow;
  readonly isError: typeof isError;
  readonly messageOf: typeof messageOf;
  /** Creates the error for the case that the first list of instances could not be loaded. */
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
   * Returns undefined if a list of instances is loaded. Otherwise, returns a promise that resolves when the first
   * list is loaded. The promise rejects with an `EasDiscoveryError` if the list is not loaded in time.
   */
  ready(): Promise<void> | undefined;
  /**
   * Returns an instance for one attempt. A list must be loaded. Avoids the origins in `tried`, and instances with at
   * least `capacity` attempts in flight, if another instance is available.
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
   * outcome says nothing about the instance. The duration of the lease counts for `p95` unless `isStream` is true.
   * The duration of a stream depends on the length of the stream.
   */
  end(atFault: boolean | undefined, isStream?: boolean): void;
}
