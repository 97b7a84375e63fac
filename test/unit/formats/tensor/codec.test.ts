import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as tf from "../../../../src/gen/eas/tf/tf_pb.js";
import * as torch from "../../../../src/gen/eas/torch/torch_pb.js";
import { type DType, TFRequest, TFResponse, TorchRequest, TorchResponse } from "../../../../src/index.js";
import { tfBody, torchBody } from "../../../support/layout.js";
import {
  anySample,
  bits,
  DTYPES,
  int64,
  name,
  namedSamples,
  type Sample,
  sampleOf,
  TORCH_DTYPES,
  tfArray,
  torchArray,
} from "../../../support/tensors.js";

// Tests our tensor codec against the generated code: both write the same bytes and read the same values.

const RUNS = { numRuns: 100 };
const MANY_RUNS = { numRuns: 300 };

const join = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** The parts of the message, because the generated code has no order for the entries of a map. */
const tfParts = (signatureName: string, inputs: readonly [string, Sample][], outputFilter: string[]) =>
  join(
    [
      { signatureName },
      ...inputs.map(([key, sample]) => ({ inputs: { [key]: tfArray(sample) } })),
      { outputFilter },
    ].map((part) => toBinary(tf.PredictRequestSchema, create(tf.PredictRequestSchema, part))),
  );

describe("requests have the bytes of the generated code", () => {
  test.each(DTYPES)("TF, one input of %s", (dtype) => {
    fc.assert(
      fc.property(name, sampleOf(dtype), (key, sample) => {
        expect(new TFRequest().addFeed(key, sample.tensor).toBinary()).toEqual(tfParts("", [[key, sample]], []));
      }),
      RUNS,
    );
  });

  test("TF, whole requests, which the generated code also reads", () => {
    fc.assert(
      fc.property(name, namedSamples(DTYPES), fc.array(name), (signatureName, inputs, outputFilter) => {
        const request = new TFRequest(signatureName);
        for (const [key, { tensor }] of inputs) request.addFeed(key, tensor.shape, tensor.dtype, tensor.data);
        for (const output of outputFilter) request.addFetch(output);
        const body = request.toBinary();
        expect(body).toEqual(tfParts(signatureName, inputs, outputFilter));
        const message = create(tf.PredictRequestSchema, {
          signatureName,
          inputs: Object.fromEntries(inputs.map(([key, sample]) => [key, tfArray(sample)])),
          outputFilter,
        });
        expect(fromBinary(tf.PredictRequestSchema, body)).toEqual(message);
      }),
      MANY_RUNS,
    );
  });

  test.each(TORCH_DTYPES)("Torch, one input of %s", (dtype) => {
    fc.assert(
      fc.property(name, sampleOf(dtype), (key, sample) => {
        const inputs = create(torch.PredictRequestSchema, { inputs: [torchArray(sample)] });
        expect(new TorchRequest().addFeed(0, sample.tensor).toBinary()).toEqual(
          toBinary(torch.PredictRequestSchema, inputs),
        );
        const mapInputs = create(torch.PredictRequestSchema, { mapInputs: { [key]: torchArray(sample) } });
        expect(new TorchRequest().addFeedMap(key, sample.tensor).toBinary()).toEqual(
          toBinary(torch.PredictRequestSchema, mapInputs),
        );
      }),
      RUNS,
    );
  });

  test("Torch, whole requests, which the generated code also reads", () => {
    const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const inputsArbitrary = fc.array(fc.option(anySample(TORCH_DTYPES)), { maxLength: 4 });
    fc.assert(
      fc.property(
        inputsArbitrary,
        namedSamples(TORCH_DTYPES),
        fc.array(int32),
        int32,
        (inputs, named, outputFilter, debugLevel) => {
          const request = new TorchRequest().setDebugLevel(debugLevel);
          // Added from last to first: the index determines the position. Missing inputs are empty.
          for (const [index, sample] of [...inputs.entries()].reverse()) {
            if (sample !== null) request.addFeed(index, sample.tensor);
          }
          for (const [key, { tensor }] of named) request.addFeedMap(key, tensor);
          for (const output of outputFilter) request.addFetch(output);
          const length = inputs.reduce((length, sample, i) => (sample === null ? length : i + 1), 0);
          const arrays = inputs
            .slice(0, length)
            .map((sample) => (sample === null ? create(torch.ArrayProtoSchema) : torchArray(sample)));
          const parts = [
            { inputs: arrays, outputFilter },
            ...named.map(([key, sample]) => ({ mapInputs: { [key]: torchArray(sample) } })),
            { debugLevel },
          ].map((part) => toBinary(torch.PredictRequestSchema, create(torch.PredictRequestSchema, part)));
          const body = request.toBinary();
          expect(body).toEqual(join(parts));
          expect(fromBinary(torch.PredictRequestSchema, body)).toEqual(
            create(torch.PredictRequestSchema, {
              inputs: arrays,
              outputFilter,
              mapInputs: Object.fromEntries(named.map(([key, sample]) => [key, torchArray(sample)])),
              debugLevel,
            }),
          );
        },
      ),
      MANY_RUNS,
    );
  });
});

