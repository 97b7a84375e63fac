import { raceAbort } from "../../../util/timing/abort.js";
import { clockNow, startTimer, type TimerHandle } from "../../../util/timing/clock.js";

/** Speed at which a reply is generated. */
export interface Pace {
  /** Number of tokens per second in each reply; undefined for no limit. */
  readonly tokensPerSecond: number | undefined;
  /** Resolves after `milliseconds`; rejects with the signal's reason if the signal fires first. */
  readonly pause: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** Returns a function that resolves when the next token is due. */
export function createPacer({ tokensPerSecond, pause }: Pace, signal: AbortSignal): () => Promise<void> {
  if (tokensPerSecond === undefined) return yieldToEventLoop;
  const start = clockNow();
  let count = 0;
  return () => {
    count++;
    const left = start + (count * 1000) / tokensPerSecond - clockNow();
    return left > 0 ? pause(left, signal) : yieldToEventLoop();
  };
}

/** Yields to the event loop, so that a long reply does not block other work or the caller's abort. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Waits like `pause`, without keeping a Node process alive. */
export async function pauseInBackground(milliseconds: number, signal: AbortSignal): Promise<void> {
  let timer: TimerHandle | undefined;
  const done = new Promise<void>((resolve) => {
    timer = startTimer(resolve, milliseconds);
    (timer as { unref?(): void }).unref?.();
  });
  try {
    await raceAbort(done, signal);
  } finally {
    clearTimeout(timer as never);
  }
}
