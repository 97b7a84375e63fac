import { describe, expect, test } from "vitest";
import { WeightedRoundRobin } from "../../../src/endpoint/weighted-round-robin.js";

/** The official Python SDK's way, one candidate after another. */
function* official(weights: readonly number[]): Generator<number> {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
  const most = Math.max(...weights);
  const step = weights.reduce(gcd, 0);
  for (let at = -1, threshold = 0; ; ) {
    at = (at + 1) % weights.length;
    if (at === 0) {
      threshold -= step;
      if (threshold <= 0) threshold = most;
    }
    if ((weights[at] as number) >= threshold) yield at;
  }
}

function taken(weights: readonly number[], count: number): (number | undefined)[] {
  const turns = new WeightedRoundRobin(weights);
  return Array.from({ length: count }, () => turns.next());
}

/** How often each had its turn. */
function shares(weights: readonly number[], count: number): number[] {
  const counts = weights.map(() => 0);
  for (const at of taken(weights, count)) (counts[at as number] as number)++;
  return counts;
}

/** Numbers below `most` that are the same in each run (the multiplier is Knuth's). */
function randomNumbers(seed: number): (most: number) => number {
  let state = BigInt(seed);
  return (most) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    return Number((state >> 33n) % BigInt(most));
  };
}

test.each(Array.from({ length: 200 }, (_, seed) => seed))("in the official order: random weights %i", (seed) => {
  const random = randomNumbers(seed + 1);
  const scale = [1, 10, 50][random(3)] as number;
  const weights = Array.from({ length: 1 + random(20) }, () => random(8) * scale);
  weights[random(weights.length)] = (1 + random(8)) * scale;
  const expected = official(weights);
  expect(taken(weights, 500)).toEqual(Array.from({ length: 500 }, () => expected.next().value));
});

describe("weights that no counting fits", () => {
  test.each([[[]], [[0]], [[0, 0]], [[-1, -5]], [[Number.NaN]], [[Number.NEGATIVE_INFINITY]]])(
    "selects no entry for the weights %j",
    (weights) => {
      expect(taken(weights, 3)).toEqual([undefined, undefined, undefined]);
    },
  );

  test.each([0, -0, -1, -1e300, Number.NaN, Number.NEGATIVE_INFINITY])("%d never has its turn", (weight) => {
    expect(taken([weight, 2, weight, 1, weight], 6)).toEqual([1, 1, 3, 1, 1, 3]);
  });

  test("fractions are kept in proportion", () => {
    expect(shares([0.5, 0.25, 1], 1750)).toEqual([500, 250, 1000]);
    expect(shares([0.1, 0.2], 1500)).toEqual([500, 1000]);
    expect(shares([1.5, 1], 1667)).toEqual([1000, 667]);
  });

  test.each([Number.MAX_VALUE, Number.POSITIVE_INFINITY, 2 ** 60])("%d leaves turns to others", (weight) => {
    expect(shares([weight, 1, weight], 2001)).toEqual([1000, 1, 1000]);
  });

  test("the smallest of all still has its turn", () => {
    expect(shares([Number.MIN_VALUE, 1.5], 1001)).toEqual([1, 1000]);
  });

  test("integers up to 2^53 are counted exactly", () => {
    const most = Number.MAX_SAFE_INTEGER;
    expect(taken([most, most - 1, 1], 6)).toEqual([0, 0, 1, 0, 1, 0]);
  });
});

test("long lists: each turn is found, whatever the weights", () => {
  // One instance is heavy: the official way looks at all the others between any two of its turns.
  const length = 200_000;
  const weights = Array.from({ length }, (_, i) => (i === 123_456 ? 100_000 : 1));
  expect(taken(weights, 99_999).every((at) => at === 123_456)).toBe(true);
  expect(
    new Set(
      taken(
        Array.from({ length }, () => 7),
        length,
      ),
    ).size,
  ).toBe(length);
});

describe("excluded entries", () => {
  const counts = (turns: WeightedRoundRobin, count: number) => {
    const shares: Record<number, number> = {};
    for (let i = 0; i < count; i++) {
      const at = turns.next() as number;
      shares[at] = (shares[at] ?? 0) + 1;
    }
    return shares;
  };

  test("has no turn, while the others have theirs in proportion; taken in again, it has its own", () => {
    const turns = new WeightedRoundRobin([1, 2, 3]);
    turns.setExcluded(0, true);
    expect(counts(turns, 50)).toEqual({ 1: 20, 2: 30 });
    turns.setExcluded(0, false);
    expect(counts(turns, 60)).toEqual({ 0: 10, 1: 20, 2: 30 });
  });

  test("may weigh more than all others, at any time", () => {
    for (let before = 0; before < 20; before++) {
      const turns = new WeightedRoundRobin([1, 9, 2]);
      counts(turns, before);
      turns.setExcluded(1, true);
      // What is left of the round that is under way may be one turn more or less.
      const { 0: light = 0, 2: heavy = 0, ...others } = counts(turns, 30);
      expect(others).toEqual({});
      expect(Math.abs(heavy - 2 * light)).toBeLessThanOrEqual(3);
    }
  });

  test("selects no entry when all are excluded", () => {
    const turns = new WeightedRoundRobin([1, 2]);
    turns.setExcluded(0, true);
    turns.setExcluded(1, true);
    expect(turns.next()).toBeUndefined();
    turns.setExcluded(0, false);
    expect(turns.next()).toBe(0);
  });
});
