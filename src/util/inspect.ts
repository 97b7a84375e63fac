/** The name of the method that `console.log`, `util.inspect`, `Deno.inspect` and `Bun.inspect` call. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** A custom inspector, as defined by Node. Browsers do not support inspectors: their consoles show objects as trees. */
export type Inspector = (
  this: never,
  depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
) => string;

/**
 * Makes consoles show an object as `String(object)` instead of its fields. Constructors call this function. A
 * computed class member would have the same effect, but bundlers keep classes with computed members even if they are
 * unused. Defines the method once per class.
 */
export function showAsText(object: object, inspector: Inspector = textOf): void {
  if (INSPECT in object) return;
  // For a frozen prototype, `Reflect.defineProperty` returns false, whereas `Object.defineProperty` would throw.
  Reflect.defineProperty(Object.getPrototypeOf(object), INSPECT, { value: inspector, configurable: true });
}

function textOf(this: unknown): string {
  return String(this);
}

/** Formats properties as `Name { key: value, … }`. Omits properties that are undefined or empty. */
export function listFacts(name: string, facts: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(facts).map(([key, fact]) =>
    fact === undefined || fact === "" ? "" : ` ${key}: ${fact}`,
  );
  return `${name} {${parts.filter(Boolean).join(",")} }`;
}
