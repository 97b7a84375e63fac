import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import * as onnx from "../../../../src/gen/eas/onnx/onnx_pb.js";
import {
  type DType,
  fromFloat16,
  type OnnxContentOf,
  type OnnxDType,
  OnnxRequest,
  OnnxResponse,
  PredictClient,
  type Tensor,
  tensor,
  toFloat16,
} from "../../../../src/index.js";
import { errorOf, RecordingTransport, thrownBy, transportAnswer } from "../../../support/calls.js";
import { describeDamage, overwrite, PLACES } from "../../../support/damage.js";
import {
  anyOnnxSample,
  fullName,
  inLarger,
  ONNX_DTYPES,
  ONNX_KINDS,
  type OnnxSample,
  onnxBody,
  onnxSampleOf,
  onnxTensor,
} from "../../../support/formats.js";
import { FLOAT_REFUSALS } from "../../../support/refusals.js";
import { bits, name } from "../../../support/tensors.js";

// Shrinking a failing body takes minutes.
const RUNS = { numRuns: 100, endOnFailure: true };
const MANY_RUNS = { numRuns: 300, endOnFailure: true };

type Named = readonly (readonly [string, OnnxSample])[];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const anything = (value: unknown) => value as never;
const messageOf = (tensors: Named) =>
  create(onnx.DataProtoSchema, { tensors: tensors.map(([name, sample]) => onnxTensor(name, sample)) });
const bodyOf = (tensors: Named) => toBinary(onnx.DataProtoSchema, messageOf(tensors));

describe("requests have the bytes of the generated code, which also reads them", () => {
  /**
   * Checks the bytes and the meaning against the generated code. proto3 leaves out only zeros, and there are none here:
   * names are not empty and dtypes are known.
   */
  function expectMessage(request: OnnxRequest, tensors: Named): void {
    const body = request.toBinary();
    expect(body).toEqual(bodyOf(tensors));
    expect(fromBinary(onnx.DataProtoSchema, body)).toEqual(messageOf(tensors));
  }

  test.each(ONNX_DTYPES)("one tensor of %s", (dtype) => {
    fc.assert(
      fc.property(fullName, onnxSampleOf(dtype), (key, sample) => {
        const { shape, data } = sample.tensor;
        expectMessage(new OnnxRequest().addTensor(key, sample.tensor), [[key, sample]]);
        expectMessage(new OnnxRequest().addTensor(key, shape, dtype, data as never), [[key, sample]]);
      }),
      RUNS,
    );
  });

  test("whole requests: an input of the same name is replaced in its position", () => {
    const key = fc.oneof(fullName, fc.constantFrom("a", "b"));
    fc.assert(
      fc.property(fc.array(fc.tuple(key, anyOnnxSample), { maxLength: 5 }), (tensors) => {
        const request = new OnnxRequest();
        for (const [name, { tensor }] of tensors) request.addTensor(name, tensor);
        // A Map keeps the position of a key, and its last value.
        expectMessage(request, [...new Map(tensors)]);
      }),
      MANY_RUNS,
    );
  });
});

