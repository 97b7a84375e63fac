import { argumentTypeError, show } from "./argument-errors.js";

/**
 * A table with the names of all options in `T`. The code does not compile if an option is added to `T` but not to the
 * table.
 */
export type OptionNames<T> = { readonly [Name in keyof T]-?: unknown };

/**
 * Returns a copy of `names` without the names in `omitted` and with the names in `added`. If the call is marked as
 * pure, bundlers can drop an unused table, which they would keep if it were built with a spread.
 */
export function changeNames<A extends object, L extends keyof A = never, B extends object = object>(
  names: A,
  omitted: readonly L[],
  added?: B,
): Omit<A, L> & B {
  const changed = { ...names, ...added } as Record<string, unknown>;
  for (const name of omitted) delete changed[name as string];
  return changed as Omit<A, L> & B;
}

/**
 * Throws a `TypeError` for the first option that `names` does not list. The message suggests the option that was
 * probably meant or, if there is none, ends with `advice` or a list of all options.
 */
export function checkOptionNames(
  of: string,
  options: object | undefined,
  names: Readonly<Record<string, unknown>>,
  advice?: string,
): void {
  for (const name in options) {
    if (!Object.hasOwn(names, name)) throw unknownOption(of, name, names, advice);
  }
}

/** Throws a `TypeError` if a request's options are not an object or contain a name that is not in `names`. */
export function checkRequestOptions(
  of: string,
  options: unknown,
  names: Readonly<Record<string, unknown>> = { compression: 1 },
): void {
  // Do not ignore other values: in the official Python SDK, `TorchRequest(True)` enables Snappy, so the client would
  // send a body that the service cannot read.
  if (typeof options !== "object" || options === null) {
    throw argumentTypeError(
      "ERR_EAS_ARG_REQUEST",
      `${of} accepts options such as { compression }, not ${show(options)}`,
    );
  }
  checkOptionNames(of, options, names);
}

function unknownOption(of: string, name: string, names: Readonly<Record<string, unknown>>, advice?: string): TypeError {
  const known = Object.keys(names);
  const wanted = plainName(name)
    .replace("apikey", "token")
    .replace("baseurl", "endpoint")
    .replace(/^(max)?retries/, "retrycount")
    .replace(/^abort/, "");
  const meant =
    known.find((each) => plainName(each) === wanted) ??
    // The first four letters must match, because typing errors are rare at the start of a name.
    known.find((each) => plainName(each).startsWith(wanted.slice(0, 4)));
  const remedy = meant ? `did you mean ${meant}?` : (advice ?? `the options are ${known.join(", ")}`);
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${of}: unknown option ${show(name)}; ${remedy}`);
}

/** Returns a name in lower case, without underscores and hyphens, because SDKs differ in these. */
function plainName(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}
