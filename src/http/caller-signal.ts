import { sleep, type Wait } from "./timeouts.js";

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

/** Waits until it is over; rejects with the signal's reason when it fires before. */
export async function waitFor(wait: Wait, signal: AbortSignal | undefined): Promise<void> {
  const abortable = { abort: wait.cancel };
  if (signal?.aborted) wait.cancel(signal.reason);
  else if (signal !== undefined) follow(signal, abortable);
  try {
    await wait.done;
  } finally {
    if (signal !== undefined) unfollow(signal, abortable);
  }
}

/** Waits; rejects with the signal's reason when it fires before. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return waitFor(sleep(milliseconds), signal);
}

/** Waits for what hears of no signal and may never end. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abortable = {
      abort(reason: unknown) {
        // The work may never end.
        unfollow(signal, abortable);
        reject(reason);
      },
    };
    follow(signal, abortable);
    work.then(resolve, reject).finally(() => unfollow(signal, abortable));
  });
}
