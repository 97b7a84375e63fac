import { checkCount, checkFunction, checkSignal, checkTimeout } from "../../config/validate.js";
import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { refuseUndefined } from "../options.js";
import { checkIndex, checkTags, type FrameIndex, isLast, type QueueTags } from "../values.js";

/** The transport of a watch: a WebSocket, a streamed HTTP response, or repeated gets. */
export type WatchTransport = "websocket" | "http" | "poll";

/** Reconnect options for a watch. */
export interface ReconnectOptions {
  /**
   * Maximum number of consecutive reconnects without a good connection. After that many, the watcher ends with the last
   * error. A connection is good if it delivers a new item or lasts for at least 2 s. Once the first connection has
   * opened, refusals such as 401 and 404 count like any other failure. Default: no limit.
   */
  readonly attempts?: number | undefined;
  /**
   * Delay before the first reconnect in milliseconds. The delay doubles with each failure and includes random jitter.
   * Default 200.
   */
  readonly minDelay?: number | undefined;
  /** Maximum delay before a reconnect in milliseconds. Default 10,000. */
  readonly maxDelay?: number | undefined;
}

/** The state of a watcher's connection. */
export type WatchStatus =
  | { readonly state: "open"; readonly transport: WatchTransport }
  /** `failures` is the number of consecutive failures. `delay` is in milliseconds. */
  | { readonly state: "reconnecting"; readonly cause: unknown; readonly failures: number; readonly delay: number }
  /** The watcher does not reconnect. `error` is the error of the iteration, or undefined if it ends without one. */
  | { readonly state: "closed"; readonly error: unknown };

/** Options for recognizing copies of an item. */
export interface SkipRepeatedOptions {
  /**
   * Minimum number of committed items' request ids to remember. The watcher keeps at most twice as many ids in memory,
   * at about 100 bytes each. Default 10,000.
   */
  readonly remember?: number | undefined;
}