/** Compares everything that a TF response reports with what was written. */
function expectTF(body: Uint8Array<ArrayBuffer>, outputs: readonly (readonly [string, Sample])[]): void {
  const response = new TFResponse(body);
  expect(response.outputNames.sort()).toEqual(outputs.map(([key]) => key).sort());
  for (const [key, { tensor, values }] of outputs) {
    expect(response.getTensorShape(key)).toEqual(tensor.shape);
    expect(bits(response.getValues(key, tensor.dtype))).toBe(bits(values));
    expect(response.getTensor(key)).toEqual({ dtype: tensor.dtype, shape: tensor.shape, data: values });
  }
}

/** Compares everything that a Torch response reports with what was written. */
function expectTorch(
  body: Uint8Array<ArrayBuffer>,
  outputs: readonly Sample[],
  named: readonly (readonly [string, Sample])[],
): void {
  const response = new TorchResponse(body);
  expect(response.outputCount).toBe(outputs.length);
  for (const [index, { tensor, values }] of outputs.entries()) {
    expect(response.getTensorShape(index)).toEqual(tensor.shape);
    expect(bits(response.getValues(index, tensor.dtype))).toBe(bits(values));
    expect(response.getTensor(index)).toEqual({ dtype: tensor.dtype, shape: tensor.shape, data: values });
  }
  expect(response.outputNames.sort()).toEqual(named.map(([key]) => key).sort());
  for (const [key, { tensor, values }] of named) {
    expect(response.getTensorShapeMap(key)).toEqual(tensor.shape);
    expect(bits(response.getValuesMap(key, tensor.dtype))).toBe(bits(values));
    expect(response.getTensorMap(key)).toEqual({ dtype: tensor.dtype, shape: tensor.shape, data: values });
  }
}

const tfMessage = (outputs: readonly (readonly [string, Sample])[]) =>
  create(tf.PredictResponseSchema, {
    outputs: Object.fromEntries(outputs.map(([key, sample]) => [key, tfArray(sample)])),
  });
const torchMessage = (outputs: readonly Sample[], named: readonly (readonly [string, Sample])[]) =>
  create(torch.PredictResponseSchema, {
    outputs: outputs.map(torchArray),
    mapOutputs: Object.fromEntries(named.map(([key, sample]) => [key, torchArray(sample)])),
  });

