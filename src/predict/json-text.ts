/** Deepest nesting that is sent. Many servers accept less. */
export const MAX_DEPTH = 1000;

/** Returns a value as JSON text; `undefined` if `JSON.stringify` would leave out or change a part of it without an error. */
export function jsonText(value: object): string | undefined {
  return isJson(value, "", 0) ? JSON.stringify(value) : undefined;
}

/** Whether JSON holds the whole value, which is `key` of a container at `depth`. A cycle is deeper than any limit. */
export function isJson(given: unknown, key: PropertyKey, depth: number): boolean {
  const value = ownForm(given, key);
  if (typeof value !== "object" || value === null) {
    return value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
  }
  if (depth === MAX_DEPTH || ArrayBuffer.isView(value)) return false;
  if (!Array.isArray(value)) {
    const names = Object.keys(value);
    return (
      (names.length > 0 || isPlain(value)) &&
      names.every((name) => isJson((value as Record<string, unknown>)[name], name, depth + 1))
    );
  }
  for (let index = 0; index < value.length; index++) {
    const each: unknown = value[index];
    // Most values of large arrays are numbers.
    if (!(typeof each === "number" && Number.isFinite(each)) && !isJson(each, index, depth + 1)) return false;
  }
  return true;
}

/** Returns what `JSON.stringify` converts in place of a value. Services do not read the JSON form of Node's `Buffer`. */
export function ownForm(value: unknown, key: PropertyKey): unknown {
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
