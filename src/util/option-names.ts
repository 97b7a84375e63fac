import { argumentTypeError, show } from "./argument-errors.js";

/**
 * The names of the options in `T`. Declared with this type, a table lists every option: adding an option to the type
 * without adding it to the table does not compile.
 */
export type OptionNames<T> = { readonly [Name in keyof T]-?: unknown };

/**
 * Returns a copy of `names` without `omitted` and with `added`. A call that is marked as pure lets bundlers drop
 * unused tables; they would keep a spread.
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
 * probably meant; otherwise it ends with `advice`, or with the list of all options.
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

/** Throws a `TypeError` if the options of a request object are not an object, or have a name that is not in `names`. */
export function checkRequestOptions(
  of: string,
  options: unknown,
  names: Readonly<Record<string, unknown>> = { compression: 1 },
): void {
  // In the official Python SDK, `TorchRequest(True)` enables Snappy. Ignoring it would send a body that the service
  // cannot read.
  if (typeof options !== "object" || options === null) {
    throw argumentTypeError("ERR_EAS_ARG_REQUEST", `${of} takes options such as { compression }, not ${show(options)}`);
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
    // Typing errors are rare in the first letters, so these must match.
    known.find((each) => plainName(each).startsWith(wanted.slice(0, 4)));
  const remedy = meant ? `did you mean ${meant}?` : (advice ?? `the options are ${known.join(", ")}`);
  return argumentTypeError("ERR_EAS_ARG_OPTION", `${of}: unknown option ${show(name)}; ${remedy}`);
}

/** Returns a name without case, underscores and hyphens, which differ between SDKs. */
function plainName(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}
