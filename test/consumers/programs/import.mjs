import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { create } from "@bufbuild/protobuf";
import { checkEntries } from "./node-checks.mjs";

/** What is reached from everywhere in a process: the globals, and what belongs to the built-in classes. */
function shared() {
  return Reflect.ownKeys(globalThis).flatMap((name) => {
    const value = Object.getOwnPropertyDescriptor(globalThis, name).value;
    const owners = typeof value === "function" ? [value, value.prototype] : [value];
    return [name, ...owners.flatMap((owner) => (Object(owner) === owner ? Reflect.ownKeys(owner) : []))].map(String);
  });
}

const manifest = createRequire(import.meta.url)("eas-prediction/package.json");
// Node itself makes some of its globals when they are first read, and warns of storage without a file.
for (const name of Reflect.ownKeys(globalThis)) if (!String(name).endsWith("Storage")) void globalThis[name];
const before = shared();
/** No module, and what needs an optional peer that is not here. */
const APART = ["./package.json", "./opentelemetry", "./ai"];
const entries = {};
for (const name of Object.keys(manifest.exports)) {
  if (!APART.includes(name)) entries[name] = await import(`eas-prediction${name.slice(1)}`);
}
// The field "sideEffects" says so, and bundlers drop modules by it.
assert.deepEqual(shared(), before);
await checkEntries(entries, create);
console.log(process.version);
