import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as tf from "../../../../src/gen/eas/tf/tf_pb.js";
import * as torch from "../../../../src/gen/eas/torch/torch_pb.js";
import { type DType, EasDecodeError, type TFDType, TFResponse, TorchResponse } from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";
import { tfBody, torchBody } from "../../../support/layout.js";
import {
  anySample,
  bits,
  DTYPES,
  KINDS,
  namedSamples,
  type Sample,
  TORCH_DTYPES,
  tfArray,
  torchArray,
} from "../../../support/tensors.js";

// Tests invalid bodies: truncated, with flipped bits, or of another format. They are read or throw an EasDecodeError.

const RUNS = { numRuns: 500 };

type Bytes = Uint8Array<ArrayBuffer>;
type Outcome = "read" | "refused";

/** Runs a read. Errors other than an EasDecodeError are rethrown. */
function outcomeOf(read: () => unknown): Outcome {
  try {
    read();
    return "read";
  } catch (error) {
    if (!(error instanceof EasDecodeError)) throw error;
    expect(error.code).toBe("ERR_EAS_DECODE");
    expect(error.format).toMatch(/^(tf|torch|tensor)$/);
    return "refused";
  }
}

/** Reads a body and its content with all accessors. */
function readAll(format: "tf" | "torch", body: Bytes): Outcome {
  const reads: (() => unknown)[] = [];
  const made = outcomeOf(() => {
    if (format === "tf") {
      const response = new TFResponse(body);
      for (const name of response.outputNames) {
        reads.push(
          () => response.getTensorShape(name),
          () => response.getTensor(name),
          () =>
            byDType(response.getTensor(name).dtype, {
              numbers: () => response.getNumbers(name),
              strings: () => response.getStrings(name),
            }),
        );
      }
      reads.push(() => `${response}`);
    } else {
      const response = new TorchResponse(body);
      for (let index = 0; index < response.outputCount; index++) {
        reads.push(
          () => response.getTensorShape(index),
          () => response.getTensor(index),
          () =>
            byDType(response.getTensor(index).dtype, {
              numbers: () => response.getNumbers(index),
              strings: () => response.getStrings(index),
            }),
        );
      }
      for (const name of response.outputNames) {
        reads.push(
          () => response.getTensorShapeMap(name),
          () => response.getTensorMap(name),
        );
      }
      reads.push(() => `${response}`);
    }
  });
  const outcomes = reads.map(outcomeOf);
  return made === "refused" || outcomes.includes("refused") ? "refused" : "read";
}

/** The accessors for a dtype. An int64 can be beyond what a number represents. */
function byDType(dtype: DType, read: { numbers(): number[]; strings(): string[] }): void {
  if (dtype === "DT_STRING") read.strings();
  else if (dtype !== "DT_BOOL" && dtype !== "DT_INT64") read.numbers();
}

const ONE_OF_EACH: readonly [TFDType, Sample["wire"], unknown][] = [
  ["DT_FLOAT", { floatVal: [1, -0, 1.5] }, Float32Array.of(1, -0, 1.5)],
  ["DT_DOUBLE", { doubleVal: [0.1, 5e-324, 3] }, Float64Array.of(0.1, 5e-324, 3)],
  ["DT_INT32", { intVal: [300, -5, 2_147_483_647] }, Int32Array.of(300, -5, 2_147_483_647)],
  ["DT_UINT8", { intVal: [0, 200, 255] }, Uint8Array.of(0, 200, 255)],
  ["DT_INT64", { int64Val: [1n, -1n, 2n ** 62n] }, BigInt64Array.of(1n, -1n, 2n ** 62n)],
  [
    "DT_STRING",
    { stringVal: [Uint8Array.of(104, 105), Uint8Array.of(), Uint8Array.of(255)] },
    [Uint8Array.of(104, 105), Uint8Array.of(), Uint8Array.of(255)],
  ],
  ["DT_BOOL", { boolVal: [true, false, true] }, [true, false, true]],
];
const samples = ONE_OF_EACH.map(
  ([dtype, wire, values]): Sample => ({ tensor: { dtype, shape: [3], data: [] as never }, wire, values }),
);
const torchSamples = samples.filter(({ tensor }) => tensor.dtype !== "DT_BOOL");

