import { expect } from "chai";

export { expect };

/** What a promise is rejected with; fails when it is not. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error("it was fulfilled");
}

/** What a function throws; fails when it does not. */
export function thrown(work: () => unknown): Error & Record<string, unknown> {
  try {
    work();
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error("nothing was thrown");
}

/** Checks some of an error's properties, each by its own. */
export function expectError(error: Error & Record<string, unknown>, expected: Readonly<Record<string, unknown>>): void {
  const found = Object.fromEntries(Object.keys(expected).map((key) => [key, error[key]]));
  if (Object.keys(expected).some((key) => found[key] !== expected[key])) {
    throw Object.assign(new Error(`another error: ${error.name} ${error.message}`), { expected, actual: found });
  }
}
