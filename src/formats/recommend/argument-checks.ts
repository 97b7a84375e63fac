import { argumentRangeError, argumentTypeError, type EasArgumentErrorCode, show } from "../../util/argument-errors.js";
import { typedArrayName } from "../../util/realms.js";
import { checkFullName, checkName } from "../tensor/request-inputs.js";

/** Matches one half of a surrogate pair. With the `u` flag, a complete pair is one character and does not match. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Returns a string, or throws a `RangeError` if UTF-8 cannot encode it. The error message begins with `of`. */
export function checkText(of: string, value: string, code: EasArgumentErrorCode): string {
  if (LONE_SURROGATE.test(value)) {
    throw argumentRangeError(
      code,
      `${of} is ${show(value)}, which contains an unpaired surrogate: UTF-8 cannot encode it, so remove it`,
    );
  }
  return value;
}

/** Returns an argument, or throws if it is not a string that UTF-8 can encode. */
export function checkString(argument: string, value: string): string {
  return checkText(argument, checkName(argument, value), "ERR_EAS_ARG_FEED");
}

/** Checks a feature name or a metadata key and returns the text. The text must not be empty. */
export function checkFeatureName(argument: string, value: string): string {
  return checkText(argument, checkFullName(argument, value), "ERR_EAS_ARG_FEED");
}

/** Checks an item id and returns the text to send. */
export function itemIdText(id: unknown): string {
  if (typeof id === "bigint") return id.toString();
  if (typeof id === "string") return checkText("id", id, "ERR_EAS_ARG_FEED");
  if (typeof id !== "number") {
    throw argumentTypeError("ERR_EAS_ARG_FEED", `id is ${show(id)}: it must be a string, an integer or a bigint`);
  }
  if (!Number.isSafeInteger(id)) {
    throw argumentRangeError(
      "ERR_EAS_ARG_FEED",
      `id is ${show(id)}: a number must be an integer within ±(2^53 - 1); pass other ids as strings or bigints`,
    );
  }
  return id.toString();
}

/** Checks a metadata value and returns the text to send. */
export function metaText(key: string, value: unknown): string {
  const of = `the value of metadata ${show(key)}`;
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") return checkText(of, value, "ERR_EAS_ARG_CONTENT");
  if (typeof value !== "number") {
    throw argumentTypeError(
      "ERR_EAS_ARG_CONTENT",
      `${of} is ${show(value)}: it must be a string, a number or a bigint; convert other values to the string that the service expects`,
    );
  }
  if (!Number.isFinite(value)) {
    throw argumentRangeError(
      "ERR_EAS_ARG_CONTENT",
      `${of} is ${show(value)}: it must be finite; otherwise pass the string that the service expects`,
    );
  }
  return value.toString();
}

/** Whether a value is an array or a typed array. */
export function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || typedArrayName(value) !== undefined;
}
