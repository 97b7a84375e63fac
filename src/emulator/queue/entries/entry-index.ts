/** Number of low bits that count the indexes within one millisecond. */
const SEQUENCE_BITS = 22n;

/**
 * Returns the index after `last`: greater than `last`, and at least 1. Until 2039 it is below 2^63, since the official Java SDK
 * stores it in a signed long.
 */
export function nextIndex(shape: "time" | "counter", last: bigint, now: number): bigint {
  const following = last + 1n;
  if (shape === "counter") return following;
  // The sequence starts at 1: a `number` represents multiples of 2^22 exactly, which would hide a loss of precision.
  const byTime = (BigInt(Math.trunc(now)) << SEQUENCE_BITS) + 1n;
  return byTime > following ? byTime : following;
}
