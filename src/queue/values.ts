import { argumentRangeError, argumentTypeError, show } from "../util/argument-errors.js";

/**
 * The index of an item in a queue. Real ones have up to 19 digits, which a number cannot hold: a number is taken only when
 * it is a safe integer.
 */
export type FrameIndex = bigint | number | string;

/** The greatest index that there can be. */
export const MAX_INDEX: bigint = 0xffff_ffff_ffff_ffffn;

/** An index as a bigint: an integer from 0 to 2^64 - 1. */
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

/** Whether it is the -1 by which some operations know the end of the queue (the Java SDK's README). */
export function isLast(index: FrameIndex): boolean {
  return index === -1 || index === -1n || index === "-1";
}

/** One index or many, each once, in the order in which they were given. */
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
