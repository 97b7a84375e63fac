/**
 * Makes `await using` close a client. Defines the method on the object instead of the class, because some runtimes lack
 * the symbol and importing this package's modules must not have side effects.
 */
export function closeOnDispose(client: { close(): Promise<void> }): void {
  const { asyncDispose } = Symbol as { asyncDispose?: symbol };
  if (asyncDispose) Object.defineProperty(client, asyncDispose, { value: () => client.close() });
}
