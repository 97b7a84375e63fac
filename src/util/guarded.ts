/**
 * Calls an application's function from a background task. Passes a thrown error or a rejection to `onFailure`, so that
 * it does not become an uncaught exception or an unhandled rejection.
 */
export function guarded(call: () => unknown, onFailure: (error: unknown) => void = () => {}): void {
  try {
    const result = call();
    // Check for `then`, because `instanceof Promise` would miss promises from another realm.
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function")
      Promise.resolve(result).catch(onFailure);
  } catch (error) {
    onFailure(error);
  }
}
