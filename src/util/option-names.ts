import { argumentTypeError, show } from "./argument-errors.js";

/**
 * A table with the names of all options in `T`. If an option is added to `T` but not to a table of this type, the
 * code does not compile.
 */
export type OptionNames<T> = { readonly [Name in keyof T]-?: unknown };

/**
 * Returns a copy of `names` without the names in `omitted` and with the names in `added`. Bundlers can drop an
 * unused table if this call is marked as pure. They would keep a table that is built with a spread.
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
 * probably meant. Otherwise, the message ends with `advice` or with the list of all options.
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

/**
 * Throws a `TypeError` if the options of a request are not an object, or if an option has a name that is not in
 * `names`.
 */
export function checkRequestOptions(
  of: string,
  options: unknown,
  names: Readonly<Record<string, unknown>> = { compression: 1 },
): void {
  // In the official Python SDK, `TorchRequest(True)` enables Snappy. If the argument were ignored, the client would
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
    // Typing errors are rare at the start of a name, so the first four letters must match.
    known.find((each) => plainName(each).startsWith(wanted.slice(0, 4)));
  const remedy = meant ? `did you mean ${meant}?` : (advice ?? `the options are ${known.join(", ")}`);
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${of}: unknown option ${show(name)}; ${remedy}`);
}

/** Returns a name in lower case, without underscores and hyphens, because SDKs differ in these. */
function plainName(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}
