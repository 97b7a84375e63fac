/** The method that `console.log` of Node, Deno and Bun calls, as do `util.inspect`, `Deno.inspect` and `Bun.inspect`. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** A custom inspector, as Node defines it. Browsers have none: their consoles show objects as trees. */
export type Inspector = (
  this: never,
  depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
) => string;

/**
 * Makes consoles show an object as `String(object)`, instead of its fields. Called by constructors: bundlers keep classes
 * with a computed member even if they are unused, and a module must not act when it is loaded. Defined once per class.
 */
export function showAsText(object: object, inspector: Inspector = textOf): void {
  if (INSPECT in object) return;
  // Without effect on a frozen prototype, which must not make the constructor throw.
  Reflect.defineProperty(Object.getPrototypeOf(object), INSPECT, { value: inspector, configurable: true });
}

function textOf(this: unknown): string {
  return String(this);
}
