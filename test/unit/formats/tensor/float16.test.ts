import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromBFloat16, fromFloat16, toBFloat16, toFloat16 } from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";
import { BFLOAT16, FLOAT16, type Format, infinityOf, nearest, numberOf } from "../../../support/halves.js";

// Tests 16-bit floats against their definition, which support/halves.ts computes with exact integers.

const RUNS = { numRuns: 2_000 };

interface Case {
  readonly format: Format;
  readonly to: (values: Float32Array | ArrayLike<number>) => Uint16Array;
  readonly from: (bits: Uint16Array | ArrayLike<number>) => Float32Array;
}

const CASES: Readonly<Record<string, Case>> = {
  float16: { format: FLOAT16, to: toFloat16, from: fromFloat16 },
  bfloat16: { format: BFLOAT16, to: toBFloat16, from: fromBFloat16 },
};

const ALL = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
const bits32 = (floats: Float32Array): Uint32Array => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
const asFloat = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0] as number;

/** Compares memory, because `toEqual` is slow for tens of thousands of values. */
function expectSame(actual: Uint16Array, expected: Uint16Array): void {
  const memory = (values: Uint16Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  if (!memory(actual).equals(memory(expected))) expect(actual).toEqual(expected);
}

/** Returns the two doubles next to a positive finite number. */
function beside(value: number): { below: number; above: number } {
  const pattern = new BigUint64Array(Float64Array.of(value).buffer)[0] as bigint;
  const [below, above] = new Float64Array(BigUint64Array.of(pattern - 1n, pattern + 1n).buffer);
  return { below: below as number, above: above as number };
}

describe.each(Object.entries(CASES))("%s", (_, { format, to, from }) => {
  const infinity = infinityOf(format);
  /** The non-negative finite numbers by bit pattern, and the number after the last. */
  const magnitudes = Array.from({ length: infinity }, (_, bits) => numberOf(format, bits));
  const last = magnitudes[infinity - 1] as number;
  const beyond = last + (last - (magnitudes[infinity - 2] as number));
  const next = [...magnitudes.slice(1), beyond];

  test("every bit pattern has the value that the standard defines", () => {
    const numbers = from(ALL);
    expect(numbers).toBeInstanceOf(Float32Array);
    expect(numbers).toEqual(Float32Array.from(ALL, (bits) => numberOf(format, bits)));
    // A list has the same result.
    expect(from([...ALL])).toEqual(numbers);
  });

  test("every bit pattern survives a round trip, including NaN payloads", () => {
    const back = to(from(ALL));
    expect(back).toBeInstanceOf(Uint16Array);
    expectSame(back, ALL);
  });

  test("the bits of every number survive a round trip through 64-bit floats and lists; NaN stays NaN", () => {
    const numbers = from(ALL);
    for (const values of [Float64Array.from(numbers), [...numbers]]) {
      const back = to(values);
      const isNumber = ALL.map((bits) => Number(!Number.isNaN(numberOf(format, bits))));
      expectSame(
        back.filter((_, i) => isNumber[i] === 1),
        ALL.filter((_, i) => isNumber[i] === 1),
      );
      expect(back.every((bits, i) => isNumber[i] === 1 || bits % 0x8000 > infinity)).toBe(true);
    }
  });

  test("ties are rounded to even, and numbers next to a tie to the nearest, between all neighbors", () => {
    const ties = magnitudes.map((value, i) => (value + (next[i] as number)) / 2);
    const even = Uint16Array.from(ties, (_, i) => (i % 2 === 0 ? i : i + 1));
    for (const sign of [1, -1]) {
      const signBit = sign < 0 ? 0x8000 : 0;
      const signed = (bits: Uint16Array) => bits.map((magnitude) => magnitude + signBit);
      const values = ties.map((tie) => sign * tie);
      // 32-bit floats represent all ties exactly.
      expectSame(to(Float32Array.from(values)), signed(even));
      expectSame(to(Float64Array.from(values)), signed(even));
      expectSame(to(values), signed(even));
      const above = ties.map((tie) => sign * beside(tie).above);
      const below = ties.map((tie) => sign * beside(tie).below);
      expectSame(to(above), signed(Uint16Array.from(ties, (_, i) => i + 1)));
      expectSame(to(below), signed(Uint16Array.from(ties, (_, i) => i)));
      // Tests the adjacent 32-bit floats, too.
      const floatTies = bits32(Float32Array.from(ties));
      const floats = (by: number) => Float32Array.from(floatTies, (bits) => sign * asFloat(bits + by));
      expectSame(to(floats(1)), signed(Uint16Array.from(ties, (_, i) => i + 1)));
      expectSame(to(floats(-1)), signed(Uint16Array.from(ties, (_, i) => i)));
    }
  });

  // Numbers with the exponents of the format, besides doubles of all kinds.
  const near = fc
    .tuple(fc.integer({ min: 0, max: infinity - 1 }), fc.double({ min: -2, max: 2, noNaN: true }), fc.boolean())
    .map(([pattern, steps, negative]) => {
      const value = magnitudes[pattern] as number;
      return (negative ? -1 : 1) * (value + steps * ((next[pattern] as number) - value));
    });
  const double = fc.oneof(near, fc.double({ noNaN: true }));

  test("64-bit floats are rounded once, to the nearest", () => {
    fc.assert(
      fc.property(fc.array(double, { minLength: 1, maxLength: 20 }), (values) => {
        const expected = Uint16Array.from(values, (value) => nearest(format, value));
        expect(to(values)).toEqual(expected);
        expect(to(Float64Array.from(values))).toEqual(expected);
      }),
      RUNS,
    );
  });

  test("32-bit floats are rounded to the nearest", () => {
    const float = fc.oneof(near.map(Math.fround), fc.float({ noNaN: true }));
    fc.assert(
      fc.property(fc.array(float, { minLength: 1, maxLength: 20 }), (values) => {
        const expected = Uint16Array.from(values, (value) => nearest(format, value));
        expect(to(Float32Array.from(values))).toEqual(expected);
        expect(to(values)).toEqual(expected);
      }),
      RUNS,
    );
  });

  test("integers in other typed arrays", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 20 }), (values) => {
        const expected = Uint16Array.from(values, (value) => nearest(format, value));
        expect(to(Int32Array.from(values))).toEqual(expected);
      }),
      RUNS,
    );
  });

  test("zeros keep their sign, also after underflow", () => {
    const least = numberOf(format, 1);
    for (const values of [[0, -0, least / 2, -least / 2, 0, -0]]) {
      const expected = Uint16Array.of(0, 0x8000, 0, 0x8000, 0, 0x8000);
      expect(to(values)).toEqual(expected);
      expect(to(Float32Array.from(values))).toEqual(expected);
    }
    // Smaller than every 32-bit float.
    expect(to([5e-324, -5e-324])).toEqual(Uint16Array.of(0, 0x8000));
    expect(Object.is(from(Uint16Array.of(0x8000))[0], -0)).toBe(true);
  });

  test("infinities do not change, and larger numbers become infinite", () => {
    const limit = last + (beyond - last) / 2;
    const { below } = beside(limit);
    const values = [Number.POSITIVE_INFINITY, limit, below, last, Number.MAX_VALUE];
    const expected = [infinity, infinity, infinity - 1, infinity - 1, infinity];
    expect(to(values)).toEqual(Uint16Array.from(expected));
    expect(to(values.map((value) => -value))).toEqual(Uint16Array.from(expected, (bits) => bits + 0x8000));
  });

  test("every kind of NaN stays NaN, with its sign", () => {
    const payload = fc.oneof(
      fc.integer({ min: 1, max: 0x7f_ffff }),
      // Bits that are dropped, and those next to the bits that are kept.
      fc.constantFrom(1, 0x1fff, 0x2000, 0xffff, 0x1_0000, 0x3f_ffff, 0x40_0000, 0x7f_ffff),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(payload, fc.boolean()), { minLength: 1 }), (patterns) => {
        const floats = new Float32Array(patterns.length);
        bits32(floats).set(patterns.map(([bits, negative]) => (negative ? 0xff80_0000 : 0x7f80_0000) + bits));
        const result = to(floats);
        expect(result.every((bits) => bits % 0x8000 > infinity)).toBe(true);
        expect([...result].map((bits) => bits >= 0x8000)).toEqual(patterns.map(([, negative]) => negative));
      }),
      RUNS,
    );
    expect(from(to([Number.NaN]))).toEqual(Float32Array.of(Number.NaN));
  });

  test("the result has new memory of the same length, also for views and empty arrays", () => {
    expect(to([])).toEqual(new Uint16Array(0));
    expect(from([])).toEqual(new Float32Array(0));
    const floats = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    const expected = to([1, 2]);
    expect(to(floats)).toEqual(expected);
    const larger = Uint16Array.of(9, ...expected, 9);
    expect(from(larger.subarray(1, 3))).toEqual(Float32Array.of(1, 2));
    expect(from(expected).buffer).not.toBe(expected.buffer);
    from(expected).fill(7);
    to(floats).fill(7);
    expect(from(expected)).toEqual(Float32Array.of(1, 2));
    expect(floats).toEqual(Float32Array.of(1, 2));
  });
});