describe("requests, byte by byte", () => {
  const of = (...[shape, dtype, content]: [number[], OnnxDType, unknown]) =>
    hex(new OnnxRequest().addTensor("x", shape, dtype, content as never).toBinary());

  test("name, dims, dtype and memory; a scalar has no dims, and an empty tensor has no memory", () => {
    expect(of([1, 2], "DT_FLOAT", [1.5, 2])).toBe("0a130a01781202010218012a080000c03f00000040");
    expect(of([], "DT_FLOAT", [2.5])).toBe("0a0b0a017818012a0400002040");
    expect(of([2, 0], "DT_INT64", [])).toBe("0a090a0178120202001807");
    expect(hex(new OnnxRequest().toBinary())).toBe("");
  });

  test.each<[OnnxDType, unknown[], string]>([
    ["DT_FLOAT", [-0], "00000080"],
    ["DT_DOUBLE", [0.1], "9a9999999999b93f"],
    ["DT_INT8", [-128, 127], "807f"],
    ["DT_UINT8", [0, 255], "00ff"],
    ["DT_INT16", [-2, 32_767], "feffff7f"],
    ["DT_UINT16", [1, 65_535], "0100ffff"],
    ["DT_INT32", [-2, 1], "feffffff01000000"],
    ["DT_UINT32", [4_294_967_295, 1], "ffffffff01000000"],
    ["DT_INT64", [-2, 9_007_199_254_740_993n], "feffffffffffffff0100000000002000"],
    ["DT_UINT64", [2n ** 64n - 1n, 1], "ffffffffffffffff0100000000000000"],
  ])("%s is little-endian in memory", (dtype, content, memory) => {
    expect(of([content.length], dtype, content).endsWith(memory)).toBe(true);
  });

  test("DT_HALF: bits are sent unchanged", () => {
    const expected = "0a0e0a0178120102" + "180a" + "2a04003c00c0";
    expect(of([2], "DT_HALF", Uint16Array.of(0x3c00, 0xc000))).toBe(expected);
    expect(of([2], "DT_HALF", toFloat16([1, -2]))).toBe(expected);
    expect(of([2], "DT_HALF", inLarger(Uint16Array.of(0x3c00, 0xc000) as never, 2))).toBe(expected);
    expect(hex(new OnnxRequest().addTensor("x", tensor([2], toFloat16([1, -2]), "DT_HALF")).toBinary())).toBe(expected);
  });

  interface Float16Runtime {
    readonly Float16Array?: { of(...values: number[]): OnnxContentOf<"DT_HALF"> };
  }

  test.skipIf((globalThis as Float16Runtime).Float16Array === undefined)("DT_HALF: the runtime's Float16Array", () => {
    const { Float16Array: Own } = globalThis as unknown as Required<Float16Runtime>;
    expect(of([2], "DT_HALF", Own.of(1, -2))).toBe("0a0e0a0178120102" + "180a" + "2a04003c00c0");
  });

  test("content in every array type of numbers", () => {
    const expected = of([2], "DT_UINT8", [5, 255]);
    for (const content of [
      Uint8Array.of(5, 255),
      Uint8Array.of(0, 5, 255, 0).subarray(1, 3),
      Uint8ClampedArray.of(5, 255),
      Buffer.from([5, 255]),
      Int16Array.of(5, 255),
      Uint16Array.of(5, 255),
      Uint32Array.of(5, 255),
      Float64Array.of(5, 255),
      Float32Array.of(5, 255),
    ]) {
      expect(of([2], "DT_UINT8", content)).toBe(expected);
    }
    // A Buffer is a view of a pool, and its four bytes are never one float.
    expect(of([4], "DT_FLOAT", Buffer.from([1, 2, 3, 4]))).toBe(of([4], "DT_FLOAT", [1, 2, 3, 4]));
    expect(of([1], "DT_INT64", BigUint64Array.of(5n))).toBe(of([1], "DT_INT64", [5]));
    expect(of([1], "DT_UINT64", BigInt64Array.of(5n))).toBe(of([1], "DT_UINT64", [5n]));
    expect(of([1], "DT_UINT16", Uint16Array.of(0x3c00))).toBe(of([1], "DT_UINT16", [0x3c00]));
  });

  test("NaN of every payload in typed arrays", () => {
    const patterns = Uint32Array.of(0x7fc0_0001, 0xffff_ffff, 0x7f80_0001);
    expect(of([3], "DT_FLOAT", new Float32Array(patterns.buffer)).endsWith("0100c07fffffffff0100807f")).toBe(true);
  });
});

const SHAPE = "ERR_EAS_ARG_SHAPE";
const DTYPE = "ERR_EAS_ARG_DTYPE";
const CONTENT = "ERR_EAS_ARG_CONTENT";