const BODIES = {
  tf: toBinary(
    tf.PredictResponseSchema,
    create(tf.PredictResponseSchema, {
      outputs: Object.fromEntries(samples.map((sample) => [sample.tensor.dtype, tfArray(sample)])),
    }),
  ),
  torch: toBinary(
    torch.PredictResponseSchema,
    create(torch.PredictResponseSchema, {
      outputs: torchSamples.map(torchArray),
      mapOutputs: Object.fromEntries(torchSamples.map((sample) => [sample.tensor.dtype, torchArray(sample)])),
    }),
  ),
} as const;

describe.each(["tf", "torch"] as const)("%s", (format) => {
  const body = BODIES[format];

  test("the body itself can be read", () => {
    expect(readAll(format, body)).toBe("read");
  });

  test("cut off at any byte", () => {
    const outcomes = Array.from(body, (_, length) => readAll(format, body.slice(0, length)));
    // A truncation between two fields of the outermost message cannot be detected.
    const whole = outcomes.filter((outcome) => outcome === "read").length;
    expect(whole).toBe(format === "tf" ? samples.length : 2 * torchSamples.length);
  });

  test("any one bit flipped", () => {
    const outcomes = new Set<Outcome>();
    for (let at = 0; at < body.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = body.slice();
        (flipped[at] as number) ^= 1 << bit;
        outcomes.add(readAll(format, flipped));
      }
    }
    expect(outcomes).toEqual(new Set(["read", "refused"]));
  });

  test("any byte replaced by one that ends or stretches a varint", () => {
    for (let at = 0; at < body.length; at++) {
      for (const byte of [0x00, 0x7f, 0x80, 0xff])
        readAll(
          format,
          Uint8Array.from(body, (was, i) => (i === at ? byte : was)),
        );
    }
    // The last byte is part of a value. A varint that does not end there is rejected.
    const stretched = body.slice();
    stretched[1] = 0xff;
    expect(readAll(format, stretched)).toBe("refused");
  });

  const bodies = fc.gen().map((g) =>
    format === "tf"
      ? tfBody(
          g,
          g(() => namedSamples(DTYPES)),
          { asGenerated: false },
        )
      : torchBody(
          g,
          g(() => fc.array(anySample(TORCH_DTYPES), { maxLength: 3 })),
          g(() => namedSamples(TORCH_DTYPES)),
          { asGenerated: false },
        ),
  );

  test("random bodies, truncated, with flipped bits and with inserted bytes", () => {
    fc.assert(
      fc.property(
        bodies,
        fc.nat(),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 7 })), { maxLength: 4 }),
        fc.uint8Array({ maxLength: 4 }),
        (whole, cut, flips, more) => {
          const at = whole.length === 0 ? 0 : cut % (whole.length + 1);
          readAll(format, whole.slice(0, at));
          const damaged = new Uint8Array([...whole.subarray(0, at), ...more, ...whole.subarray(at)]);
          for (const [where, bit] of flips) {
            if (damaged.length > 0) (damaged[where % damaged.length] as number) ^= 1 << bit;
          }
          readAll(format, damaged);
        },
      ),
      RUNS,
    );
  });

  test("random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
        const bytes = Uint8Array.from(garbage);
        readAll(format, bytes);
        // Tests the same bytes as the content of an output.
        const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).fork();
        if (format === "tf") writer.tag(2, WireType.LengthDelimited).fork().raw(bytes).join();
        else writer.raw(bytes);
        readAll(format, writer.join().finish());
      }),
      RUNS,
    );
  });

  test("text, as a proxy may respond", () => {
    for (const text of ['{"error":"x"}', "<html><body>502 Bad Gateway</body></html>", "no healthy upstream", "ok"]) {
      expect(readAll(format, new TextEncoder().encode(text))).toBe("refused");
    }
  });

  test("groups without an end, without a start, and nested too deeply", () => {
    const group = (depth: number, end: boolean) => {
      const writer = new BinaryWriter();
      for (let i = 0; i < depth; i++) writer.tag(60, WireType.StartGroup);
      for (let i = 0; end && i < depth; i++) writer.tag(60, WireType.EndGroup);
      return writer.finish();
    };
    expect(readAll(format, group(90, true))).toBe("read");
    expect(readAll(format, group(1, false))).toBe("refused");
    expect(readAll(format, new BinaryWriter().tag(60, WireType.EndGroup).finish())).toBe("refused");
    expect(readAll(format, new BinaryWriter().tag(60, WireType.StartGroup).tag(61, WireType.EndGroup).finish())).toBe(
      "refused",
    );
    expect(readAll(format, group(1_000_000, true))).toBe("refused");
  });

  test("truncated fixed-width fields, known and unknown", () => {
    // Inside an output, so that the bytes after it could be mistaken for its rest.
    const inOutput = (tensor: Bytes) => {
      const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).fork();
      if (format === "tf") writer.tag(2, WireType.LengthDelimited).bytes(tensor);
      else writer.raw(tensor);
      return writer.join().tag(60, WireType.LengthDelimited).bytes(new Uint8Array(8)).finish();
    };
    const fields: readonly (readonly [number, WireType, number])[] = [
      [3, WireType.Bit32, 4],
      [4, WireType.Bit64, 8],
      [61, WireType.Bit32, 4],
      [62, WireType.Bit64, 8],
    ];
    for (const [field, type, width] of fields) {
      const tag = new BinaryWriter().tag(field, type).finish();
      for (let length = 0; length <= width; length++) {
        const tensor = new Uint8Array([8, field === 4 ? 2 : 1, ...tag, ...new Uint8Array(length)]);
        expect(readAll(format, inOutput(tensor))).toBe(length === width ? "read" : "refused");
        const outermost = new Uint8Array([...new BinaryWriter().tag(61, type).finish(), ...new Uint8Array(length)]);
        expect(readAll(format, outermost)).toBe(length === width ? "read" : "refused");
      }
    }
  });

  test("lengths beyond the body, of up to ten bytes", () => {
    for (const length of [1n, 127n, 2n ** 31n, 2n ** 32n + 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      const bytes = new BinaryWriter().tag(1, WireType.LengthDelimited).uint64(length).finish();
      expect(readAll(format, bytes)).toBe("refused");
    }
  });
});

