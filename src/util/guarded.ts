/**
 * Calls an application's function from the background, where its failure would otherwise be an uncaught exception or an
 * unhandled rejection. It may be asynchronous.
 */
export function guarded(call: () => unknown, onFailure: (error: unknown) => void = () => {}): void {
  try {
    const result = call();
    // A promise of another realm too.
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function")
      Promise.resolve(result).catch(onFailure);
  } catch (error) {
    onFailure(error);
  }
}
