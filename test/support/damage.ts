import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EasDecodeError, type TensorResponse } from "../../src/index.js";

// Tests invalid bodies of formats whose outputs are repeated messages. They are read or throw an EasDecodeError.

type Bytes = Uint8Array<ArrayBuffer>;
type Outcome = "read" | "refused";

/** A response and the identifiers of its outputs. */
interface Opened<K> {
  readonly response: TensorResponse<K>;
  readonly outputs: readonly K[];
  /** Accessors that only this format has. */
  readonly more?: (output: K) => unknown;
}

export interface Damaged<K> {
  readonly format: string;
  readonly open: (body: Bytes) => Opened<K>;
  /** A valid body with several outputs of all kinds. */
  readonly body: Bytes;
  /** Numbers of bytes after which the body can be truncated undetected: between its outermost fields. */
  readonly wholeParts: number;
  readonly bodies: fc.Arbitrary<Bytes>;
  /** The field of the outputs. */
  readonly field: number;
}

// Shrinking a failing body takes minutes.
const RUNS = { numRuns: 300, endOnFailure: true };

/** Tests that damaged bodies cause only `EasDecodeError`s. */
export function describeDamage<K>({ format, open, body, wholeParts, bodies, field }: Damaged<K>): void {
  /** Runs a read. Errors other than an EasDecodeError are rethrown. */
  function outcomeOf(read: () => unknown): Outcome {
    try {
      read();
      return "read";
    } catch (error) {
      if (!(error instanceof EasDecodeError)) throw error;
      expect(error.code).toBe("ERR_EAS_DECODE");
      expect([format, "tensor"]).toContain(error.format);
      return "refused";
    }
  }

  /** Reads a body and its content with all accessors. */
  function readAll(body: Bytes): Outcome {
    const reads: (() => unknown)[] = [];
    const made = outcomeOf(() => {
      const { response, outputs, more } = open(body);
      for (const output of outputs) {
        reads.push(
          () => response.getTensorShape(output),
          () => response.getTensor(output),
          () => more?.(output),
          () => {
            const { dtype } = response.getTensor(output);
            // A 64-bit integer can be beyond what a number represents.
            if (dtype === "DT_STRING") response.getStrings(output);
            else if (dtype !== "DT_INT64" && dtype !== "DT_UINT64") response.getNumbers(output);
          },
        );
      }
      reads.push(() => `${response}`);
    });
    const outcomes = reads.map(outcomeOf);
    return made === "refused" || outcomes.includes("refused") ? "refused" : "read";
  }

  describe("damaged bodies", () => {
    test("the body itself can be read", () => {
      expect(readAll(body)).toBe("read");
    });

    test("cut off at any byte", () => {
      const outcomes = Array.from(body, (_, length) => readAll(body.slice(0, length)));
      expect(outcomes.filter((outcome) => outcome === "read")).toHaveLength(wholeParts);
    });

    test("any one bit flipped", () => {
      const outcomes = new Set<Outcome>();
      for (let at = 0; at < body.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const flipped = body.slice();
          (flipped[at] as number) ^= 1 << bit;
          outcomes.add(readAll(flipped));
        }
      }
      expect(outcomes).toEqual(new Set(["read", "refused"]));
    });

    test("any byte replaced by one that ends or stretches a varint", () => {
      for (let at = 0; at < body.length; at++) {
        for (const byte of [0x00, 0x7f, 0x80, 0xff]) readAll(body.map((was, i) => (i === at ? byte : was)));
      }
    });

    test("random bodies, truncated, with flipped bits and with inserted bytes", () => {
      const flip = fc.tuple(fc.nat(), fc.nat({ max: 7 }));
      fc.assert(
        fc.property(
          bodies,
          fc.nat(),
          fc.array(flip, { maxLength: 4 }),
          fc.uint8Array({ maxLength: 4 }),
          (whole, cut, flips, more) => {
            const at = cut % (whole.length + 1);
            readAll(whole.slice(0, at));
            const damaged = new Uint8Array([...whole.subarray(0, at), ...more, ...whole.subarray(at)]);
            for (const [where, bit] of flips) {
              if (damaged.length > 0) (damaged[where % damaged.length] as number) ^= 1 << bit;
            }
            readAll(damaged);
          },
        ),
        RUNS,
      );
    });

    test("random bytes, alone and as an output", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
          readAll(Uint8Array.from(garbage));
          readAll(new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(garbage).finish());
        }),
        RUNS,
      );
    });

    test("text, as a proxy may respond", () => {
      for (const text of ['{"error":"x"}', "<html><body>502 Bad Gateway</body></html>", "no healthy upstream", "ok"]) {
        expect(readAll(new TextEncoder().encode(text))).toBe("refused");
      }
    });

    test("groups without an end, without a start, and nested too deeply", () => {
      const group = (depth: number, end: boolean) => {
        const writer = new BinaryWriter();
        for (let i = 0; i < depth; i++) writer.tag(60, WireType.StartGroup);
        for (let i = 0; end && i < depth; i++) writer.tag(60, WireType.EndGroup);
        return writer.finish();
      };
      expect(readAll(group(90, true))).toBe("read");
      expect(readAll(group(1, false))).toBe("refused");
      expect(readAll(group(100_000, true))).toBe("refused");
      expect(readAll(new BinaryWriter().tag(60, WireType.EndGroup).finish())).toBe("refused");
    });

    test("lengths beyond the body, of up to ten bytes", () => {
      for (const length of [1n, 127n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
        expect(readAll(new BinaryWriter().tag(field, WireType.LengthDelimited).uint64(length).finish())).toBe(
          "refused",
        );
      }
    });

    test("an error has the format and the position", () => {
      const cutOff = new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(5).finish();
      let error: unknown;
      try {
        open(cutOff);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({
        name: "EasDecodeError",
        format,
        offset: 1,
        message: `the response is not a valid ${format} message: a field is longer than the message at byte 1`,
      });
    });
  });
}

/** Overwrites the values of a response. */
export function overwrite(values: unknown): void {
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) values.fill(77n);
  else if (ArrayBuffer.isView(values)) (values as Uint8Array).fill(77);
  else if (Array.isArray(values)) for (const value of values) if (value instanceof Uint8Array) value.fill(77);
}

/** Positions of a body in memory. */
export const PLACES: Readonly<Record<string, (body: Bytes) => Bytes>> = {
  "a body of its own": (body) => body.slice(),
  "a view into a larger buffer, one byte from its beginning": (body) => {
    const larger = new Uint8Array(body.length + 3).fill(0xee);
    larger.set(body, 1);
    return larger.subarray(1, 1 + body.length);
  },
  "a Buffer": (body) => Buffer.from(body) as Uint8Array as Bytes,
};
