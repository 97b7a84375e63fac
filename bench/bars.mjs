// Bars: the limits that figures of the cases must keep. Each case lists its own in `bars`.

import { cpuRatio, ratio } from "./measure.mjs";

/**
 * A bar: `limit` is "≤ 2.5" or "≥ 4". `figures` has the median and the range, because a median close to its bar
 * proves little on a noisy machine.
 */
export function bar(what, limit, figures, note = "") {
  const [sign, number] = limit.split(" ");
  const holds = sign === "≤" ? figures.median <= Number(number) : figures.median >= Number(number);
  return { what, limit, ...figures, holds, note };
}

/** A bar about the ratio of one contender to another, or to the fastest of several. */
export function ratioBar(group, what, limit, over, under) {
  const note = `by processor time: ${cpuRatio(group, over, under).median.toFixed(2)}`;
  return bar(`${group.name}: ${what}`, limit, ratio(group, over, under), note);
}
