import { startTimer, type TimerHandle } from "./clock.js";

/** An operation that an `AbortSignal` can end. */
export interface Abortable {
  abort(reason: unknown): void;
}

/**
 * A wait that can be canceled. `done` resolves when the wait is over and rejects with the reason if the wait is
 * canceled.
 */
export interface Wait {
  readonly done: Promise<void>;
  cancel(reason: unknown): void;
}

/**
 * The operations that are linked to one signal. They share one listener, because applications may use one signal for
 * hundreds of calls, and Node warns of a leak at the eleventh listener.
 */
class SharedListener {
  readonly targets: Set<Abortable> = new Set();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  handleEvent(): void {
    for (const target of this.targets) target.abort(this.#signal.reason);
  }
}

const listeners = /* @__PURE__ */ new WeakMap<AbortSignal, SharedListener>();

/** Aborts `target` when `signal` fires, or immediately if it has already fired. Call `unlinkSignal` when `target` is done. */
export function linkSignal(signal: AbortSignal | undefined, target: Abortable): void {
  if (signal === undefined) return;
  if (signal.aborted) {
    target.abort(signal.reason);
    return;
  }
  let shared = listeners.get(signal);
  if (shared === undefined) {
    shared = new SharedListener(signal);
    listeners.set(signal, shared);
  }
  if (shared.targets.size === 0) signal.addEventListener("abort", shared);
  shared.targets.add(target);
}

/** Reverts `linkSignal`. When the signal's last target is unlinked, the listener is removed. */
export function unlinkSignal(signal: AbortSignal | undefined, target: Abortable): void {
  const shared = signal && listeners.get(signal);
  if (shared?.targets.delete(target) && shared.targets.size === 0) signal?.removeEventListener("abort", shared);
}

/** Resolves when the wait is over. If the signal fires first, cancels the wait and rejects with the signal's reason. */
export async function waitFor(wait: Wait, signal: AbortSignal | undefined): Promise<void> {
  const target = { abort: wait.cancel };
  linkSignal(signal, target);
  try {
    await wait.done;
  } finally {
    unlinkSignal(signal, target);
  }
}

/** Starts a wait of `milliseconds` that can be canceled. */
export function sleep(milliseconds: number): Wait {
  let timer: TimerHandle;
  let cancel!: (reason: unknown) => void;
  const done = new Promise<void>((resolve, reject) => {
    timer = startTimer(resolve, milliseconds);
    cancel = (reason) => {
      clearTimeout(timer as never);
      reject(reason);
    };
  });
  return { done, cancel };
}

/** Resolves after `milliseconds`. Rejects with the signal's reason if the signal fires first. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return waitFor(sleep(milliseconds), signal);
}

/**
 * Settles as `work` does. Rejects with the signal's reason if the signal fires first. Does not stop the work itself.
 */
export function raceAbort<T>(work: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const target: Abortable = {
      abort(reason) {
        // Unlink even if the work never settles.
        unlinkSignal(signal, target);
        reject(reason);
      },
    };
    linkSignal(signal, target);
    work.then(
      (value) => {
        unlinkSignal(signal, target);
        resolve(value);
      },
      (error) => {
        unlinkSignal(signal, target);
        reject(error);
      },
    );
  });
}
