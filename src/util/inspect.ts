/** The name of the method that `console.log`, `util.inspect`, `Deno.inspect` and `Bun.inspect` call. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** A custom inspector, as defined by Node. Browsers do not support inspectors; their consoles show objects as trees. */
export type Inspector = (
  this: never,
  depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
) => string;

/**
 * Makes consoles show an object as `String(object)` instead of its fields. Called by constructors; defines the method
 * once per class. A computed class member would have the same effect, but bundlers keep unused classes with computed
 * members.
 */
export function showAsText(object: object, inspector: Inspector = textOf): void {
  if (INSPECT in object) return;
  // Use `Reflect.defineProperty`, which returns false for a frozen prototype, whereas `Object.defineProperty` would
  // throw.
  Reflect.defineProperty(Object.getPrototypeOf(object), INSPECT, { value: inspector, configurable: true });
}

function textOf(this: unknown): string {
  return String(this);
}

/** Formats properties as `Name { key: value, … }`. Omits undefined and empty properties. */
export function listFacts(name: string, facts: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(facts).map(([key, fact]) =>
    fact === undefined || fact === "" ? "" : ` ${key}: ${fact}`,
  );
  return `${name} {${parts.filter(Boolean).join(",")} }`;
}
