import { argumentTypeError, show } from "../../util/argument-errors.js";
import { keyPath } from "../../util/key-path.js";
import { tagOf } from "../../util/realms.js";
import { isJson, MAX_DEPTH, type Place } from "./json-text.js";

/** Advice for objects that JSON cannot represent, by class. */
const OBJECTS: Readonly<Record<string, string>> = {
  Map: "pass Object.fromEntries(map)",
  Set: "pass Array.from(set)",
  Promise: "await it first",
  Date: "the date is invalid; pass null or text",
  Uint8Array: "pass Array.from(bytes), or their base64 text",
  DataView: "pass Array.from(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))",
  SharedArrayBuffer: "pass Array.from(new Uint8Array(buffer)), or its base64 text",
  ArrayBuffer: "pass Array.from(new Uint8Array(buffer)), or its base64 text",
};

/** Explanation and advice for other values that JSON cannot represent, by type. */
const OTHERS: Readonly<Record<string, string>> = {
  number: "JSON has no such number; pass null or text",
  bigint: "JSON does not have bigints; pass a number, or String(value)",
  undefined: "JSON has no such value; leave it out, or pass null",
};

/**
 * Creates the error for an input that JSON cannot represent: a `TypeError` with the path of the first value that
 * `JSON.stringify` would omit or change. Loaded on first use.
 */
export function jsonRefusal(input: object): TypeError {
  const place: Place = { keys: [], values: [] };
  // All values were valid this time, because a getter may return a different value on each read.
  if (isJson(input, "", place)) return refusal("input changed while it was read: pass a copy of it");
  const { keys, values } = place;
  const value = values[values.length - 1];
  const first = values.indexOf(value);
  const path = pathOf(keys);
  if (first !== -1 && first < values.length - 1) {
    const outer = pathOf(keys.slice(0, first + 1));
    return refusal(`${path} is the same object as ${outer}: JSON cannot represent a cycle; leave one of them out`);
  }
  if (values.length > MAX_DEPTH && typeof value === "object") {
    return refusal(`input is nested more than ${MAX_DEPTH} levels deep, at ${path}`);
  }
  return refusal(`${path} is ${show(value)}${reasonOf(value)}`);
}

function pathOf(keys: readonly PropertyKey[]): string {
  return keyPath("input", keys.slice(1));
}

function reasonOf(value: unknown): string {
  if (typeof value !== "object") return `: ${OTHERS[typeof value] ?? "JSON has no such value; leave it out"}`;
  const otherwise = ArrayBuffer.isView(value) ? "pass Array.from(array)" : "pass a plain object";
  return `, which JSON cannot represent: ${OBJECTS[tagOf(value)] ?? otherwise}`;
}

function refusal(message: string): TypeError {
  return argumentTypeError("ERR_EAS_ARG_REQUEST", message);
}
