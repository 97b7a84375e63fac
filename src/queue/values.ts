import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";

/**
 * The index of an item in a queue. Indexes have up to 19 digits, which a number cannot represent exactly, so a number must
 * be a safe integer.
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

/** Whether an index is -1, which some operations accept for the end of the queue (README of the Java SDK). */
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
