/**
 * Makes `await using` close a client. Set on the object and not on its class: some runtimes have no such symbol, and a
 * module must not act when it is loaded.
 */
export function closeOnDispose(client: { close(): Promise<void> }): void {
  const { asyncDispose } = Symbol as { asyncDispose?: symbol };
  if (asyncDispose) Object.defineProperty(client, asyncDispose, { value: () => client.close() });
}
