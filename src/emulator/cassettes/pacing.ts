import { pause } from "../../util/timing/abort.js";
import { clockNow } from "../../util/timing/clock.js";

/** Returns a recorded delay at the replay's speed; a speed of 0 omits delays. */
export function scaled(milliseconds: number, speed: number): number {
  return speed === 0 ? 0 : milliseconds / speed;
}

/** Waits until the clock reaches a time. Returns at once if the time has passed. Rejects when the signal fires. */
export async function waitUntil(time: number, signal: AbortSignal): Promise<void> {
  const left = time - clockNow();
  if (left > 0) await pause(left, signal);
}
