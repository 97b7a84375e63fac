/** Low bits of an index in time's shape that count within one millisecond. */
const SEQUENCE_BITS = 22n;

/**
 * The index after `last`: greater than it in any case, at least 1, and below 2^63 until 2039, since the official Java SDK
 * reads it into a signed long.
 */
export function nextIndex(shape: "time" | "counter", last: bigint, now: number): bigint {
  const following = last + 1n;
  if (shape === "counter") return following;
  // From 1 on: a number holds a multiple of 2^22 exactly, and would hide that it holds no others.
  const byTime = (BigInt(Math.trunc(now)) << SEQUENCE_BITS) + 1n;
  return byTime > following ? byTime : following;
}
