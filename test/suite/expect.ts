import { expect } from "chai";

export { expect };

/** Returns what a promise rejects with. Fails if it does not reject. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error("it was fulfilled");
}

/** Returns what a function throws. Fails if it does not throw. */
export function thrown(work: () => unknown): Error & Record<string, unknown> {
  try {
    work();
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error("nothing was thrown");
}

/** Checks some properties of an error, each with `Object.is`. */
export function expectError(error: Error & Record<string, unknown>, expected: Readonly<Record<string, unknown>>): void {
  const found = Object.fromEntries(Object.keys(expected).map((key) => [key, error[key]]));
  if (Object.keys(expected).some((key) => found[key] !== expected[key])) {
    throw Object.assign(new Error(`another error: ${error.name} ${error.message}`), { expected, actual: found });
  }
}
