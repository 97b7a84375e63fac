import { tagOf } from "../../util/realms.js";

/** Maximum nesting depth of an input. Many servers have a lower limit. */
export const MAX_DEPTH = 1000;

/** Position of a value within an input: the keys and containers on the path to the value. */
export interface Place {
  /** The first key is "", which represents the input itself. */
  readonly keys: PropertyKey[];
  readonly values: unknown[];
}

/** Returns a value as JSON text, or undefined if `JSON.stringify` would silently omit or change a part of it. */
export function jsonText(value: object): string | undefined {
  return isJson(value, "", { keys: [], values: [] }) ? JSON.stringify(value) : undefined;
}

/**
 * Returns whether JSON can represent a value. `key` is the value's key in the container at `place`. If the result is
 * false, `place` is set to the position of the first value that JSON cannot represent. Makes a single pass, because one
 * pass per nesting level would take minutes for a cycle.
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
      // Fast path, because the elements of most large arrays are numbers.
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

/**
 * Returns the result of a value's `toJSON`, as `JSON.stringify` does. Ignores `toJSON` on Node's `Buffer`, because
 * services cannot read its result.
 */
function ownForm(value: unknown, key: PropertyKey): unknown {
  const isObject = typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
  if (!isObject && typeof value !== "bigint") return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === "function" ? toJSON.call(value, String(key)) : value;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  // This check accepts `Object.prototype` from any realm.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