test.each([
  ["0a05", 1, /a field is longer than the message/],
  ["0a110a0179120c080112030a01011a03000000", 16, /length of packed values is not a multiple of 4/],
  ["0a0f0a0179120a080312030a01012a0181", 16, /a varint is truncated/],
  ["0e00", 1, /field 1 has the unexpected wire type 6/],
  ["0001", 0, /a tag is not valid/],
  ["088080808080808080808001", 1, /more than ten bytes/],
])("%s fails at byte %i", (hex, offset, why) => {
  const error = thrownBy(() => new TFResponse(new Uint8Array(Buffer.from(hex, "hex"))));
  expect(error).toBeInstanceOf(EasDecodeError);
  expect(error).toMatchObject({ format: "tf", offset, message: expect.stringMatching(why) });
  expect(error.message).toContain(`at byte ${offset}`);
});

describe("values belong to the caller", () => {
  const places: Readonly<Record<string, (body: Bytes) => Bytes>> = {
    "a body of its own": (body) => body.slice(),
    "a view into a larger buffer": (body) => {
      const larger = new Uint8Array(body.length + 7);
      larger.set(body, 3);
      return larger.subarray(3, 3 + body.length);
    },
  };

  test.each(Object.entries(places))("%s", (_, place) => {
    const ours = place(BODIES.tf);
    const theirs = place(BODIES.torch);
    const response = new TFResponse(ours);
    const torchResponse = new TorchResponse(theirs);
    const read = () => samples.map(({ tensor }) => response.getValues(tensor.dtype, tensor.dtype));
    const readTorch = () =>
      torchSamples.flatMap(({ tensor }, i) => [torchResponse.getValues(i), torchResponse.getValuesMap(tensor.dtype)]);
    const expected = samples.map(({ values }) => bits(values));
    const expectedTorch = torchSamples.flatMap(({ values }) => [bits(values), bits(values)]);

    // Changing values of one response does not affect the next.
    for (const values of [...read(), ...readTorch()]) overwrite(values);
    const values = read();
    const torchValues = readTorch();
    expect(values.map(bits)).toEqual(expected);
    expect(torchValues.map(bits)).toEqual(expectedTorch);

    // Overwriting the body does not affect values that were read before.
    ours.fill(0xff);
    theirs.fill(0xff);
    expect(values.map(bits)).toEqual(expected);
    expect(torchValues.map(bits)).toEqual(expectedTorch);
  });

  function overwrite(values: unknown): void {
    if (values instanceof BigInt64Array) values.fill(77n);
    else if (ArrayBuffer.isView(values)) (values as Uint8Array).fill(77);
    else if (Array.isArray(values)) {
      for (const value of values) if (value instanceof Uint8Array) value.fill(77);
      values.fill(77);
    }
  }
});

