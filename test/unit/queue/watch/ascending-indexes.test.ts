import { describe, expect, test } from "vitest";
import { randomBits } from "../../../../src/emulator/models/random-bits.js";
import { AscendingIndexes } from "../../../../src/queue/watch/deliveries/ascending-indexes.js";

describe("AscendingIndexes", () => {
  test.each([1, 2, 3, 4, 5])("behaves as a sorted map, seed %i", (seed) => {
    const bits = randomBits(String(seed));
    const random = () => bits() / 2 ** 32;
    const indexes = new AscendingIndexes<{ index: bigint }>();
    const model = new Map<bigint, { index: bigint }>();
    let next = 0;
    for (let step = 0; step < 20_000; step++) {
      const kind = random();
      // Entries are mostly added and deleted in order, as in a watch, and some are not.
      const old = BigInt(Math.floor(random() * (next + 1)));
      const oldest = model.keys().next().value;
      const index = kind < 0.45 ? BigInt(++next) : kind < 0.9 && oldest !== undefined ? oldest : old;
      if (kind < 0.45 || (kind > 0.95 && !model.has(index))) {
        const value = { index };
        indexes.add(index, value);
        model.set(index, value);
      } else {
        expect(indexes.delete(index)).toBe(model.get(index));
        model.delete(index);
      }
      expect(indexes.size).toBe(model.size);
      expect(indexes.get(old)).toBe(model.get(old));
      if (step % 500 === 0) {
        const sorted = [...model.values()].sort((a, b) => (a.index < b.index ? -1 : 1));
        expect(indexes.values()).toEqual(sorted);
      }
    }
    expect(indexes.max).toBe(BigInt(next));
  });

  test("keeps the maximum index after its deletion", () => {
    const indexes = new AscendingIndexes<object>();
    expect(indexes.max).toBe(-1n);
    indexes.add(5n, {});
    indexes.delete(5n);
    expect([indexes.max, indexes.size, indexes.get(5n), indexes.delete(5n)]).toEqual([5n, 0, undefined, undefined]);
    indexes.add(5n, {});
    expect(indexes.size).toBe(1);
  });
});