describe.each<[string, (shape: never, dtype: never, content: never) => unknown]>([
  ["addTensor", (...feed) => new OnnxRequest().addTensor("in", ...feed)],
  ["addTensor of a tensor", (shape, dtype, data) => new OnnxRequest().addTensor("in", { shape, dtype, data })],
])("%s rejects", (_, feed) => {
  const refuse = (given: readonly unknown[], kind: string, code: string, message: RegExp) => {
    const error = thrownBy(() => feed(...(given as [never, never, never])));
    expect(error).toMatchObject({ name: kind, code, message: expect.stringMatching(message) });
    expect(error.message.startsWith('input "in": ')).toBe(true);
  };

  test.each(FLOAT_REFUSALS)("%s", (_, [shape, content], kind, code, message) => {
    refuse([shape, "DT_FLOAT", content], kind, code, message);
  });

  test.each<[OnnxDType, unknown, "TypeError" | "RangeError", RegExp]>([
    ["DT_INT8", [128, 0], "RangeError", /content\[0\] is 128, which does not fit DT_INT8: .* from -128 to 127$/],
    ["DT_INT8", Uint8Array.of(0, 129), "RangeError", /content\[1\] is 129.*DT_INT8/],
    ["DT_INT8", Uint8ClampedArray.of(0, 200), "RangeError", /content\[1\] is 200.*DT_INT8/],
    ["DT_UINT8", [0, -1], "RangeError", /content\[1\] is -1.*DT_UINT8.*from 0 to 255$/],
    ["DT_UINT8", Int8Array.of(0, -1), "RangeError", /content\[1\] is -1.*DT_UINT8/],
    ["DT_INT16", [0, -32_769], "RangeError", /is -32769.*DT_INT16.*from -32768 to 32767$/],
    ["DT_UINT16", [65_536, 0], "RangeError", /is 65536.*DT_UINT16.*from 0 to 65535$/],
    ["DT_INT32", [2 ** 31, 0], "RangeError", /is 2147483648.*DT_INT32.*from -2147483648 to 2147483647$/],
    ["DT_INT32", Uint32Array.of(0, 2 ** 31), "RangeError", /content\[1\] is 2147483648.*DT_INT32/],
    ["DT_UINT32", [0, 2 ** 32], "RangeError", /is 4294967296.*DT_UINT32.*from 0 to 4294967295$/],
    ["DT_UINT32", [0, -1], "RangeError", /is -1.*DT_UINT32/],
    ["DT_INT32", [1, 1.5], "RangeError", /content\[1\] is 1.5.*DT_INT32/],
    ["DT_INT32", Float64Array.of(1, Number.NaN), "RangeError", /content\[1\] is NaN.*DT_INT32/],
    ["DT_INT32", [Number.POSITIVE_INFINITY, 1], "RangeError", /is Infinity.*DT_INT32/],
    ["DT_INT32", [1n, 1], "RangeError", /content\[0\] is 1n.*DT_INT32/],
    ["DT_INT32", BigInt64Array.of(1n, 2n), "RangeError", /content\[0\] is 1n.*DT_INT32/],
    ["DT_INT32", [1, "2"], "TypeError", /content\[1\] is "2".*DT_INT32/],
    ["DT_INT32", [1, true], "TypeError", /content\[1\] is true.*DT_INT32/],
    ["DT_INT32", [null, 1], "TypeError", /content\[0\] is null.*DT_INT32/],
    ["DT_INT32", new Array(2), "TypeError", /content\[0\] is undefined.*DT_INT32/],
    ["DT_INT64", [0, 2 ** 53], "RangeError", /is 9007199254740992, .*DT_INT64.*number within .* bigint within 64 bits/],
    ["DT_INT64", [0.5, 0], "RangeError", /is 0.5.*DT_INT64/],
    ["DT_INT64", [0n, 2n ** 63n], "RangeError", /is 9223372036854775808n.*DT_INT64/],
    ["DT_INT64", [0n, -(2n ** 63n) - 1n], "RangeError", /is -9223372036854775809n.*DT_INT64/],
    ["DT_INT64", BigUint64Array.of(0n, 2n ** 63n), "RangeError", /is 9223372036854775808n.*DT_INT64/],
    ["DT_INT64", ["1", 1], "TypeError", /is "1".*DT_INT64/],
    ["DT_UINT64", [0n, -1n], "RangeError", /is -1n.*DT_UINT64.*at least 0/],
    ["DT_UINT64", [0, -1], "RangeError", /is -1, .*DT_UINT64.*at least 0/],
    ["DT_UINT64", BigInt64Array.of(0n, -1n), "RangeError", /is -1n.*DT_UINT64/],
    ["DT_UINT64", [0n, 2n ** 64n], "RangeError", /is 18446744073709551616n.*DT_UINT64/],
    ["DT_UINT64", [0, 2 ** 53], "RangeError", /is 9007199254740992, .*DT_UINT64/],
    ["DT_UINT64", [null, 1], "TypeError", /is null.*DT_UINT64/],
    ["DT_DOUBLE", [1n, 1], "RangeError", /is 1n.*DT_DOUBLE.*must be a number/],
    ["DT_DOUBLE", ["1", 1], "TypeError", /is "1".*DT_DOUBLE.*must be a number/],
    ["DT_HALF", [1, 2], "TypeError", /content is an array: .*Float16Array or the Uint16Array.*toFloat16/],
    ["DT_HALF", Float32Array.of(1, 2), "TypeError", /content is an instance of Float32Array: for DT_HALF/],
    ["DT_HALF", Int16Array.of(1, 2), "TypeError", /content is an instance of Int16Array: for DT_HALF/],
    ["DT_HALF", Uint8Array.of(1, 2), "TypeError", /content is an instance of Uint8Array: for DT_HALF/],
  ])("in %s: %s", (dtype, content, kind, message) => {
    refuse([[2], dtype, content], kind, CONTENT, message);
  });

  test.each<DType>(["DT_BOOL", "DT_STRING", "DT_BFLOAT16", "DT_QINT8", "DT_QUINT16"])(
    "%s, which ONNX does not have",
    (dtype) => {
      refuse([[2], dtype, [0, 1]], "TypeError", DTYPE, new RegExp(`dtype is "${dtype}": it must be one of DT_FLOAT, `));
    },
  );

  test("complex numbers, which ONNX does not have", () => {
    refuse([[1], "DT_COMPLEX64", [0, 1]], "TypeError", DTYPE, /dtype is "DT_COMPLEX64"/);
  });

  test.each([["FLOAT"], ["float32"], ["toString"], [1], [undefined]])("the dtype %s", (dtype) => {
    refuse([[1], dtype, [1]], "TypeError", DTYPE, /dtype is .*: it must be one of DT_FLOAT, /);
  });

  test("the bits of a half whose number does not fit the shape", () => {
    refuse([[3], "DT_HALF", Uint16Array.of(1, 2)], "RangeError", SHAPE, /\[3\] has 3 elements.*length 2/);
  });
});

