import { checkCount, checkFunction, checkSignal, checkTimeout } from "../../config/validate.js";
import { argumentRangeError, argumentTypeError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import { refuseUndefined } from "../options.js";
import { checkTags, type QueueTags } from "../tags.js";
import { checkIndex, type FrameIndex, isLast } from "../values.js";
import { checkSkipRepeated, type SkipRepeatedOptions } from "./deliveries/skip-repeated.js";

/** Over what a watch runs: a WebSocket, an HTTP answer that does not end, or one get after another. */
export type WatchTransport = "websocket" | "http" | "poll";

/** When a broken watch is made again. */
export interface ReconnectOptions {
  /**
   * Maximum number of reconnects in a row without a good connection, after which the watcher gives up with the error. A
   * connection is good when it brings an item that the watcher does not have, or lasts 2 s. Once a watch has been open, refusals
   * such as 401 and 404 count like any other failure. Default: no limit.
   */
  readonly attempts?: number | undefined;
  /** Milliseconds before the first try; they double with each failure, and vary at random. Default 200. */
  readonly minDelay?: number | undefined;
  /** The most milliseconds before a try. Default 10,000. */
  readonly maxDelay?: number | undefined;
}

/** What a watcher says of its connection. */
export type WatchStatus =
  | { readonly state: "open"; readonly transport: WatchTransport }
  /** `failures` counts those in a row, `delay` is in milliseconds. */
  | { readonly state: "reconnecting"; readonly cause: unknown; readonly failures: number; readonly delay: number }
  /** For good; `error` is what the iteration ends with, undefined when it simply ends. */
  | { readonly state: "closed"; readonly error: unknown };

/** Options of a watch. */
export interface WatchOptions {
  /** Only indexes and tags come, and no data. Default false. */
  readonly indexOnly?: boolean | undefined;
  /** The service commits each item as it sends it: at most once, and without a window. Default false. */
  readonly autoCommit?: boolean | undefined;
  /** Only items with these tags. All consumers of a group must ask for the same. Throws for `undefined`. */
  readonly tags?: QueueTags;
  /**
   * Default `"auto"`: a WebSocket where the runtime can send headers with it, otherwise an HTTP stream, or polling where the
   * transport has no streams. An HTTP stream keeps a connection of the client's, whose `maxConnectionCount` must be at least 2.
   * Polled items belong to no consumer: all consumers of a group get each item, and a commit deletes it for every group. The
   * logger is warned of that unless `autoCommit` is set.
   */
  readonly transport?: WatchTransport | "auto" | undefined;
  /**
   * When a broken connection is made again. `false`: never; the iteration then ends with the connection, and with an error
   * unless the server ended it in good order. Default: for ever.
   */
  readonly reconnect?: ReconnectOptions | false | undefined;
  /** Receives the state of the connection. If it fails, that is logged once and the watch continues. */
  readonly onStatus?: ((status: WatchStatus) => void) | undefined;
  /**
   * Whether an item is skipped when an item of the same request id was committed by this watcher before. A skipped item is
   * committed and not handed out. A put that was sent twice, by a browser or by the caller after `maybeAccepted`, is then
   * handled once. While the first copy is with the caller, others wait for its outcome: if it is returned to the queue, the
   * next copy is handed out. Copies that the service gives to different consumers are not recognised. Do not use it where
   * items share a request id on purpose, as several results of one request do. Default false; true remembers 10,000 ids.
   */
  readonly skipRepeated?: boolean | SkipRepeatedOptions | undefined;
  /** Closes the watcher; the iteration then rejects with its reason. */
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

/** Options of a watch, checked and complete. */
export interface WatchSettings {
  /** Undefined: only items that are put from now on. */
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
  /** How many request ids to remember; undefined where repeated items are not skipped. */
  readonly remember: number | undefined;
  readonly signal: AbortSignal | undefined;
}

const TRANSPORTS: readonly unknown[] = ["auto", "websocket", "http", "poll"];

/** Checks what a watch is asked for. `index` is where it begins, -1 for only what is put from now on. */
export function checkWatch(index: FrameIndex, window: number, options: WatchOptions): WatchSettings {
  if (typeof options !== "object" || options === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_WATCH",
      `watch takes options such as { autoCommit: true }, not ${show(options)}`,
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
      `window is ${show(window)}: it must be an integer of at least 1, the maximum of delivered items that are not committed`,
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
