import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { create } from "@bufbuild/protobuf";
import { checkEntries } from "./node-checks.mjs";

/** Returns the global state of a process: globals, and properties of built-in classes. */
function shared() {
  return Reflect.ownKeys(globalThis).flatMap((name) => {
    const value = Object.getOwnPropertyDescriptor(globalThis, name).value;
    const owners = typeof value === "function" ? [value, value.prototype] : [value];
    return [name, ...owners.flatMap((owner) => (Object(owner) === owner ? Reflect.ownKeys(owner) : []))].map(String);
  });
}

const manifest = createRequire(import.meta.url)("eas-prediction/package.json");
// Node creates some globals on first access, and warns about storage without a file.
for (const name of Reflect.ownKeys(globalThis)) if (!String(name).endsWith("Storage")) void globalThis[name];
const before = shared();
/** Exports that are not modules, or need an optional peer that is not installed. */
const APART = ["./package.json", "./opentelemetry", "./ai"];
const entries = {};
for (const name of Object.keys(manifest.exports)) {
  if (!APART.includes(name)) entries[name] = await import(`eas-prediction${name.slice(1)}`);
}
// The field "sideEffects" promises this, and bundlers drop modules because of it.
assert.deepEqual(shared(), before);
await checkEntries(entries, create);
console.log(process.version);
