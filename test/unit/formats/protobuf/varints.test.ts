import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EasDecodeError, TFRequest, TFResponse } from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";

// Packed varints are read several bytes at a time, so neighboring varints and the position in memory matter. Compares
// with a reader that takes one byte at a time and uses bigints.

const RUNS = { numRuns: 1000 };
const INT32 = { dtype: 3, field: 5 };
const INT64 = { dtype: 9, field: 7 };

/** A varint of 1 to 10 bytes with any bits, which can be longer than necessary or have bits above the 64th. */
const anyVarint = fc
  .array(fc.nat({ max: 127 }), { minLength: 1, maxLength: 10 })
  .map((bytes) => bytes.map((bits, i) => (i < bytes.length - 1 ? bits | 128 : bits)));
const oneByte = fc.nat({ max: 127 }).map((byte) => [byte]);
const ofInteger = (value: bigint): number[] => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
};
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map((value) => ofInteger(BigInt(value)));
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(ofInteger);
const small = fc.integer({ min: -300, max: 300 }).map((value) => ofInteger(BigInt(value)));
/** Runs of one kind, as in real data, and all kinds mixed. */
const varints = fc
  .array(
    fc.oneof(
      ...[anyVarint, oneByte, int32, int64, small].map((kind) => fc.array(kind, { minLength: 1, maxLength: 20 })),
    ),
    { maxLength: 5 },
  )
  .map((runs) => runs.flat());

function bigintOf(varint: readonly number[]): bigint {
  return varint.reduce((value, byte, i) => value | (BigInt(byte & 127) << BigInt(7 * i)), 0n);
}

interface Body {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Position of the packed values. */
  readonly start: number;
}

/** A TF response with one output "y" whose values are `packed`. They start at `offset` bytes after a word boundary. */
function body({ dtype, field }: { dtype: number; field: number }, packed: readonly number[], offset = 0): Body {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string("y");
  writer.tag(2, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int32(dtype);
  writer.tag(field, WireType.LengthDelimited).bytes(Uint8Array.from(packed)).join().join();
  const whole = writer.finish();
  const start = whole.length - packed.length;
  // The bytes on both sides must not be read: they do not end a varint.
  const shift = (((offset - start) % 8) + 8) % 8;
  const memory = new Uint8Array(shift + whole.length + 16).fill(255);
  memory.set(whole, shift);
  return { bytes: memory.subarray(shift, shift + whole.length), start };
}

describe("packed varints of any length, at any position in memory", () => {
  const offset = fc.nat({ max: 7 });

  test("int32: bits above the 32nd are dropped", () => {
    fc.assert(
      fc.property(varints, offset, (list, offset) => {
        const values = new TFResponse(body(INT32, list.flat(), offset).bytes).getValues("y", "DT_INT32");
        expect(values).toEqual(Int32Array.from(list, (varint) => Number(BigInt.asIntN(32, bigintOf(varint)))));
      }),
      RUNS,
    );
  });

  test("int64: bits above the 64th are dropped", () => {
    fc.assert(
      fc.property(varints, offset, (list, offset) => {
        const values = new TFResponse(body(INT64, list.flat(), offset).bytes).getValues("y", "DT_INT64");
        expect(values).toEqual(BigInt64Array.from(list, (varint) => BigInt.asIntN(64, bigintOf(varint))));
      }),
      RUNS,
    );
  });

  test("each length next to each other length, from each alignment, with each number of following bytes", () => {
    const ofLength = (length: number) => ofInteger(length === 10 ? -3n : 1n << BigInt(7 * (length - 1)));
    const lengths = Array.from({ length: 10 }, (_, i) => i + 1);
    for (let offset = 0; offset < 4; offset++) {
      for (const a of lengths) {
        for (const b of lengths) {
          for (let behind = 0; behind <= 12; behind += 3) {
            const list = [ofLength(a), ofLength(b), ...Array.from({ length: behind }, () => [behind])];
            const { bytes } = body(INT32, list.flat(), offset);
            const right = Int32Array.from(list, (varint) => Number(BigInt.asIntN(32, bigintOf(varint))));
            expect(new TFResponse(bytes).getValues("y", "DT_INT32")).toEqual(right);
          }
        }
      }
    }
  });
});

describe("invalid packed varints", () => {
  function failure(bytes: Uint8Array<ArrayBuffer>): unknown {
    const error = thrownBy(() => new TFResponse(bytes));
    expect(error).toBeInstanceOf(EasDecodeError);
    return error;
  }

  test("a varint of eleven bytes or more, at any position", () => {
    fc.assert(
      fc.property(
        varints,
        fc.integer({ min: 11, max: 40 }),
        varints,
        fc.nat({ max: 7 }),
        (before, length, after, offset) => {
          const long = [...Array.from({ length: length - 1 }, () => 128), 1];
          const { bytes, start } = body(INT32, [...before.flat(), ...long, ...after.flat()], offset);
          const at = start + before.flat().length;
          expect(failure(bytes)).toMatchObject({ offset: at, message: expect.stringContaining("more than ten bytes") });
        },
      ),
      RUNS,
    );
  });

  test("a truncated last varint", () => {
    fc.assert(
      fc.property(varints, fc.integer({ min: 1, max: 40 }), fc.nat({ max: 7 }), (before, length, offset) => {
        const { bytes, start } = body(INT64, [...before.flat(), ...Array.from({ length }, () => 255)], offset);
        const at = start + before.flat().length;
        expect(failure(bytes)).toMatchObject({ offset: at, message: expect.stringContaining("truncated") });
      }),
      RUNS,
    );
  });
});

test("int32 of every number of bits is written with the minimum number of bytes", () => {
  const edges = Array.from({ length: 32 }, (_, bit) => 2 ** bit).flatMap((edge) => [edge - 1, edge, -edge]);
  const values = Int32Array.from(edges.filter((edge) => edge < 2 ** 31));
  const packed = [...values].flatMap((value) => ofInteger(BigInt(value)));
  const request = new TFRequest().addFeed("y", [values.length], "DT_INT32", values).toBinary();
  expect([...request.subarray(-packed.length)]).toEqual(packed);
});
