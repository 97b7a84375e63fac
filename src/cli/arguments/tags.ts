import { usageError } from "../exit-codes.js";

/** Returns the tags of `--tag name=value` options. Throws a usage error if a tag has no value. */
export function tagsOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      if (equals > 0) return [pair.slice(0, equals), pair.slice(equals + 1)];
      throw usageError(`--tag ${JSON.stringify(pair)} has no value: write it as name=value`);
    }),
  );
}