test.each<[what: string, act: () => unknown, kind: string, code: string, message: RegExp]>([
  [
    "an empty name",
    () => new OnnxRequest().addTensor("", [1], "DT_FLOAT", [1]),
    "RangeError",
    "ERR_EAS_ARG_FEED",
    /inputName is "": it must not be empty/,
  ],
  [
    "a number as name",
    () => new OnnxRequest().addTensor(anything(1), [1], "DT_FLOAT", [1]),
    "TypeError",
    "ERR_EAS_ARG_FEED",
    /inputName is 1: it must be a string/,
  ],
  [
    "options that are none",
    () => new OnnxRequest(anything("x")),
    "TypeError",
    "ERR_EAS_ARG_REQUEST",
    /^OnnxRequest accepts options/,
  ],
])("%s is rejected", (_, act, name, code, message) => {
  expect(thrownBy(act)).toMatchObject({ name, code, message: expect.stringMatching(message) });
});

test("an error truncates a name and escapes its quotation marks", () => {
  const long = `a"${"b".repeat(100)}`;
  const error = thrownBy(() => new OnnxRequest().addTensor(long, [1], "DT_FLOAT", [1, 2]));
  expect(error.message.startsWith(`input "a\\"${"b".repeat(78)}…": shape [1] has 1 elements`)).toBe(true);
});

test("a rejected tensor does not change the request", () => {
  const request = new OnnxRequest().addTensor("x", [1], "DT_FLOAT", [1]);
  const before = request.toBinary();
  expect(() => request.addTensor("x", [2], "DT_FLOAT", [1])).toThrow(RangeError);
  expect(() => request.addTensor("x", [1], "DT_UINT8", [256])).toThrow(RangeError);
  expect(() => request.addTensor("y", [1], "DT_HALF", anything([1]))).toThrow(TypeError);
  expect(request.toBinary()).toEqual(before);
});