// Computed with numpy 1.24 and 2: np.array(values, np.float64).astype(np.float16).view(np.uint16).
test.each<[value: number, bits: number]>([
  [1 + 2 ** -11, 0x3c00],
  // Rounding twice, through 32 bits, would round down.
  [1 + 2 ** -11 + 2 ** -30, 0x3c01],
  [1 + 3 * 2 ** -11, 0x3c02],
  [65_504, 0x7bff],
  [65_519.999, 0x7bff],
  [65_520, 0x7c00],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [2 ** -25 * (1 + 2 ** -40), 0x0001],
  [6.0975552e-5, 0x03ff],
  [6.103515625e-5, 0x0400],
  [Math.PI, 0x4248],
  [-0.1, 0xae66],
  [1e-10, 0x0000],
  [-1e300, 0xfc00],
  [2_049, 0x6800],
  [2_051, 0x6802],
  [1 / 3, 0x3555],
])("toFloat16 of %d equals numpy", (value, bits) => {
  expect(toFloat16([value])).toEqual(Uint16Array.of(bits));
  expect(nearest(FLOAT16, value)).toBe(bits);
});

// bfloat16 is the upper half of a 32-bit float, so these were computed by hand.
test.each<[value: number, bits: number]>([
  [1, 0x3f80],
  [1 + 2 ** -8, 0x3f80],
  [1 + 2 ** -8 + 2 ** -40, 0x3f81],
  [1 + 3 * 2 ** -8, 0x3f82],
  [3.140625, 0x4049],
  [-2.5, 0xc020],
  [(2 - 2 ** -7) * 2 ** 127, 0x7f7f],
  [(2 - 2 ** -8) * 2 ** 127, 0x7f80],
  [2 ** -133, 0x0001],
  [2 ** -134, 0x0000],
  [2 ** -126, 0x0080],
])("toBFloat16 of %d", (value, bits) => {
  expect(toBFloat16([value])).toEqual(Uint16Array.of(bits));
  expect(nearest(BFLOAT16, value)).toBe(bits);
});

