import { argumentTypeError, show } from "../argument-errors.js";

/** The error for an option that cannot be right: `right` says what it must do. */
export function optionError(name: string, value: unknown, right: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${name} is ${show(value)}: it must ${right}`);
}
