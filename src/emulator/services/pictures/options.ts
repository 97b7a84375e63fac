import { argumentRangeError, optionError, show } from "../../../util/argument-errors.js";

/** Throws a `TypeError` unless an option is a list of names. */
export function checkNames(name: string, value: readonly string[]): void {
  if (Array.isArray(value) && value.every((each) => typeof each === "string" && each !== "")) return;
  throw optionError(name, value, "be a list of names");
}

/** Returns a count, or its default. Throws a `RangeError` unless it is an integer of at least 1. */
export function checkCount(name: string, value: number | undefined, fallback: number): number {
  const count = value ?? fallback;
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw argumentRangeError("ERR_EAS_ARG_OPTION", `${name} is ${show(count)}: it must be an integer of at least 1`);
}