/** A TF response with the output "y" of a dtype, and one more length-delimited field. */
function withField(dtype: number, field: number, content: readonly number[]): Bytes {
  const tensor = new BinaryWriter().tag(1, WireType.Varint).int32(dtype);
  tensor.tag(field, WireType.LengthDelimited).bytes(Uint8Array.from(content));
  const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).string("y");
  entry.tag(2, WireType.LengthDelimited).bytes(tensor.finish());
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(entry.finish()).finish();
}

test.each([
  ["DT_INT32", 3, 5],
  ["DT_INT64", 9, 7],
  ["DT_BOOL", 10, 8],
] as const)("packed varints of %s have at most ten bytes", (dtype, number, field) => {
  const ones = (count: number) => [...Array<number>(count - 1).fill(0x80), 0x00, 0x01];
  const values = new TFResponse(withField(number, field, ones(10))).getValues("y", dtype);
  expect(Array.from(values, Number)).toEqual([0, 1]);
  expect(thrownBy(() => new TFResponse(withField(number, field, ones(11))))).toMatchObject({
    name: "EasDecodeError",
    message: expect.stringMatching(/a varint has more than ten bytes/),
  });
});

test("a boolean is true when any bit of its varint is set", () => {
  const packed = [0x81, 0x80, 0x00, 0x80, 0x00, 0x80, 0x01, 0x02];
  expect(new TFResponse(withField(10, 8, packed)).getValues("y", "DT_BOOL")).toEqual([true, false, true, true]);
});

test("field 8 contains booleans in TF; in Torch it is unknown and skipped", () => {
  const cutOff = withField(1, 8, [0x80]);
  expect(() => new TFResponse(cutOff)).toThrow(EasDecodeError);
  // The named outputs of Torch are field 2.
  const torchResponse = new TorchResponse(Uint8Array.from(cutOff, (byte, i) => (i === 0 ? 0x12 : byte)));
  expect(torchResponse.getValuesMap("y", "DT_FLOAT")).toEqual(new Float32Array(0));
});

test("the list of dtypes is complete", () => {
  expect(DTYPES).toHaveLength(19);
  expect(new Set(Object.values(KINDS).map(({ number }) => number)).size).toBe(19);
});

describe("regressions", () => {
  test("STRING values from a body that is a Buffer belong to the caller", () => {
    const body = Buffer.from(BODIES.tf) as Uint8Array as Bytes;
    const values = new TFResponse(body).getValues("DT_STRING", "DT_STRING");
    const before = bits(values);
    body.fill(0xff);
    expect(bits(values)).toBe(before);
  });

  test("an output's name keeps a byte order mark", () => {
    const sample = samples[0] as Sample;
    const outputs = { "\ufeffy": tfArray(sample) };
    const body = toBinary(tf.PredictResponseSchema, create(tf.PredictResponseSchema, { outputs }));
    expect(new TFResponse(body).outputNames).toEqual(["\ufeffy"]);
  });

  test("a string value keeps a byte order mark", () => {
    const sample = {
      tensor: { dtype: "DT_STRING", shape: [1], data: [] },
      wire: { stringVal: [new TextEncoder().encode("\ufeffz")] },
      values: [],
    } as const;
    const body = toBinary(
      torch.PredictResponseSchema,
      create(torch.PredictResponseSchema, { outputs: [torchArray(sample as unknown as Sample)] }),
    );
    expect(new TorchResponse(body).getStrings(0)).toEqual(["\ufeffz"]);
  });
});