describe("invalid arguments", () => {
  test.each<[what: string, values: unknown]>([
    ["a single number", 5],
    ["nothing", undefined],
    ["text", ["1.5"]],
    ["bigints", [1n]],
    ["64-bit integers", BigInt64Array.of(1n)],
    ["nested arrays", [[1]]],
    ["a hole", new Array(1)],
  ])("%s instead of numbers is a TypeError with a code", (_, values) => {
    for (const act of [toFloat16, toBFloat16, fromFloat16, fromBFloat16]) {
      expect(thrownBy(() => act(values as never))).toMatchObject({
        name: expect.stringMatching(/^(Type|Range)Error$/),
        code: "ERR_EAS_ARG_CONTENT",
      });
    }
  });

  test.each([[-1], [65_536], [1.5], [Number.NaN]])("%d is not a 16-bit integer", (bits) => {
    for (const act of [fromFloat16, fromBFloat16]) {
      expect(thrownBy(() => act([bits]))).toMatchObject({ name: "RangeError", code: "ERR_EAS_ARG_CONTENT" });
    }
  });
});

interface Float16Runtime {
  readonly Float16Array?: { from(values: ArrayLike<number>): ArrayLike<number> & ArrayBufferView };
}

test.skipIf((globalThis as Float16Runtime).Float16Array === undefined)("agrees with the runtime's Float16Array", () => {
  const { Float16Array: Own } = globalThis as unknown as Required<Float16Runtime>;
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true })), (values) => {
      const { buffer } = Own.from(values);
      expect(toFloat16(values)).toEqual(new Uint16Array(buffer as ArrayBuffer));
      expect(toFloat16(Own.from(values))).toEqual(new Uint16Array(buffer as ArrayBuffer));
    }),
    RUNS,
  );
});
