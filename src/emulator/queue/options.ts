import { optionError, show } from "../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../util/option-names.js";
import type { EmulatorHandler } from "../services/service.js";

/** Where a queue keeps what must survive the process: one line for each change. */
export interface EmulatorQueueLog {
  /** All lines of before, in order. A last line that was cut off may be among them. */
  load(): Promise<string[]> | string[];
  /**
   * Keeps a line, which has no line break in it. The first call comes after `load`, and each after the one before has
   * resolved; the answers to requests wait for it.
   */
  append(line: string): void | Promise<void>;
}

type Optional<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

/** What may be set of how a queue behaves; `QUEUE_DEFAULTS` has the rest. */
export interface EmulatorQueueOptions extends Optional<QueueSettings> {
  /** Makes the queue an asynchronous inference service: this consumes the input queue and its answers go to the sink. */
  readonly service?: EmulatorHandler | undefined;
  /** The queue's token. Default the emulator's; `""` takes every caller. */
  readonly token?: string | undefined;
  /** Most items of the sink. Default: `maxLength`. */
  readonly sinkMaxLength?: number | undefined;
  /** Keeps items, commits and the end, so that a new emulator with the same log goes on where this one was. */
  readonly log?: EmulatorQueueLog | undefined;
  /** The clock in milliseconds. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/**
 * How a queue behaves. "Invented" marks what no source tells; the real service may differ there, and an SDK must not build
 * on it.
 */
export interface QueueSettings {
  /** `"time"`: `ms << 22 | sequence`, 19 digits, which finds every use of a number. `"counter"`: 1, 2, 3. Both are seen. */
  readonly indexShape: "time" | "counter";
  /** Most items of the input queue, announced as `stream.approxMaxLength`. Invented. */
  readonly maxLength: number;
  /** Most bytes of an item, announced as `meta.maxPayloadBytes`. Invented; a page says "typically 8 KB". */
  readonly maxPayloadBytes: number;
  /** Answer to a larger item. Invented. */
  readonly tooLargeStatus: number;
  /** Answer to a put when the queue is full. Invented. */
  readonly fullStatus: number;
  /** Answer to a parameter that cannot be read, and to a put after the end. Invented. */
  readonly badParameterStatus: number;
  /** How often an item is tried before it is dead; `Infinity`: for ever. 5 is from memory. */
  readonly maxDeliveries: number;
  /** What counts as a try: negative commits only, or every push. Invented: 1 is said to mean "no retry after an error". */
  readonly triesCounted: "negatives" | "deliveries";
  /** What becomes of a dead item. Invented. */
  readonly deadItems: "drop" | "rear";
  /** A `_timeout_` without a unit: seconds, as if it were absent, or an error. Sources contradict each other. */
  readonly bareTimeout: "seconds" | "ignore" | "reject";
  /** Answer to a get in protobuf that finds nothing: 204, or 200 with an empty list. JSON is always answered with 204. */
  readonly emptyGet: 200 | 204;
  /** A get that finds fewer items than its `_length_`: wait for more until the timeout, or answer at once. */
  readonly partialGet: "wait" | "answer";
  /** `_index_` of a get that has none: 0 is the head. */
  readonly getIndex: bigint;
  /** `_length_` of a get that has none. */
  readonly getLength: number;
  /** `_timeout_` of a get that has none, in milliseconds. Not above 0: programs test readiness by a bare GET. */
  readonly getTimeout: number;
  /** `_auto_delete_` of a get that has none. Not true: a bare GET would take an item. */
  readonly getAutoDelete: boolean;
  /** `_raw_` of a get that has neither it nor an `Accept` of a list: the first item's data as the body. */
  readonly getRaw: boolean;
  /** `_window_` of a watch that has none. Invented. */
  readonly watchWindow: number;
  /** A second watch of one user in one group: takes the first one's place, or is answered with 409. Invented. */
  readonly sameUid: "takeover" | "refuse";
  /** Close code for the connection whose place is taken. Invented. */
  readonly takeoverCode: number;
  /** Whether a negative commit with a code that the Go SDK's rule refuses is an error. Invented; Go does not check. */
  readonly strictNegative: boolean;
  /**
   * Milliseconds for which a group without consumers still counts as live: a commit in another group keeps items for live
   * groups. Invented; 0 is "a commit deletes" as the documents say it.
   */
  readonly groupGrace: number;
  /** Milliseconds after which a consumer that left is no longer shown as `Leaving`. Invented. */
  readonly leavingTime: number;
  /** Group of a caller that names none. */
  readonly defaultGroup: string;
  /** Names of request headers as the attributes announce them; those of the official Python SDK are always taken. */
  readonly userHeader: string;
  readonly groupHeader: string;
  /** The official SDKs learn this name from the attributes, so any will do. Invented. */
  readonly priorityHeader: string;
  /** Attribute `meta.backend`. Invented. */
  readonly backend: string;
  /** How many items the service works on at once. */
  readonly workers: number;
  /** The latest pushes, commits and so on that are kept for tests to look at. */
  readonly historyLength: number;
}

/** The one table of defaults. */
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
  deadItems: ["drop", "rear"],
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

/** Options with the defaults in the places of those that are absent. Throws for a value that is none. */
export function settingsOf(options: EmulatorQueueOptions): QueueSettings {
  checkOptionNames("queue options", options, QUEUE_OPTIONS);
  const settings: Record<string, unknown> = {};
  for (const [name, fallback] of Object.entries(QUEUE_DEFAULTS)) {
    const value = options[name as keyof QueueSettings] ?? fallback;
    const choices: readonly unknown[] | undefined = CHOICES[name as keyof QueueSettings];
    if (typeof value !== typeof fallback || Number.isNaN(value) || (choices && !choices.includes(value))) {
      const right = choices ? choices.map(show).join(" or ") : `a ${typeof fallback}`;
      throw optionError(name, value, `be ${right}`);
    }
    settings[name] = value;
  }
  return settings as unknown as QueueSettings;
}
