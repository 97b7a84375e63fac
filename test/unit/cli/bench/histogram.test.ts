import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Histogram } from "../../../../src/cli/bench/histogram.js";

describe("the histogram", () => {
  test("returns each percentile with a relative error of at most 1 %", () => {
    const values = fc.array(fc.double({ min: 0.001, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 1_000 }), (values, permille) => {
        const histogram = new Histogram();
        for (const value of values) histogram.add(value);
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.ceil((permille / 1_000) * values.length) - 1] as number;
        const found = histogram.percentile(permille / 10);
        expect(found / exact).toBeGreaterThanOrEqual(1 - 1e-9);
        expect(found / exact).toBeLessThanOrEqual(1.0100001);
      }),
    );
  });

  test("has the count, the mean, the extremes and the variation of the values", () => {
    const histogram = new Histogram();
    for (const value of [0, 1, 2, 3]) histogram.add(value);
    expect(histogram).toMatchObject({ count: 4, mean: 1.5, min: 0, max: 3 });
    expect(histogram.variation).toBeCloseTo(1.25 / 2.25);
  });

  test("counts every value in exactly one range", () => {
    const values = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 40 }), (values, size) => {
        const histogram = new Histogram();
        for (const value of values) histogram.add(value);
        const ranges = histogram.ranges(size);
        expect(ranges.length).toBe(size);
        expect(ranges.reduce((sum, { count }) => sum + count, 0)).toBe(values.length);
      }),
    );
  });

  test("is empty without values, and refuses a negative value", () => {
    const histogram = new Histogram();
    expect([histogram.percentile(99), histogram.mean, histogram.min, histogram.ranges(4)]).toEqual([0, 0, 0, []]);
    expect(() => histogram.add(-1)).toThrow("a histogram accepts values of at least 0, not -1");
  });
});
