/** Low bits of an index in time's shape that count within one millisecond. */
const SEQUENCE_BITS = 22n;

/**
 * The index after `last`: greater than it in any case, at least 1, and below 2^63 until 2039, since the official Java SDK
 * reads it into a signed long.
 */
export function nextIndex(shape: "time" | "counter", last: bigint, now: number): bigint {
  const following = last + 1n;
  if (shape === "counter") return following;
  const byTime = BigInt(Math.trunc(now)) << SEQUENCE_BITS;
  return byTime > following ? byTime : following;
}
