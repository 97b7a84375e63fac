import { describe, expect, it } from "vitest";
import { classifyDigits, DIGITS_HELD_OUT_ACCURACY } from "../../src/emulator/models/digits.js";
import { heldOutDigits } from "../../src/emulator/models/digits-held-out.js";
import { SCORECARD_FEATURES, scoreApplicants, scorecardSamples } from "../../src/emulator/models/scorecard.js";

const { images, labels } = heldOutDigits;
const argmax = (values: Float32Array): number => values.indexOf(Math.max(...values));

describe("digits", () => {
  const probabilities = classifyDigits(Float32Array.from(images.flat()), images.length);
  const row = (index: number): Float32Array => probabilities.subarray(index * 10, index * 10 + 10);

  it("holds out 20 images of each digit, 64 pixels of 0..16 each", () => {
    expect(images.length).toBe(200);
    expect(images.every((image) => image.length === 64)).toBe(true);
    expect(images.flat().every((pixel) => Number.isInteger(pixel) && pixel >= 0 && pixel <= 16)).toBe(true);
    for (let digit = 0; digit < 10; digit++) expect(labels.filter((label) => label === digit).length).toBe(20);
  });

  it("reaches exactly the accuracy the training script measured", () => {
    const correct = labels.filter((label, index) => argmax(row(index)) === label).length;
    expect(correct / 200).toBe(DIGITS_HELD_OUT_ACCURACY);
    expect(DIGITS_HELD_OUT_ACCURACY).toBeGreaterThanOrEqual(0.95);
  });

  it("returns ten probabilities that sum to 1 for each image", () => {
    expect(probabilities.length).toBe(2000);
    expect(probabilities.every((value) => value >= 0 && value <= 1)).toBe(true);
    for (let index = 0; index < 200; index++) {
      expect(Math.abs(row(index).reduce((sum, value) => sum + value, 0) - 1)).toBeLessThan(1e-5);
    }
  });

  it("gives an image the same answer alone and in a batch", () => {
    expect(classifyDigits(Float32Array.from(images[199]!), 1)).toEqual(row(199).slice());
  });

  it("stays finite for pixels far out of range", () => {
    const extreme = classifyDigits(new Float32Array(64).fill(1e6), 1);
    expect(extreme.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
  });

  it("accepts no images and refuses a length that does not fit the count", () => {
    expect(classifyDigits(new Float32Array(0), 0).length).toBe(0);
    expect(() => classifyDigits(new Float32Array(63), 1)).toThrow(RangeError);
    expect(() => classifyDigits(new Float32Array(128), 1)).toThrow(RangeError);
    expect(() => classifyDigits(new Float32Array(32), 0.5)).toThrow(RangeError);
    expect(() => classifyDigits(new Float32Array(0), -1)).toThrow(RangeError);
  });
});

describe("scorecard", () => {
  const good = scorecardSamples[0]!.features;

  it("gives the five held-out samples what the training script expects", () => {
    expect(scorecardSamples.length).toBe(5);
    const results = scoreApplicants(scorecardSamples.map((sample) => sample.features));
    results.forEach((result, index) => {
      const { expected } = scorecardSamples[index]!;
      expect(Math.abs(result.probability / expected.probability - 1)).toBeLessThan(1e-9);
      expect(result.score).toBe(expected.score);
      expect(result.label).toBe(expected.label);
    });
    expect(new Set(results.map((result) => result.label))).toEqual(new Set(["benign", "malignant"]));
  });

  it("scales points as documented: 600 at odds of 50:1, 20 points double the odds", () => {
    for (const { probability, score } of scoreApplicants(scorecardSamples.map((sample) => sample.features))) {
      const points = 600 + 20 * Math.log2(probability / (1 - probability) / 50);
      expect(Math.abs(score - points)).toBeLessThanOrEqual(0.5 + 1e-6);
    }
  });

  it("names eight snake_case features and accepts them in any order", () => {
    expect(SCORECARD_FEATURES.length).toBe(8);
    expect(SCORECARD_FEATURES.every((name) => /^[a-z]+(_[a-z]+)*$/.test(name))).toBe(true);
    const reversed = Object.fromEntries(Object.entries(good).reverse());
    expect(scoreApplicants([reversed])).toEqual(scoreApplicants([good]));
    expect(scoreApplicants([])).toEqual([]);
  });

  const { mean_radius: _, ...incomplete } = good;
  const text = JSON.stringify(good);
  const bad: readonly [string, unknown, RegExp][] = [
    ["a missing feature", incomplete, /^row 1: feature "mean_radius" is missing; expected /],
    ["an inherited feature", Object.assign(Object.create({ mean_radius: 14 }), incomplete), /"mean_radius" is missing/],
    ["a feature that is a string", { ...good, mean_radius: "14" }, /^row 1: feature "mean_radius" is not a finite/],
    ["a feature that is null", { ...good, mean_radius: null }, /"mean_radius" is not a finite number/],
    ["a feature that is NaN", { ...good, mean_radius: Number.NaN }, /"mean_radius" is not a finite number/],
    ["a feature that overflows", { ...good, mean_fractal_dimension: 1.7e308 }, /"mean_fractal_dimension" is too large/],
    ["an unknown feature", { ...good, age: 30 }, /^row 1: unknown feature "age"; expected /],
    [
      "a key __proto__",
      JSON.parse(text.replace("{", '{"__proto__":{"mean_radius":1},')),
      /unknown feature "__proto__"/,
    ],
    ["a key constructor", JSON.parse(text.replace("{", '{"constructor":1,')), /unknown feature "constructor"/],
    ["all features behind __proto__", JSON.parse(`{"__proto__":${text}}`), /unknown feature "__proto__"/],
    ["an empty object", {}, /"mean_radius" is missing/],
    ["null", null, /^row 1: not an object/],
    ["an array", [14], /^row 1: not an object/],
  ];
  it.each(bad)("refuses %s", (_what, row, message) => {
    const call = () => scoreApplicants([good, row as Record<string, unknown>]);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
    for (const name of SCORECARD_FEATURES) expect(call).toThrow(name);
  });

  it("refuses rows that are not an array, and keeps the message short for a long key", () => {
    expect(() => scoreApplicants({} as never)).toThrow(TypeError);
    let message = "";
    try {
      scoreApplicants([{ ["x".repeat(100_000)]: 1 }]);
    } catch (error) {
      message = String(error);
    }
    expect(message).toMatch(/unknown feature "xxx/);
    expect(message.length).toBeLessThan(400);
  });
});
