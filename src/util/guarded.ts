/**
 * Calls an application's function from the background, where its failure would otherwise be an uncaught exception or an
 * unhandled rejection. It may be asynchronous.
 */
export function guarded(call: () => unknown, onFailure: (error: unknown) => void = () => {}): void {
  try {
    const result = call();
    if (result instanceof Promise) result.catch(onFailure);
  } catch (error) {
    onFailure(error);
  }
}

/** What an error says. Anything may have been thrown. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "an object that has no text form";
  }
}
