import { optionError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import type { EmulatorHandler, EmulatorService } from "../services/service.js";

/** Persistent storage for a queue. Each line is one change. */
export interface EmulatorQueueLog {
  /** Returns all lines that were appended, in order. The last line may be incomplete. */
  load(): Promise<string[]> | string[];
  /**
   * Appends a line, which does not contain a line break. Called after `load`, and only after the previous call has
   * resolved. Responses are sent once their changes have been appended.
   */
  append(line: string): void | Promise<void>;
}

type Optional<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

/** Options for a queue. `QUEUE_DEFAULTS` contains the default values of the settings. */
export interface EmulatorQueueOptions extends Optional<QueueSettings> {
  /**
   * Makes the queue an asynchronous inference service: it processes the items of the input queue and writes to the sink. Of an
   * object, only `handle`, `decompressor` and `compressor` apply.
   */
  readonly service?: EmulatorHandler | EmulatorService | undefined;
  /** Token of the queue; `""` accepts every caller. Default: the emulator's token. */
  readonly token?: string | undefined;
  /** Maximum number of items in the sink. Default: `maxLength`. */
  readonly sinkMaxLength?: number | undefined;
  /**
   * Persists items, commits and the end of the queue, so that a new emulator with the same log continues from the saved
   * state.
   */
  readonly log?: EmulatorQueueLog | undefined;
  /** Returns the current time in milliseconds. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/**
 * Settings of an emulated queue. "Assumed" marks settings for undocumented behavior. The real service may behave
 * differently, so clients must not depend on it.
 */
export interface QueueSettings {
  /**
   * Format of the indexes. `"time"` is `ms << 22 | sequence`. Such an index has 19 digits, which exposes code that
   * converts indexes to a `number`. `"counter"` counts 1, 2, 3. Both formats occur on EAS.
   */
  readonly indexShape: "time" | "counter";
  /** Maximum number of items in the input queue, reported as `stream.approxMaxLength`. Assumed. */
  readonly maxLength: number;
  /**
   * Maximum size of an item in bytes, reported as `meta.maxPayloadBytes`. Assumed; one documentation page says
   * "typically 8 KB".
   */
  readonly maxPayloadBytes: number;
  /** Response status for a put whose item is too large. Assumed. */
  readonly tooLargeStatus: number;
  /** Response status for a put to a full queue. Assumed. */
  readonly fullStatus: number;
  /** Response status for a request with an invalid parameter and for a put after the queue has ended. Assumed. */
  readonly badParameterStatus: number;
  /** Maximum number of attempts to deliver an item; `Infinity` for no limit. Assumed. */
  readonly maxDeliveries: number;
  /**
   * Whether only negative commits or all deliveries count as attempts. Assumed, because the documentation describes a
   * maximum of 1 as "no retry after an error".
   */
  readonly triesCounted: "negatives" | "deliveries";
  /** Whether an item is dropped after its last attempt, or moved to the dead-letter queue. Assumed. */
  readonly deadItems: "drop" | "dead-letter";
  /**
   * Treatment of a `_timeout_` without a unit: read as seconds, ignored, or rejected. The available sources
   * contradict each other.
   */
  readonly bareTimeout: "seconds" | "ignore" | "reject";
  /** Status of an empty protobuf response to a get: 204, or 200 with an empty list. An empty JSON response is always 204. */
  readonly emptyGet: 200 | 204;
  /** Behavior of a get that finds fewer items than its `_length_`: wait until the timeout or respond immediately. */
  readonly partialGet: "wait" | "answer";
  /** Default `_index_` of a get; 0 is the head of the queue. */
  readonly getIndex: bigint;
  /** Default `_length_` of a get. */
  readonly getLength: number;
  /**
   * Default `_timeout_` of a get, in milliseconds. Keep it at 0, because programs test readiness with a plain GET
   * request.
   */
  readonly getTimeout: number;
  /** Default `_auto_delete_` of a get. Keep it false, because a plain GET request would otherwise remove an item. */
  readonly getAutoDelete: boolean;
  /**
   * Default `_raw_` of a get whose `Accept` header does not request a list. The body of a raw response is the data of
   * the first item.
   */
  readonly getRaw: boolean;
  /** Default `_window_` of a watch. Assumed. */
  readonly watchWindow: number;
  /**
   * Effect of a second watch by the same user in the same group: it replaces the first watch or is refused with status
   * 409. Assumed.
   */
  readonly sameUid: "takeover" | "refuse";
  /** Close code for a replaced connection. Assumed. */
  readonly takeoverCode: number;
  /**
   * Whether to reject negative commits whose code violates the Go SDK's rule, which that SDK does not enforce itself.
   * Assumed.
   */
  readonly strictNegative: boolean;
  /**
   * Time for which a group without consumers still counts as active, in milliseconds. When one group commits an item,
   * the queue keeps the item for the other active groups. Assumed; 0 corresponds to the documentation, where a commit
   * deletes the item.
   */
  readonly groupGrace: number;
  /** Time for which a former consumer is reported as `Leaving`, in milliseconds. Assumed. */
  readonly leavingTime: number;
  /** Default group of a caller. */
  readonly defaultGroup: string;
  /**
   * Name of the request header that contains the user name, as reported in the attributes. The Python SDK's header is
   * always accepted.
   */
  readonly userHeader: string;
  /** Name of the request header that contains the group. */
  readonly groupHeader: string;
  /**
   * Name of the request header that contains the priority. The official SDKs read this name from the attributes.
   * Assumed.
   */
  readonly priorityHeader: string;
  /** Value of the attribute `meta.backend`. Assumed. */
  readonly backend: string;
  /** Number of items that the service processes concurrently. */
  readonly workers: number;
  /** Number of recent pushes, commits and other events to keep for tests. */
  readonly historyLength: number;
}

/** Defaults for all queue settings. */
export const QUEUE_DEFAULTS: QueueSettings = {
  indexShape: "time",
  maxLength: 100_000,
  maxPayloadBytes: 8 * 1024 * 1024,
  tooLargeStatus: 413,
  fullStatus: 429,
  badParameterStatus: 400,
  maxDeliveries: 5,
  triesCounted: "negatives",
  deadItems: "drop",
  bareTimeout: "seconds",
  emptyGet: 204,
  partialGet: "wait",
  getIndex: 0n,
  getLength: 1,
  getTimeout: 0,
  getAutoDelete: false,
  getRaw: true,
  watchWindow: 1,
  sameUid: "takeover",
  takeoverCode: 4409,
  strictNegative: false,
  groupGrace: 0,
  leavingTime: 10_000,
  defaultGroup: "eas",
  userHeader: "X-EAS-QueueService-Redis-Uid",
  groupHeader: "X-EAS-QueueService-Redis-Gid",
  priorityHeader: "X-EAS-QueueService-Priority",
  backend: "memory",
  workers: 1,
  historyLength: 100_000,
};

const CHOICES: { readonly [Name in keyof QueueSettings]?: readonly QueueSettings[Name][] } = {
  indexShape: ["time", "counter"],
  triesCounted: ["negatives", "deliveries"],
  deadItems: ["drop", "dead-letter"],
  bareTimeout: ["seconds", "ignore", "reject"],
  emptyGet: [200, 204],
  partialGet: ["wait", "answer"],
  sameUid: ["takeover", "refuse"],
};

const QUEUE_OPTIONS: OptionNames<EmulatorQueueOptions> = {
  ...QUEUE_DEFAULTS,
  service: 1,
  token: 1,
  sinkMaxLength: 1,
  log: 1,
  now: 1,
};

/** Returns the settings with their defaults. Throws a `TypeError` for unknown and invalid options. */
export function settingsOf(options: EmulatorQueueOptions): QueueSettings {
  checkOptionNames("queue options", options, QUEUE_OPTIONS);
  const settings: Record<string, unknown> = {};
  for (const [name, fallback] of Object.entries(QUEUE_DEFAULTS)) {
    const value = options[name as keyof QueueSettings] ?? fallback;
    const choices: readonly unknown[] | undefined = CHOICES[name as keyof QueueSettings];
    if (typeof value !== typeof fallback || Number.isNaN(value) || (choices && !choices.includes(value))) {
      const expected = choices ? choices.map(show).join(" or ") : `a ${typeof fallback}`;
      throw optionError(name, value, `be ${expected}`);
    }
    settings[name] = value;
  }
  return settings as unknown as QueueSettings;
}
