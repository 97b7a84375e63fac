import { tagOf } from "../../util/realms.js";

/** Deepest nesting that is sent. Many servers accept less. */
export const MAX_DEPTH = 1000;

/** A value within an input: the keys that lead to it, and the values from the input itself to this one. */
export interface Place {
  /** Begins with the empty key of the input itself. */
  readonly keys: PropertyKey[];
  readonly values: unknown[];
}

/** Returns a value as JSON text; `undefined` if `JSON.stringify` would leave out or change a part of it without an error. */
export function jsonText(value: object): string | undefined {
  return isJson(value, "", { keys: [], values: [] }) ? JSON.stringify(value) : undefined;
}

/**
 * Whether JSON holds the whole value, which is `key` of the container at `place`. If it does not, `place` is afterwards that of
 * the first value that JSON cannot hold. One pass finds it: a second one for each level would take minutes for a cycle.
 */
export function isJson(given: unknown, key: PropertyKey, place: Place): boolean {
  const value = ownForm(given, key);
  if (typeof value !== "object" || value === null) {
    const isInvalidDate = value === null && given !== null && tagOf(given) === "Date";
    if (isInvalidDate) return fail(given, key, place);
    return (
      value === null ||
      typeof value === "string" ||
      typeof value === "boolean" ||
      Number.isFinite(value) ||
      fail(value, key, place)
    );
  }
  const { keys, values } = place;
  if (values.length === MAX_DEPTH || ArrayBuffer.isView(value) || values.includes(value)) {
    return fail(value, key, place);
  }
  keys.push(key);
  values.push(value);
  if (!Array.isArray(value)) {
    const names = Object.keys(value);
    if (names.length === 0 && !isPlain(value)) return false;
    for (const name of names) if (!isJson((value as Record<string, unknown>)[name], name, place)) return false;
  } else {
    for (let index = 0; index < value.length; index++) {
      const each: unknown = value[index];
      // Most values of large arrays are numbers.
      if (!(typeof each === "number" && Number.isFinite(each)) && !isJson(each, index, place)) return false;
    }
  }
  keys.pop();
  values.pop();
  return true;
}

function fail(value: unknown, key: PropertyKey, { keys, values }: Place): false {
  keys.push(key);
  values.push(value);
  return false;
}

/** Returns what `JSON.stringify` converts in place of a value. Services do not read the JSON form of Node's `Buffer`. */
function ownForm(value: unknown, key: PropertyKey): unknown {
  const isObject = typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
  if (!isObject && typeof value !== "bigint") return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === "function" ? toJSON.call(value, String(key)) : value;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  // `Object.prototype` of any realm.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
