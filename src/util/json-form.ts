import { isBytes, isMap, typedArrayName } from "./realms.js";

/**
 * Converts a value to a form that `JSON.stringify` accepts. Bigints become decimal strings, typed arrays become
 * arrays, maps become objects, and bytes inside an array become text.
 */
export function jsonForm(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (isMap(value)) return formOf(value as Iterable<readonly [string, unknown]>);
  if (Array.isArray(value) || typedArrayName(value) !== undefined) {
    return Array.from(value as ArrayLike<unknown>, (each) =>
      isBytes(each) ? new TextDecoder().decode(each) : jsonForm(each),
    );
  }
  return formOf(Object.entries(value));
}

function formOf(entries: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  return Object.fromEntries(Array.from(entries, ([name, value]) => [name, jsonForm(value)]));
}

/**
 * Returns the JSON text of a value, truncated after `length` characters. Bigints become decimal strings. Never
 * throws.
 */
export function jsonExcerpt(value: unknown, length: number): string {
  try {
    const text = JSON.stringify(jsonForm(value)) ?? String(value);
    return text.length > length ? `${text.slice(0, length)}…` : text;
  } catch {
    return "a value that is too large or nested too deeply to show";
  }
}
