/** A call that the caller's signal may end. */
export interface Abortable {
  abort(reason: unknown): void;
}

/**
 * The calls that hang on a signal. One listener serves them all: people share a signal between hundreds of calls, and
 * Node warns of a leak from the eleventh listener on.
 */
class SharedListener {
  readonly calls: Set<Abortable> = new Set();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  handleEvent(): void {
    for (const call of this.calls) call.abort(this.#signal.reason);
  }
}

const listeners = /* @__PURE__ */ new WeakMap<AbortSignal, SharedListener>();

/** Ends `call` when `signal` fires, until `unfollow`. */
export function follow(signal: AbortSignal, call: Abortable): void {
  let shared = listeners.get(signal);
  if (shared === undefined) {
    shared = new SharedListener(signal);
    listeners.set(signal, shared);
  }
  if (shared.calls.size === 0) signal.addEventListener("abort", shared);
  shared.calls.add(call);
}

/** Undoes `follow`; with the last call of a signal its listener goes too. */
export function unfollow(signal: AbortSignal, call: Abortable): void {
  const shared = listeners.get(signal);
  if (shared?.calls.delete(call) && shared.calls.size === 0) signal.removeEventListener("abort", shared);
}