/** Options for `QueueClient.watch`. */
export interface WatchOptions {
  /** Whether the service sends only indexes and tags, without data. Default false. */
  readonly indexOnly?: boolean | undefined;
  /**
   * Whether the service commits each item when it sends it. If so, delivery is at most once, and there is no window.
   * Default false.
   */
  readonly autoCommit?: boolean | undefined;
  /**
   * Watches only for items with these tags. All consumers in a group must use the same tags. Throws if the value is
   * `undefined`.
   */
  readonly tags?: QueueTags;
  /**
   * The transport. Default `"auto"`: a WebSocket if the runtime can send headers with it, otherwise an HTTP stream,
   * otherwise polling. An HTTP stream occupies one of the client's connections, so `maxConnectionCount` must be at
   * least 2. Polled items are not assigned to a consumer: all consumers in a group receive each item, and a commit
   * deletes the item for every group. The client logs a warning about this unless `autoCommit` is true.
   */
  readonly transport?: WatchTransport | "auto" | undefined;
  /**
   * Options for reconnects. `false` disables reconnects: the iteration then ends when the connection ends, and it
   * rejects with an error unless the server closed the connection normally. Default: the watcher reconnects
   * indefinitely.
   */
  readonly reconnect?: ReconnectOptions | false | undefined;
  /**
   * Called when the connection's state changes. If the callback throws, a warning is logged and the watch continues.
   */
  readonly onStatus?: ((status: WatchStatus) => void) | undefined;
  /**
   * Whether to skip an item if this watcher has already committed an item with the same request id. A skipped item is
   * committed without being delivered, so a put that was sent twice is handled only once. A put can be sent twice by a
   * browser, or by an application after `maybeAccepted`.
   *
   * Other copies wait until the first copy is settled. If the first copy is returned to the queue, the next one is
   * delivered. Copies sent to different consumers are not recognized. Do not use this option if items share a request
   * id intentionally, such as several results of one request. Default false. With true, the watcher remembers 10,000
   * ids.
   */
  readonly skipRepeated?: boolean | SkipRepeatedOptions | undefined;
  /** Closes the watcher. The iteration then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const WATCH_OPTIONS: OptionNames<WatchOptions> = {
  indexOnly: 1,
  autoCommit: 1,
  tags: 1,
  transport: 1,
  reconnect: 1,
  onStatus: 1,
  skipRepeated: 1,
  signal: 1,
};

const RECONNECT_OPTIONS: OptionNames<ReconnectOptions> = { attempts: 1, minDelay: 1, maxDelay: 1 };

/** Validated watch options, with defaults. */
export interface WatchSettings {
  /** The start index. Undefined to watch only for new items. */
  readonly start: bigint | undefined;
  readonly window: number;
  readonly indexOnly: boolean;
  readonly autoCommit: boolean;
  readonly tags: readonly (readonly [string, string])[];
  readonly transport: WatchTransport | "auto";
  readonly attempts: number;
  readonly minDelay: number;
  readonly maxDelay: number;
  readonly onStatus: ((status: WatchStatus) => void) | undefined;
  /** Number of request ids to remember. Undefined if `skipRepeated` is not set. */
  readonly remember: number | undefined;
  readonly signal: AbortSignal | undefined;
}

const TRANSPORTS: readonly unknown[] = ["auto", "websocket", "http", "poll"];

/**
 * Checks the arguments of `watch` and adds the defaults. Throws a `TypeError` or `RangeError` for an invalid argument.
 */
export function checkWatch(index: FrameIndex, window: number, options: WatchOptions): WatchSettings {
  if (typeof options !== "object" || options === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `watch accepts options such as { autoCommit: true }, not ${show(options)}`,
    );
  }
  checkOptionNames("watch", options, WATCH_OPTIONS);
  refuseUndefined("watch", ["tags"], options);
  const { indexOnly = false, autoCommit = false, tags, transport = "auto", reconnect = {}, onStatus, signal } = options;
  for (const [name, value] of Object.entries({ indexOnly, autoCommit })) {
    if (typeof value !== "boolean") {
      throw argumentTypeError("ERR_EAS_ARG_WATCH", `${name} is ${show(value)}: it must be true or false`);
    }
  }
  if (!TRANSPORTS.includes(transport)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `transport is ${show(transport)}: it must be one of ${TRANSPORTS.join(", ")}`,
    );
  }
  if (!Number.isSafeInteger(window) || window < 1) {
    throw argumentRangeError(
      "ERR_EAS_ARG_WATCH",
      `window is ${show(window)}: it must be an integer of at least 1, the maximum number of delivered items without a commit`,
    );
  }
  if (reconnect !== false && (typeof reconnect !== "object" || reconnect === null)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `reconnect is ${show(reconnect)}: it must be false or options such as { attempts: 3 }`,
    );
  }
  if (reconnect) checkOptionNames("reconnect", reconnect, RECONNECT_OPTIONS);
  const { attempts = Number.POSITIVE_INFINITY, minDelay = 200, maxDelay = 10_000 } = reconnect || { attempts: 0 };
  return {
    start: isLast(index) ? undefined : checkIndex("index", index),
    window,
    indexOnly,
    autoCommit,
    tags: checkTags(tags),
    transport,
    attempts: attempts === Number.POSITIVE_INFINITY ? attempts : checkCount("reconnect.attempts", attempts, 0),
    minDelay: checkTimeout("reconnect.minDelay", minDelay),
    maxDelay: checkTimeout("reconnect.maxDelay", maxDelay),
    remember: checkSkipRepeated(options.skipRepeated),
    onStatus: onStatus === undefined ? undefined : checkFunction("onStatus", onStatus),
    signal: signal === undefined ? undefined : checkSignal(signal),
  };
}

const SKIP_REPEATED_OPTIONS: OptionNames<SkipRepeatedOptions> = { remember: 1 };

const DEFAULT_REMEMBER = 10_000;

/**
 * Returns the number of request ids to remember, or undefined if no ids are remembered. Throws a `TypeError` for an
 * invalid value.
 */
export function checkSkipRepeated(value: boolean | SkipRepeatedOptions | undefined): number | undefined {
  if (value === undefined || value === false) return undefined;
  if (value === true) return DEFAULT_REMEMBER;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `skipRepeated is ${show(value)}: it must be true, false or options such as { remember: 1000 }`,
    );
  }
  checkOptionNames("skipRepeated", value, SKIP_REPEATED_OPTIONS);
  const { remember = DEFAULT_REMEMBER } = value;
  return checkCount("skipRepeated.remember", remember, 1);
}
