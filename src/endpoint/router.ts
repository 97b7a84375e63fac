import type { Transport } from "../platform/contract.js";
import type { isError, messageOf } from "../util/realms.js";
import type * as abort from "../util/timing/abort.js";
import type { clockNow } from "../util/timing/clock.js";

/**
 * Functions that a router is given and does not import: its code is loaded on first use, and bundlers would split what it shared
 * with the start of a page into one more file there.
 */
export interface RouterTools extends Pick<typeof abort, "linkSignal" | "unlinkSignal" | "pause" | "raceAbort"> {
  readonly clockNow: typeof clockNow;
  readonly isError: typeof isError;
  readonly messageOf: typeof messageOf;
  /** Creates the error for a list that did not come. */
  discoveryError(message: string, source: string, cause: unknown): Error;
}

/** What a router works with. */
export interface RouterHost {
  readonly transport: () => Transport;
  readonly env: (name: string) => string | undefined;
  readonly tools: RouterTools;
  /** An instance is no longer there, and no attempt on it is under way. */
  forget(origin: string): void;
}

/** Chooses the instance for each attempt. */
export interface Router {
  /**
   * Undefined when there is a list of instances; else a wait for the first one, which rejects with an `EasDiscoveryError`
   * when there is none in time.
   */
  ready(): Promise<void> | undefined;
  /**
   * An instance for one attempt, when there is a list. Not one of `tried`, nor one with `capacity` attempts under way, where
   * there are others.
   */
  pick(tried: readonly string[], capacity: number): Lease;
  /** The milliseconds within which 95 of 100 attempts were answered lately; undefined until enough is known. */
  readonly p95: number | undefined;
  /** Whether a second attempt may be made beside one under way: there is an instance for it, and not too many were made. */
  takeHedge(tried: readonly string[]): boolean;
  /** Asks for no more lists. */
  close(): void;
}

/** One attempt's use of an instance. */
export interface Lease {
  /** Scheme, host and port. */
  readonly origin: string;
  /**
   * To be called once at the end: whether the instance was at fault; undefined when the attempt tells nothing of it. How long it
   * took counts for `p95`, unless the answer came piece by piece: that one takes as long as it is.
   */
  end(atFault: boolean | undefined, isStream?: boolean): void;
}
