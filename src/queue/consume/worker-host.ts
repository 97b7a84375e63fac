import type { DataFrame } from "../frame.js";
import type { FrameIndex } from "../values.js";
import type { WatchOptions } from "../watch/options.js";
import type { PutTarget } from "./handler.js";

/** Counters and state of a worker. */
export interface WorkerStats {
  /** Number of items in work, whose handlers are running or whose outcome is being sent to the service. */
  readonly inWork: number;
  /** Number of items whose handler succeeded. */
  readonly handled: number;
  /** Number of failed attempts. An item that fails twice counts twice. */
  readonly failed: number;
  /** Number of items that were given to `deadLetter`. */
  readonly deadLettered: number;
  /** The last error from a handler, a reply, a dead letter or the connection. Undefined if no error has occurred. */
  readonly lastError: unknown;
  /** Whether the connection to the queue is open. */
  readonly connected: boolean;
}

/** The members of a watcher that `consume` uses. */
export interface ConsumedWatcher extends AsyncIterator<DataFrame, undefined> {
  readonly closed: Promise<void>;
  readonly isClosed: boolean;
  next(): Promise<IteratorResult<DataFrame, undefined>>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** The counters of a worker, in a form that its code can change. */
export type MutableStats = { -readonly [Name in keyof WorkerStats]: WorkerStats[Name] };

/** The client of a worker. */
export interface WorkerHost extends PutTarget {
  watch(index: FrameIndex, window: number, options: WatchOptions): ConsumedWatcher;
  warn(message: string): void;
}
