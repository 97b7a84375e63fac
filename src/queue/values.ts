import { MAX_TIMER_MS } from "../config/options.js";
import { checkText } from "../endpoint/path.js";
import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";

/**
 * An item's index in a queue. If it is a number, it must be a safe integer, because indexes have up to 19 digits, which
 * a number cannot represent exactly.
 */
export type FrameIndex = bigint | number | string;

/** The maximum index. */
export const MAX_INDEX: bigint = 0xffff_ffff_ffff_ffffn;

/** Returns an index as a bigint. Throws a `TypeError` or `RangeError` unless it is an integer from 0 to 2^64 - 1. */
export function checkIndex(argument: string, value: FrameIndex): bigint {
  const index = toBigint(value);
  if (index === undefined || index < 0n || index > MAX_INDEX) {
    const make = typeof value === "number" || typeof value === "bigint" ? argumentRangeError : argumentTypeError;
    throw make(
      "ERR_EAS_ARG_INDEX",
      `${argument} is ${show(value)}: it must be an integer from 0 to 2^64 - 1, as a bigint, as decimal text or as a safe number`,
    );
  }
  return index;
}

/** Whether an index is -1, which some operations accept for the end of the queue (see the Java SDK's README). */
export function isLast(index: FrameIndex): boolean {
  return index === -1 || index === -1n || index === "-1";
}

/** Returns one or more indexes as bigints in the given order, without duplicates. */
export function checkIndexes(argument: string, value: FrameIndex | Iterable<FrameIndex>): bigint[] {
  if (typeof value !== "object" || value === null) return [checkIndex(argument, value)];
  if (!(Symbol.iterator in value)) {
    throw argumentTypeError(
      "ERR_EAS_ARG_INDEX",
      `${argument} is ${show(value)}: it must be an index or an array of indexes`,
    );
  }
  return [...new Set(Array.from(value, (index, i) => checkIndex(`${argument}[${i}]`, index)))];
}

function toBigint(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  return typeof value === "string" && /^\d{1,20}$/.test(value) ? BigInt(value) : undefined;
}

const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  // Go accepts both the micro sign and the Greek letter.
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const TERMS = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;

/** A waiting time, both as text for the queue service and in milliseconds. */
export interface Duration {
  /**
   * The duration in Go's syntax. Always includes the unit, because the service does not document the unit of a plain
   * number.
   */
  readonly text: string;
  readonly milliseconds: number;
}

/**
 * Parses a number of milliseconds or a Go duration such as `"5s"`, `"1m30s"` or `"500ms"`. Throws a `TypeError` for
 * other values, and a `RangeError` for durations that are negative or above the maximum delay of timers.
 */
export function checkDuration(argument: string, value: number | string): Duration {
  const milliseconds =
    typeof value === "number" ? Math.ceil(value) : typeof value === "string" ? parseDuration(value) : undefined;
  if (milliseconds === undefined) {
    throw argumentTypeError(
      "ERR_EAS_ARG_TIMEOUT",
      `${argument} is ${show(value)}: it must be milliseconds, or a duration with units such as "5s", "1m30s" or "500ms"`,
    );
  }
  if (!(milliseconds >= 0 && milliseconds <= MAX_TIMER_MS)) {
    throw argumentRangeError(
      "ERR_EAS_ARG_TIMEOUT",
      `${argument} is ${show(value)}: it must be milliseconds of at least 0, or a duration such as "5s", and at most ${MAX_TIMER_MS} ms, the maximum of timers`,
    );
  }
  return { text: typeof value === "number" ? `${milliseconds}ms` : value, milliseconds };
}

function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  let sum = 0;
  TERMS.lastIndex = 0;
  let end = 0;
  for (let term = TERMS.exec(text); term !== null; term = TERMS.exec(text)) {
    sum += Number(term[1]) * (MILLISECONDS[term[2] as string] as number);
    end = TERMS.lastIndex;
  }
  return end === text.length && end > 0 ? sum : undefined;
}

/** An item's tags, by name. The service returns them with the item. */
export type QueueTags = Readonly<Record<string, string>>;

/** The reserved tag for the id that the service assigns to each item. */
export const REQUEST_ID = "requestId";

/**
 * Returns tags as name-value pairs. Throws a `TypeError` for invalid or reserved names. `"without request id"` accepts
 * a received item's tags and omits the request id.
 */
export function checkTags(tags: QueueTags | undefined, which?: "without request id"): [string, string][] {
  if (tags === undefined) return [];
  if (typeof tags !== "object" || tags === null || Symbol.iterator in tags) {
    throw argumentTypeError("ERR_EAS_ARG_TAG", `tags is ${show(tags)}: it must be an object of strings`);
  }
  const pairs = Object.entries(tags).filter(([key]) => which === undefined || key !== REQUEST_ID);
  for (const [key, value] of pairs) {
    if (typeof value !== "string") {
      throw argumentTypeError("ERR_EAS_ARG_TAG", `tag ${show(key)} is ${show(value)}: its value must be a string`);
    }
    const why =
      key === ""
        ? "is empty"
        : key.startsWith("_")
          ? 'begins with "_", which is reserved for the service'
          : key === REQUEST_ID
            ? "is reserved: use the requestId option of get and put"
            : undefined;
    if (why !== undefined)
      throw argumentTypeError("ERR_EAS_ARG_TAG", `tag ${show(key)} cannot be used: its key ${why}`);
    checkText("ERR_EAS_ARG_TAG", `tag ${show(key)}`, `${key} ${value}`);
  }
  return pairs;
}

/** Returns a valid request id. Throws a `TypeError` for other values. */
export function checkRequestId(requestId: string): string {
  if (typeof requestId === "string" && requestId !== "") {
    checkText("ERR_EAS_ARG_TAG", "requestId", requestId);
    return requestId;
  }
  throw argumentTypeError(
    "ERR_EAS_ARG_TAG",
    `requestId is ${show(requestId)}: it must be a non-empty string, such as the one that put returned`,
  );
}
