import { argumentTypeError, show } from "../argument-errors.js";
import { keyPath } from "../util/key-path.js";
import { tagOf } from "../util/realms.js";
import { isJson, MAX_DEPTH, ownForm } from "./json-text.js";

/** What to pass in place of an object that JSON cannot hold. */
const OBJECTS: Readonly<Record<string, string>> = {
  Map: "pass Object.fromEntries(map)",
  Set: "pass Array.from(set)",
  Promise: "await it first",
  Uint8Array: "pass Array.from(bytes), or their base64 text",
  ArrayBuffer: "pass Array.from(new Uint8Array(buffer)), or its base64 text",
};

/** Why JSON cannot hold other values, by type, and what to pass instead. */
const OTHERS: Readonly<Record<string, string>> = {
  number: "JSON has no such number; pass null or text",
  bigint: "JSON has no bigint; pass a number, or String(value)",
  undefined: "JSON has no such value; leave it out, or pass null",
};

/**
 * Creates the error for an input that JSON cannot hold: a `TypeError` that names the place of the first value that
 * `JSON.stringify` would leave out or change. Loaded on first use.
 */
export function jsonRefusal(input: object): TypeError {
  const keys: PropertyKey[] = [];
  const parents: unknown[] = [];
  let value = ownForm(input, "");
  while (keys.length < MAX_DEPTH) {
    const key = faultyKey(value, keys.length + 1);
    if (key === undefined) return refusal(`${keyPath("input", keys)} is ${show(value)}${reasonOf(value)}`);
    keys.push(key);
    parents.push(value);
    value = ownForm((value as Record<PropertyKey, unknown>)[key], key);
  }
  return tooDeep(keys, [...parents, value]);
}

/** Returns the key of the first member that JSON cannot hold. */
function faultyKey(value: unknown, depth: number): PropertyKey | undefined {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  // An array may have holes, which are not among its keys.
  const keys = Array.isArray(value) ? Array.from(value, (_, index) => index) : Object.keys(value);
  return keys.find((key) => !isJson((value as Record<PropertyKey, unknown>)[key], key, depth));
}

function reasonOf(value: unknown): string {
  if (typeof value !== "object") return `: ${OTHERS[typeof value] ?? "JSON has no such value; leave it out"}`;
  const otherwise = ArrayBuffer.isView(value) ? "pass Array.from(array)" : "pass a plain object";
  return `, which JSON cannot hold: ${OBJECTS[tagOf(value)] ?? otherwise}`;
}

function tooDeep(keys: readonly PropertyKey[], parents: readonly unknown[]): TypeError {
  const again = parents.findIndex((parent, depth) => parents.indexOf(parent) < depth);
  if (again === -1) {
    return refusal(`input is nested more than ${MAX_DEPTH} levels deep, at ${keyPath("input", keys)}`);
  }
  const first = parents.indexOf(parents[again]);
  const [inner, outer] = [again, first].map((depth) => keyPath("input", keys.slice(0, depth)));
  return refusal(`${inner} is the same object as ${outer}: JSON cannot hold a cycle; leave one of them out`);
}

function refusal(message: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_REQUEST", message);
}