describe("values that are changed after addTensor", () => {
  const client = () => {
    const transport = new RecordingTransport(() => transportAnswer(200));
    return { transport, client: new PredictClient({ endpoint: "http://h", serviceName: "svc", transport }) };
  };

  test.each<[what: string, OnnxDType, change: (content: unknown[], shape: number[]) => void, code: string]>([
    ["to a value out of range", "DT_UINT8", (content) => content.fill(300), CONTENT],
    ["to a fraction", "DT_INT32", (content) => content.fill(0.5), CONTENT],
    ["to an unsafe integer", "DT_INT64", (content) => content.fill(2 ** 53), CONTENT],
    ["to a negative one", "DT_UINT64", (content) => content.fill(-1n), CONTENT],
    ["to text", "DT_FLOAT", (content) => content.fill("x"), CONTENT],
    ["to another length", "DT_FLOAT", (content) => content.push(3), SHAPE],
    ["in its shape", "DT_FLOAT", (_, shape) => shape.push(2), SHAPE],
    ["to a negative shape", "DT_FLOAT", (_, shape) => shape.splice(0, 1, -2), SHAPE],
  ])("%s makes predict reject", async (_, dtype, change, code) => {
    const { transport, client: ours } = client();
    const [shape, content] = [[2], [1, 2] as unknown[]];
    const request = new OnnxRequest().addTensor("late", shape, dtype, content as never);
    change(content, shape);
    expect(thrownBy(() => request.toBinary()).code).toBe(code);
    const error = await errorOf(ours.predict(request));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^input "late": /);
    expect(transport.requests).toEqual([]);
  });

  test("are sent if they are valid", async () => {
    const { transport, client: ours } = client();
    const [floats, list, half] = [Float32Array.of(1, 2), [1, 2], toFloat16([1])];
    const request = new OnnxRequest()
      .addTensor("a", [2], "DT_FLOAT", floats)
      .addTensor("b", [2], "DT_UINT8", list)
      .addTensor("c", [1], "DT_HALF", half);
    floats[0] = 5;
    list[1] = 6;
    half[0] = 0x4000;
    expect(await ours.predict(request)).toBeInstanceOf(OnnxResponse);
    expect(transport.requests[0]?.body).toEqual(
      new OnnxRequest()
        .addTensor("a", [2], "DT_FLOAT", [5, 2])
        .addTensor("b", [2], "DT_UINT8", [1, 6])
        .addTensor("c", [1], "DT_HALF", toFloat16([2]))
        .toBinary(),
    );
  });
});

/** Compares everything that a response reports with what was written, by position and by name. */
function expectOnnx(body: Uint8Array<ArrayBuffer>, outputs: Named): void {
  const response = new OnnxResponse(body);
  const { length } = outputs;
  expect(response.getSize()).toBe(length);
  expect(response.outputNames).toEqual(outputs.map(([name]) => name));
  for (const [index, [name, sample]] of outputs.entries()) {
    expect(response.getName(index)).toBe(name);
    expect(response.getName(index - length)).toBe(name);
    const first = (outputs.find((output) => output[0] === name) as Named[number])[1];
    for (const [asked, { tensor, values }] of [
      [index, sample],
      [index - length, sample],
      [name, first],
    ] as const) {
      const { dtype, shape } = tensor;
      expect(response.getTensorShape(asked)).toEqual(shape);
      expect(bits(response.getValues(asked, dtype))).toBe(bits(values));
      expect(response.getTensor(asked)).toEqual({ dtype, shape, data: values });
    }
  }
}

describe("responses return the values that were written", () => {
  const outputs = fc.array(fc.tuple(fc.oneof(name, fc.constant("y")), anyOnnxSample), { maxLength: 4 });

  test("by the generated code", () => {
    fc.assert(
      fc.property(outputs, (outputs) => expectOnnx(bodyOf(outputs), outputs)),
      MANY_RUNS,
    );
  });

  test("in any layout that protobuf allows, as by the generated code", () => {
    fc.assert(
      fc.property(fc.gen(), outputs, (g, outputs) => {
        const body = onnxBody(g, outputs, { asGenerated: true });
        expect(fromBinary(onnx.DataProtoSchema, body, { readUnknownFields: false })).toEqual(messageOf(outputs));
        expectOnnx(body, outputs);
      }),
      MANY_RUNS,
    );
  });

  test("in any layout, with fields of other wire types", () => {
    fc.assert(
      fc.property(fc.gen(), outputs, (g, outputs) => expectOnnx(onnxBody(g, outputs, { asGenerated: false }), outputs)),
      MANY_RUNS,
    );
  });
});

