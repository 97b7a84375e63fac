import { argumentTypeError, show } from "../argument-errors.js";
import { keyPath } from "../util/key-path.js";
import { tagOf } from "../util/realms.js";

/** Deepest nesting that is sent. Many servers refuse less. */
const MAX_DEPTH = 1000;

/** What to write in place of an object that JSON cannot hold. */
const REMEDIES: Readonly<Record<string, string>> = {
  Map: "pass Object.fromEntries(map)",
  Set: "pass Array.from(set)",
  Promise: "await it first",
  Uint8Array: "pass Array.from(bytes), or their base64 text",
  ArrayBuffer: "pass Array.from(new Uint8Array(buffer)), or its base64 text",
};

/**
 * Returns a value as JSON text. Throws a `TypeError` that names the place of the first value that `JSON.stringify` would leave
 * out or change without an error.
 */
export function jsonText(input: object): string {
  check(input, [], []);
  return JSON.stringify(input);
}

/** Checks one value. `keys` lead to it through `parents`; both are restored before the check returns. */
function check(given: unknown, keys: PropertyKey[], parents: object[]): void {
  const value = ownForm(given, keys);
  if (typeof value !== "object" || value === null) {
    const fault = faultOf(value);
    if (fault) throw refusal(`${keyPath("input", keys)} is ${show(value)}: ${fault}`);
    return;
  }
  if (parents.length === MAX_DEPTH) throw tooDeep(keys, parents);
  parents.push(value);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const each: unknown = value[index];
      // Most values of large arrays are numbers.
      if (typeof each === "number" && Number.isFinite(each)) continue;
      keys.push(index);
      check(each, keys, parents);
      keys.pop();
    }
  } else {
    const names = Object.keys(value);
    if (ArrayBuffer.isView(value) || (names.length === 0 && !isPlain(value))) {
      const remedy = ArrayBuffer.isView(value) ? "pass Array.from(array)" : "pass a plain object";
      throw refusal(
        `${keyPath("input", keys)} is ${show(value)}, which JSON cannot hold: ${REMEDIES[tagOf(value)] ?? remedy}`,
      );
    }
    for (const name of names) {
      keys.push(name);
      check((value as Record<string, unknown>)[name], keys, parents);
      keys.pop();
    }
  }
  parents.pop();
}

/** Returns what `JSON.stringify` converts in place of the value. The form of Node's `Buffer` is nothing that a service reads. */
function ownForm(value: unknown, keys: readonly PropertyKey[]): unknown {
  if (((typeof value !== "object" || value === null) && typeof value !== "bigint") || ArrayBuffer.isView(value)) {
    return value;
  }
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === "function" ? toJSON.call(value, String(keys.at(-1) ?? "")) : value;
}

/** Returns why JSON cannot hold a primitive value, and what to pass instead. */
function faultOf(value: unknown): string | undefined {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? undefined : "JSON has no such number; pass null or text";
    case "bigint":
      return "JSON has no bigint; pass a number, or String(value)";
    case "undefined":
      return "JSON has no such value; leave it out, or pass null";
    case "function":
    case "symbol":
      return "JSON has no such value; leave it out";
    default:
      return undefined;
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  // `Object.prototype` of any realm.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function tooDeep(keys: readonly PropertyKey[], parents: readonly object[]): TypeError {
  const again = parents.findIndex((parent, depth) => parents.indexOf(parent) < depth);
  if (again === -1) {
    return refusal(`input is nested more than ${MAX_DEPTH} levels deep, at ${keyPath("input", keys)}`);
  }
  const first = parents.indexOf(parents[again] as object);
  const [inner, outer] = [again, first].map((depth) => keyPath("input", keys.slice(0, depth)));
  return refusal(`${inner} is the same object as ${outer}: JSON cannot hold a cycle; leave one of them out`);
}

function refusal(message: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_REQUEST", message);
}
