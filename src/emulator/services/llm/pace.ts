import { raceAbort } from "../../../util/timing/abort.js";
import { clockNow, startTimer, type TimerHandle } from "../../../util/timing/clock.js";

/** How fast an answer is written. */
export interface Pace {
  readonly tokensPerSecond: number | undefined;
  /** Resolves after `milliseconds`; rejects with the signal's reason if the signal fires first. */
  readonly pause: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** Returns a function that waits for the turn of the next token. */
export function pacer({ tokensPerSecond, pause }: Pace, signal: AbortSignal): () => Promise<void> {
  if (tokensPerSecond === undefined) return turn;
  const start = clockNow();
  let count = 0;
  return () => {
    count++;
    const left = start + (count * 1000) / tokensPerSecond - clockNow();
    return left > 0 ? pause(left, signal) : turn();
  };
}

/** Lets other work run, such as an abort of the caller. Otherwise a long reply would be written in one turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Like `pause`, but does not keep a Node process alive. */
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