describe("responses of the generated code return the values that were written", () => {
  test.each(DTYPES)("TF, %s", (dtype) => {
    fc.assert(
      fc.property(name, sampleOf(dtype), (key, sample) => {
        expectTF(toBinary(tf.PredictResponseSchema, tfMessage([[key, sample]])), [[key, sample]]);
      }),
      RUNS,
    );
  });

  test("TF, several outputs", () => {
    fc.assert(
      fc.property(namedSamples(DTYPES), (outputs) => {
        expectTF(toBinary(tf.PredictResponseSchema, tfMessage(outputs)), outputs);
      }),
      MANY_RUNS,
    );
  });

  test("Torch, several outputs", () => {
    fc.assert(
      fc.property(fc.array(anySample(TORCH_DTYPES)), namedSamples(TORCH_DTYPES), (outputs, named) => {
        expectTorch(toBinary(torch.PredictResponseSchema, torchMessage(outputs, named)), outputs, named);
      }),
      MANY_RUNS,
    );
  });
});

describe("responses in any layout that protobuf allows", () => {
  // Packed, unpacked, split, in any order, with unknown fields and groups between.
  test("TF, as by the generated code", () => {
    fc.assert(
      fc.property(fc.gen(), namedSamples(DTYPES), (g, outputs) => {
        const body = tfBody(g, outputs, { asGenerated: true });
        const read = fromBinary(tf.PredictResponseSchema, body, { readUnknownFields: false });
        expect(read).toEqual(tfMessage(outputs));
        expectTF(body, outputs);
      }),
      MANY_RUNS,
    );
  });

  test("TF, for layouts that the generated code reads wrongly", () => {
    fc.assert(
      fc.property(fc.gen(), namedSamples(DTYPES), (g, outputs) => {
        expectTF(tfBody(g, outputs, { asGenerated: false }), outputs);
      }),
      MANY_RUNS,
    );
  });

  test("Torch, as by the generated code", () => {
    fc.assert(
      fc.property(
        fc.gen(),
        fc.array(anySample(TORCH_DTYPES), { maxLength: 3 }),
        namedSamples(TORCH_DTYPES),
        (g, outputs, named) => {
          const body = torchBody(g, outputs, named, { asGenerated: true });
          const read = fromBinary(torch.PredictResponseSchema, body, { readUnknownFields: false });
          expect(read).toEqual(torchMessage(outputs, named));
          expectTorch(body, outputs, named);
        },
      ),
      MANY_RUNS,
    );
  });

  test("Torch, for layouts that the generated code reads wrongly", () => {
    fc.assert(
      fc.property(
        fc.gen(),
        fc.array(anySample(TORCH_DTYPES), { maxLength: 3 }),
        namedSamples(TORCH_DTYPES),
        (g, outputs, named) => expectTorch(torchBody(g, outputs, named, { asGenerated: false }), outputs, named),
      ),
      MANY_RUNS,
    );
  });
});

/** A TF response with one output "y" of one dimension, with values as encoded bytes. */
function oneOutput(dtype: number, length: number, field: number, packed: Uint8Array): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string("y");
  writer.tag(2, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int32(dtype);
  writer.tag(2, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).fork().int64(length).join().join();
  writer.tag(field, WireType.LengthDelimited).bytes(packed).join().join();
  return writer.finish();
}