/** A response with the output "y" of these dims, dtype number and memory. */
const output = (dims: bigint[], dataType: number, rawData: Uint8Array): OnnxResponse =>
  new OnnxResponse(
    toBinary(onnx.DataProtoSchema, create(onnx.DataProtoSchema, { tensors: [{ name: "y", dims, dataType, rawData }] })),
  );

describe("responses", () => {
  const two = () =>
    new OnnxRequest()
      .addTensor("a", [1], "DT_INT32", [1])
      .addTensor("0", [1], "DT_INT32", [2])
      .parseResponse(
        new OnnxRequest().addTensor("a", [1], "DT_INT32", [1]).addTensor("0", [1], "DT_INT32", [2]).toBinary(),
      );

  test("a number is a position, and a string is a name", () => {
    const response = two();
    expect([0, 1, -1, -2].map((index) => response.getNumbers(index)[0])).toEqual([1, 2, 2, 1]);
    expect(["a", "0"].map((name) => response.getNumbers(name)[0])).toEqual([1, 2]);
    expect([0, 1, -1, -2].map((index) => response.getName(index))).toEqual(["a", "0", "0", "a"]);
    expect(response.getSize()).toBe(2);
  });

  test.each([2, -3, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32])(
    "the position %d, which does not exist",
    (at) => {
      for (const read of [() => two().getValues(at), () => two().getName(at), () => two().getTensorShape(at)]) {
        expect(thrownBy(read)).toMatchObject({
          name: "RangeError",
          code: "ERR_EAS_ARG_OUTPUT",
          message: `output ${at} is not in the response: its outputs are 0 to 1`,
        });
      }
      expect(thrownBy(() => new OnnxResponse(new Uint8Array(0)).getName(at))).toMatchObject({
        code: "ERR_EAS_ARG_OUTPUT",
        message: `output ${at} is not in the response: it has no outputs`,
      });
    },
  );

  test("a name that does not exist", () => {
    for (const [name, shown] of [
      ["x", '"x"'],
      [" a", '" a"'],
      [undefined, "undefined"],
      [0n, "0n"],
    ]) {
      expect(thrownBy(() => two().getValues(anything(name)))).toMatchObject({
        name: "RangeError",
        code: "ERR_EAS_ARG_OUTPUT",
        message: `output ${shown} is not in the response: its outputs are "a", "0"`,
      });
    }
    // getName takes only a position.
    expect(thrownBy(() => two().getName(anything("a")))).toMatchObject({ code: "ERR_EAS_ARG_OUTPUT" });
  });

  test("another dtype than the output's", () => {
    expect(thrownBy(() => two().getValues("a", "DT_FLOAT"))).toMatchObject({
      name: "TypeError",
      code: DTYPE,
      message: 'output "a" is DT_INT32, not DT_FLOAT',
    });
    expect(thrownBy(() => two().getStrings(0))).toMatchObject({ code: DTYPE });
  });

  test("DT_HALF values are returned as exact floats", () => {
    const patterns = Uint16Array.of(0x3c00, 0x8000, 0x0001, 0x7bff, 0x7c00, 0xfc00, 0x7e00);
    const response = output([7n], 10, new Uint8Array(patterns.buffer));
    const values = response.getValues("y", "DT_HALF");
    expect(values).toEqual(
      Float32Array.of(1, -0, 2 ** -24, 65_504, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN),
    );
    expect(values).toEqual(fromFloat16(patterns));
    expect(toFloat16(values)).toEqual(patterns);
  });

  test("a response can be sent again: the values of DT_HALF with toFloat16", () => {
    const request = new OnnxRequest().addTensor("y", [2], "DT_HALF", toFloat16([0.1, -3]));
    const { dtype, shape, data } = new OnnxResponse(request.toBinary()).getTensor("y");
    expect(dtype).toBe("DT_HALF");
    const again = new OnnxRequest().addTensor("y", shape, "DT_HALF", toFloat16(data as Float32Array));
    expect(again.toBinary()).toEqual(request.toBinary());
  });

  test.each(ONNX_DTYPES)("memory of %s that does not match the shape", (dtype) => {
    const { number, width } = ONNX_KINDS[dtype];
    for (const [dims, bytes] of [
      [[2n], width],
      [[], 0],
      [[1n, 0n], width],
      [[1n], 2 * width],
      [[1n], width + 1],
      [[2n ** 40n, 2n ** 40n], width],
    ] as const) {
      const response = output([...dims], number, new Uint8Array(bytes));
      expect(response.getTensorShape("y")).toEqual(dims.map(Number));
      const shape = dims.join(", ");
      expect(thrownBy(() => response.getValues("y"))).toMatchObject({
        name: "EasDecodeError",
        code: "ERR_EAS_DECODE",
        message: expect.stringContaining(`output "y" has the shape [${shape}] of `),
      });
    }
    expect(output([], number, new Uint8Array(width)).getValues(0)).toHaveLength(1);
    expect(output([0n], number, new Uint8Array(0)).getValues(0)).toHaveLength(0);
  });

  test.each([
    [0, /output "y" has no dtype/],
    [8, /output "y" has the dtype 8, which this SDK does not know/],
    [9, /has the dtype 9,/],
    [14, /has the dtype 14,/],
    [16, /has the dtype 16,/],
  ])("the dtype %d", (number, message) => {
    const response = output([1n], number, Uint8Array.of(0));
    expect(response.getTensorShape("y")).toEqual([1]);
    for (const read of [() => response.getValues("y"), () => response.getValues("y", "DT_UINT8")]) {
      expect(thrownBy(read)).toMatchObject({ name: "EasDecodeError", message: expect.stringMatching(message) });
    }
    expect(`${response}`).toMatch(/^OnnxResponse \{ y: unreadable: /);
  });

  test.each([
    [[-1n], "[-1]"],
    [[2n, -(2n ** 63n)], "[2, -9223372036854775808]"],
    [[2n ** 53n], "[9007199254740992]"],
  ])("the dims %s, which is out of range", (dims, shown) => {
    const response = output(dims, 2, Uint8Array.of(1, 2));
    for (const read of [() => response.getTensorShape(0), () => response.getValues(0), () => response.getTensor(0)]) {
      expect(thrownBy(read)).toMatchObject({
        name: "EasDecodeError",
        message: `output "y" has the shape ${shown}, which is out of range`,
      });
    }
  });

  test("64-bit integers as numbers, if numbers can represent them", () => {
    const of = (content: bigint[]) =>
      new OnnxResponse(new OnnxRequest().addTensor("y", [content.length], "DT_UINT64", content).toBinary());
    expect(of([1n, 2n ** 53n - 1n]).getNumbers("y")).toEqual([1, 2 ** 53 - 1]);
    expect(thrownBy(() => of([1n, 2n ** 64n - 1n]).getNumbers("y"))).toMatchObject({
      name: "RangeError",
      code: "ERR_EAS_ARG_OUTPUT",
      message: expect.stringMatching(/^output "y": element 1 is 18446744073709551615, /),
    });
  });

  test("requests and responses as text", () => {
    const request = new OnnxRequest()
      .addTensor("x", [2], "DT_UINT64", [1n, 2n])
      .addTensor("h", [], "DT_HALF", toFloat16([1.5]));
    expect(`${request}`).toBe("OnnxRequest { x: DT_UINT64 [2]; h: DT_HALF [] }");
    expect(`${new OnnxResponse(request.toBinary())}`).toBe("OnnxResponse { x: DT_UINT64 [2] 1, 2; h: DT_HALF [] 1.5 }");
  });
});

// Invalid bodies and memory.

const EACH: Named = ONNX_DTYPES.map((dtype) => {
  const { array, put, width } = ONNX_KINDS[dtype];
  const big = dtype === "DT_INT64" || dtype === "DT_UINT64";
  const elements = (big ? [1n, 2n, 100n] : [1, 2, 100]) as never[];
  const memory = new Uint8Array(3 * width);
  for (const [i, element] of elements.entries()) put(new DataView(memory.buffer), i * width, element);
  const values = dtype === "DT_HALF" ? fromFloat16(elements as number[]) : array.from(elements);
  return [dtype, { tensor: { dtype, shape: [3], data: [] as never }, memory, values }];
});
const BODY = bodyOf(EACH);

describeDamage({
  format: "onnx",
  open: (body) => {
    const response = new OnnxResponse(body);
    const outputs = [...response.outputNames, ...response.outputNames.keys()];
    return { response, outputs, more: (output) => typeof output === "number" && response.getName(output) };
  },
  body: BODY,
  wholeParts: EACH.length,
  bodies: fc.gen().map((g) =>
    onnxBody(
      g,
      g(() => fc.array(fc.tuple(name, anyOnnxSample), { maxLength: 3 })),
      { asGenerated: false },
    ),
  ),
  field: 1,
});

describe("values belong to the caller", () => {
  test.each(Object.entries(PLACES))("%s", (_, place) => {
    const body = place(BODY);
    const response = new OnnxResponse(body);
    const read = () => EACH.map(([name, { tensor }]) => response.getValues(name, tensor.dtype));
    const expected = EACH.map(([, { values }]) => bits(values));
    // Changing values of one response does not affect the next.
    for (const values of read()) overwrite(values);
    const values = read();
    expect(values.map(bits)).toEqual(expected);
    // Overwriting the body does not affect values that were read before.
    body.fill(0xff);
    expect(values.map(bits)).toEqual(expected);
  });
});

test("types", () => {
  const request = new OnnxRequest({ compression: "gzip" });
  expect(request.compression).toBe("gzip");
  expectTypeOf(request.parseResponse).returns.toEqualTypeOf<OnnxResponse>();
  const response = new OnnxResponse(BODY);
  expectTypeOf(response.getValues("DT_UINT64", OnnxRequest.DT_UINT64)).toEqualTypeOf<
    ReturnType<BigUint64Array["slice"]>
  >();
  expectTypeOf(response.getValues(ONNX_DTYPES.indexOf("DT_HALF"), "DT_HALF")).toEqualTypeOf<
    ReturnType<Float32Array["slice"]>
  >();
  // @ts-expect-error getName takes a position
  expect(() => response.getName("DT_HALF")).toThrow(RangeError);
  for (const dtype of ONNX_DTYPES) expect(OnnxRequest[dtype]).toBe(dtype);

  const wrong: (() => unknown)[] = [
    // @ts-expect-error a dtype that ONNX has not
    () => request.addTensor("a", [1], "DT_BOOL", [true]),
    // @ts-expect-error a dtype that ONNX has not
    () => request.addTensor("a", [1], "DT_STRING", ["a"]),
    // @ts-expect-error a dtype of another name
    () => request.addTensor("a", [1], "FLOAT16", [1]),
    // @ts-expect-error text as floats
    () => request.addTensor("a", [1], "DT_FLOAT", ["1"]),
    // @ts-expect-error bigints as 32-bit integers
    () => request.addTensor("a", [1], "DT_UINT32", [1n]),
    // @ts-expect-error numbers as halves, which have to be made by toFloat16
    () => request.addTensor("a", [1], "DT_HALF", [1]),
    // @ts-expect-error floats as halves
    () => request.addTensor("a", [1], "DT_HALF", Float32Array.of(1)),
    // @ts-expect-error a single number
    () => request.addTensor("a", [1], "DT_FLOAT", 1),
  ];
  for (const act of wrong) expect(act).toThrow(/^input "a": /);
  request
    .addTensor("b", [1], OnnxRequest.DT_UINT64, BigUint64Array.of(1n))
    .addTensor("c", [2], OnnxRequest.DT_INT64, [1n, 2])
    .addTensor("d", [1], OnnxRequest.DT_HALF, toFloat16([1]))
    .addTensor("e", tensor([1], BigUint64Array.of(1n)) satisfies Tensor)
    .addTensor("f", tensor([1], Uint32Array.of(1)));
});
