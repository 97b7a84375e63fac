import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDuration } from "../../../src/emulator/queue/duration.js";
import { checkDuration, checkIndex, checkIndexes, checkTags, type FrameIndex } from "../../../src/queue/values.js";
import { thrownBy } from "../../support/calls.js";

// These tests check which indexes, durations and tags are accepted, and how they are encoded.

const GREATEST = 2n ** 64n - 1n;
const RUNS = { numRuns: 500 };

/** Formats a duration as Go's `Duration.String()` does: largest unit first, and one fitting unit below a second. */
function goDuration(nanoseconds: bigint): string {
  if (nanoseconds === 0n) return "0s";
  const fraction = (value: bigint, digits: number): string => {
    const scale = 10n ** BigInt(digits);
    const rest = String(value % scale)
      .padStart(digits, "0")
      .replace(/0+$/, "");
    return rest === "" ? `${value / scale}` : `${value / scale}.${rest}`;
  };
  if (nanoseconds < 1_000n) return `${nanoseconds}ns`;
  if (nanoseconds < 1_000_000n) return `${fraction(nanoseconds, 3)}µs`;
  if (nanoseconds < 1_000_000_000n) return `${fraction(nanoseconds, 6)}ms`;
  const minutes = nanoseconds / 60_000_000_000n;
  const seconds = `${fraction(nanoseconds % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return seconds;
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

describe("durations", () => {
  test("the test's formatter agrees with Go", () => {
    const cases: [bigint, string][] = [
      [0n, "0s"],
      [1n, "1ns"],
      [250_000n, "250µs"],
      [1_500n, "1.5µs"],
      [500_000_000n, "500ms"],
      [1_500_000_000n, "1.5s"],
      [60_000_000_000n, "1m0s"],
      [5_400_000_000_000n, "1h30m0s"],
      [3_600_000_000_000n, "1h0m0s"],
      [2_091_000_000n, "2.091s"],
    ];
    for (const [nanoseconds, text] of cases) expect(goDuration(nanoseconds)).toBe(text);
  });

  test("accepts all durations in Go's format", () => {
    // The durations are up to ten days long, on a logarithmic scale.
    const nanoseconds = fc
      .integer({ min: 0, max: 49 })
      .chain((bits) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) }));
    fc.assert(
      fc.property(nanoseconds, (value) => {
        const text = goDuration(value);
        const duration = checkDuration("timeout", text);
        expect(duration.text).toBe(text);
        expect(duration.milliseconds).toBeCloseTo(Number(value) / 1e6, 5);
        expect(parseDuration(text)).toBeCloseTo(duration.milliseconds, 5);
      }),
      RUNS,
    );
  });

  test("adds terms in any order and number, as Go does", () => {
    const units = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 3.6e6 } as const;
    const term = fc.tuple(
      fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[])),
      // Five terms of the longest unit stay below the maximum delay of a timer.
      fc.integer({ min: 0, max: 99 }),
      fc.option(fc.integer({ min: 0, max: 99 }), { nil: undefined }),
    );
    fc.assert(
      fc.property(fc.array(term, { minLength: 1, maxLength: 5 }), (terms) => {
        const counts = terms.map(([, whole, part]) => (part === undefined ? `${whole}` : `${whole}.${part}`));
        const text = terms.map(([unit], i) => counts[i] + unit).join("");
        const sum = terms.reduce((sum, [unit], i) => sum + Number(counts[i]) * units[unit], 0);
        expect(checkDuration("timeout", text).milliseconds).toBeCloseTo(sum, 3);
      }),
      RUNS,
    );
  });

  test("rounds numbers up to whole milliseconds", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 2 ** 31 - 1, noNaN: true }), (value) => {
        const { text, milliseconds } = checkDuration("timeout", value);
        expect(milliseconds).toBe(Math.ceil(value));
        expect(text).toMatch(/^\d+ms$/);
        // The service and the client use the same duration.
        expect(parseDuration(text)).toBe(milliseconds);
      }),
      RUNS,
    );
    expect(checkDuration("timeout", -0)).toMatchObject({ text: "0ms" });
  });

  test("rejects any other text with an error that names the argument", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 8 }), fc.stringMatching(/^[0-9.hmsnuµ +-]{0,6}$/)), (text) => {
        fc.pre(parseDuration(text) === undefined);
        expect(thrownBy(() => checkDuration("wait", text))).toMatchObject({
          name: "TypeError",
          code: "ERR_EAS_ARG_TIMEOUT",
          message: expect.stringMatching(/^wait is "/),
        });
      }),
      RUNS,
    );
  });

  test("accepts exactly the durations that the emulator's parser accepts", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^([0-9]{0,2}(\.[0-9]?)?(h|m|s|ms|us|µs|ns)){1,3}$/), (text) => {
        let duration: ReturnType<typeof checkDuration> | undefined;
        try {
          duration = checkDuration("timeout", text);
        } catch {}
        expect(parseDuration(text)).toEqual(duration?.milliseconds);
      }),
      RUNS,
    );
  });

  test("parses consecutive texts independently", () => {
    expect(thrownBy(() => checkDuration("t", "5s5"))).toMatchObject({ code: "ERR_EAS_ARG_TIMEOUT" });
    expect(checkDuration("t", "5s").milliseconds).toBe(5000);
    expect(checkDuration("t", "1h30m").milliseconds).toBe(5_400_000);
  });
});

describe("indexes", () => {
  const uint64 = fc.bigInt({ min: 0n, max: GREATEST });

  test("accepts the whole range, as a bigint and as a string", () => {
    fc.assert(
      fc.property(uint64, (value) => {
        expect(checkIndex("index", value)).toBe(value);
        expect(checkIndex("index", `${value}`)).toBe(value);
        expect(checkIndex("index", `${value}`.padStart(20, "0"))).toBe(value);
      }),
      RUNS,
    );
    for (const value of [0n, GREATEST]) expect(checkIndex("index", value)).toBe(value);
  });

  test("accepts safe integers", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(checkIndex("index", value)).toBe(BigInt(value));
      }),
      RUNS,
    );
    expect(checkIndex("index", -0)).toBe(0n);
  });

  test("rejects values outside the range, instead of rounding them to another index", () => {
    const outside = fc.oneof(
      fc.bigInt({ max: -1n }),
      fc.bigInt({ min: GREATEST + 1n }),
      fc.double().filter((value) => !Number.isSafeInteger(value) || value < 0),
      fc.bigInt({ min: GREATEST + 1n }).map(String),
      fc.bigInt({ max: -1n }).map(String),
      fc.string({ maxLength: 6 }).filter((text) => !/^\d+$/.test(text)),
    );
    fc.assert(
      fc.property(outside as fc.Arbitrary<FrameIndex>, (value) => {
        const error = thrownBy(() => checkIndex("here", value));
        expect(error).toMatchObject({ code: "ERR_EAS_ARG_INDEX", message: expect.stringMatching(/^here is /) });
        expect(error.name).toBe(typeof value === "string" ? "TypeError" : "RangeError");
      }),
      RUNS,
    );
  });

  test("keeps the order of lists, and removes duplicates in any notation", () => {
    const written = fc
      .tuple(uint64, fc.boolean())
      .map(([value, asText]): [bigint, FrameIndex] => [
        value,
        asText ? String(value) : value <= 2n ** 53n - 1n ? Number(value) : value,
      ]);
    fc.assert(
      fc.property(fc.array(written, { maxLength: 8 }), (list) => {
        const given = [...list, ...list].map(([, index]) => index);
        const expected = [...new Set(list.map(([value]) => value))];
        expect(checkIndexes("indexes", given)).toEqual(expected);
        expect(checkIndexes("indexes", new Set(given))).toEqual(expected);
        expect(checkIndexes("indexes", given.values())).toEqual(expected);
      }),
      RUNS,
    );
    expect(checkIndexes("indexes", "12")).toEqual([12n]);
    expect(checkIndexes("indexes", BigUint64Array.of(1n, GREATEST))).toEqual([1n, GREATEST]);
    expect(checkIndexes("indexes", [])).toEqual([]);
  });
});

describe("tags", () => {
  test("accepts all values and all names that are not reserved, in their order", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 });
    const pairs = fc.uniqueArray(fc.tuple(name, fc.string({ unit: "grapheme" })), { selector: ([key]) => key });
    fc.assert(
      fc.property(pairs, (list) => {
        fc.pre(list.every(([key]) => !key.startsWith("_") && key !== "requestId"));
        const tags = Object.fromEntries(list);
        expect(checkTags(tags)).toEqual(Object.entries(tags));
        expect(checkTags(Object.assign(Object.create(null), tags))).toEqual(Object.entries(tags));
      }),
      RUNS,
    );
  });

  test("accepts no tags", () => {
    expect(checkTags(undefined)).toEqual([]);
    expect(checkTags({})).toEqual([]);
  });
});
