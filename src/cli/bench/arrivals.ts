/** Returns a random number from 0 to 1, excluding 1. */
export type RandomNumber = () => number;

/** Creates a generator of random numbers whose sequence depends only on the seed (mulberry32). */
export function randomFrom(seed: number): RandomNumber {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Distribution of the intervals between requests: all equal, or random, as with many independent callers. */
export type ArrivalKind = "constant" | "poisson";

/**
 * Yields the start time of each request, in milliseconds from the start of the test. On average, `rate` requests start
 * per second.
 */
export function* arrivalTimes(
  kind: ArrivalKind,
  rate: number,
  random: RandomNumber,
): Generator<number, never, undefined> {
  const interval = 1_000 / rate;
  let time = 0;
  for (let index = 0; ; index++) {
    yield kind === "constant" ? index * interval : time;
    time += -Math.log(1 - random()) * interval;
  }
}
