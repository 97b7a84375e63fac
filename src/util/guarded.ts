/**
 * Calls a function of the application from a background task. A thrown error or a rejection is passed to
 * `onFailure`, so that it does not become an uncaught exception or an unhandled rejection.
 */
export function guarded(call: () => unknown, onFailure: (error: unknown) => void = () => {}): void {
  try {
    const result = call();
    // `instanceof Promise` would miss promises from another realm.
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function")
      Promise.resolve(result).catch(onFailure);
  } catch (error) {
    onFailure(error);
  }
}
