/**
 * Makes `await using` close a client. Defines the method on the object instead of the class, because some runtimes
 * lack the symbol and the modules of this package have no side effects on import.
 */
export function closeOnDispose(client: { close(): Promise<void> }): void {
  const { asyncDispose } = Symbol as { asyncDispose?: symbol };
  if (asyncDispose) Object.defineProperty(client, asyncDispose, { value: () => client.close() });
}