describe("floats keep their bits", () => {
  // NaN with a payload, -0 and subnormals are all bit patterns of 32 or 64 bits.
  const SINGLES = ["DT_FLOAT", "DT_HALF", "DT_BFLOAT16"] as const;
  const NUMBERS: Readonly<Partial<Record<DType, number>>> = { DT_FLOAT: 1, DT_HALF: 19, DT_BFLOAT16: 14 };

  test.each(SINGLES)("%s", (dtype) => {
    const pattern = fc.oneof(
      fc.nat({ max: 0xffff_ffff }),
      fc.constantFrom(0x7fc0_0001, 0xffff_ffff, 0x7f80_0001, 0x8000_0000, 1, 0x007f_ffff, 0x7f80_0000, 0xff80_0000),
    );
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1 }), (patterns) => {
        const memory = new Uint8Array(Uint32Array.from(patterns).buffer);
        const body = oneOutput(NUMBERS[dtype] as number, patterns.length, 3, memory);
        const values = new TFResponse(body).getValues("y", dtype);
        expect(Buffer.from(values.buffer).toString("hex")).toBe(Buffer.from(memory).toString("hex"));
        expect(asResponse(new TFRequest().addFeed("y", [values.length], dtype, values))).toEqual(body);
      }),
      RUNS,
    );
  });

  test("DT_DOUBLE", () => {
    const pattern = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.constantFrom(0x7ff8_0000_0000_0001n, 0x7ff0_0000_0000_0001n, 2n ** 64n - 1n, 2n ** 63n, 1n),
    );
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1 }), (patterns) => {
        const memory = new Uint8Array(BigUint64Array.from(patterns).buffer);
        const body = oneOutput(2, patterns.length, 4, memory);
        const values = new TFResponse(body).getValues("y", "DT_DOUBLE");
        expect(Buffer.from(values.buffer).toString("hex")).toBe(Buffer.from(memory).toString("hex"));
        expect(asResponse(new TFRequest().addFeed("y", [values.length], "DT_DOUBLE", values))).toEqual(body);
      }),
      MANY_RUNS,
    );
  });

  /** Inputs of a request are field 2, and outputs of a response field 1. The rest is equal. */
  function asResponse(request: TFRequest): Uint8Array {
    const bytes = request.toBinary();
    expect(bytes[0]).toBe(0x12);
    bytes[0] = 0x0a;
    return bytes;
  }
});

describe("int64", () => {
  test("every length of a varint, with its smallest and largest value", () => {
    const edges = Array.from({ length: 64 }, (_, bit) => 1n << BigInt(bit)).flatMap((edge) => [edge - 1n, edge, -edge]);
    const values = BigInt64Array.from(edges, (edge) => BigInt.asIntN(64, edge));
    const packed = new BinaryWriter();
    for (const value of values) packed.int64(value);
    const bytes = packed.finish();
    expect(new TFResponse(oneOutput(9, values.length, 7, bytes)).getValues("y", "DT_INT64")).toEqual(values);
    for (const content of [values, [...values]]) {
      const request = new TFRequest().addFeed("y", [values.length], "DT_INT64", content).toBinary();
      expect(Buffer.from(request.subarray(-bytes.length))).toEqual(Buffer.from(bytes));
    }
  });

  test("a number and the bigint of the same value have the same bytes", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const bytes = (content: readonly (number | bigint)[]) =>
          new TFRequest().addFeed("y", [1], "DT_INT64", content).toBinary();
        expect(bytes([value])).toEqual(bytes([BigInt(value)]));
        expect(bytes([value])).toEqual(bytes(Float64Array.of(value) as never));
      }),
      MANY_RUNS,
    );
  });

  test("getNumbers returns exact numbers, and rejects others", () => {
    fc.assert(
      fc.property(fc.array(int64, { minLength: 1, maxLength: 3 }), (values) => {
        const packed = new BinaryWriter();
        for (const value of values) packed.int64(value);
        const response = new TFResponse(oneOutput(9, values.length, 7, packed.finish()));
        if (values.every((value) => BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)))) {
          expect(response.getNumbers("y")).toEqual(values.map(Number));
        } else {
          expect(() => response.getNumbers("y")).toThrow(RangeError);
        }
      }),
      MANY_RUNS,
    );
  });
});

test("the name __proto__ is an ordinary name", () => {
  const body = new TFRequest().addFeed("__proto__", [1], "DT_FLOAT", [1]).addFeed("b", [1], "DT_INT32", [2]).toBinary();
  // As a response, the fields 2 of both entries become fields 1.
  const second = body.indexOf(0x12, 1 + (body[1] as number) + 1);
  for (const at of [0, second]) body[at] = 0x0a;
  const response = new TFResponse(body);
  expect(response.outputNames).toEqual(["__proto__", "b"]);
  expect(response.getValues("__proto__")).toEqual(Float32Array.of(1));
});
