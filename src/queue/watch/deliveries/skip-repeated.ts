import { checkCount } from "../../../config/validate.js";
import { argumentTypeError, show } from "../../../util/argument-errors.js";
import { checkOptionNames, type OptionNames } from "../../../util/option-names.js";

/** Options for recognizing copies of an item. */
export interface SkipRepeatedOptions {
  /**
   * Minimum number of request ids of committed items to remember. Up to twice as many are kept in memory, at about 100
   * bytes each. Default 10,000.
   */
  readonly remember?: number | undefined;
}

const SKIP_REPEATED_OPTIONS: OptionNames<SkipRepeatedOptions> = { remember: 1 };

const DEFAULT_REMEMBER = 10_000;

/** Returns the number of request ids to remember, or undefined for none. Throws a `TypeError` for an invalid value. */
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
