import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import * as caffe from "../../../../src/gen/eas/caffe/caffe_pb.js";
import { CaffeRequest, CaffeResponse, PredictClient, type Tensor, tensor } from "../../../../src/index.js";
import { errorOf, RecordingTransport, thrownBy, transportAnswer } from "../../../support/calls.js";
import { describeDamage, overwrite, PLACES } from "../../../support/damage.js";
import { type CaffeSample, caffeArray, caffeBody, caffeSample, fullName } from "../../../support/formats.js";
import { FLOAT_REFUSALS } from "../../../support/refusals.js";
import { bits, sampleOf } from "../../../support/tensors.js";

// Shrinking a failing body takes minutes.
const RUNS = { numRuns: 300, endOnFailure: true };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const fromHex = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, "hex"));
const anything = (value: unknown) => value as never;

test("requests have the bytes of the generated code, which also reads them", () => {
  const feeds = fc.uniqueArray(fc.tuple(fullName, sampleOf("DT_FLOAT"), fc.boolean()), {
    selector: ([name]) => name,
    maxLength: 4,
  });
  fc.assert(
    fc.property(feeds, fc.uniqueArray(fullName, { maxLength: 3 }), (feeds, outputFilter) => {
      const request = new CaffeRequest();
      for (const [name, { tensor }, whole] of feeds) {
        if (whole) request.addFeed(name, tensor);
        else request.addFeed(name, tensor.shape, tensor.data as number[]);
      }
      for (const name of outputFilter) request.addFetch(name);
      const message = create(caffe.PredictRequestSchema, {
        inputName: feeds.map(([name]) => name),
        inputData: feeds.map(([name, sample]) => caffeArray({ name, sample })),
        outputFilter,
      });
      const body = request.toBinary();
      expect(body).toEqual(toBinary(caffe.PredictRequestSchema, message));
      expect(fromBinary(caffe.PredictRequestSchema, body)).toEqual(message);
    }),
    RUNS,
  );
});

describe("requests, byte by byte", () => {
  test("names, then data, then outputs", () => {
    const request = new CaffeRequest()
      .addFetch("y")
      .addFeed("a", [2], [1.5, 2])
      .addFeed("b", [], Float32Array.of(0.1))
      .addFeed("c", [0], []);
    expect(hex(request.toBinary())).toBe(
      "0a0161" +
        "0a0162" +
        "0a0163" +
        "120f" +
        "0a030a0102" +
        "12080000c03f00000040" +
        "1208" +
        "0a00" +
        "1204cdcccc3d" +
        "1205" +
        "0a030a0100" +
        "1a0179",
    );
  });

  test("an empty request", () => {
    expect(hex(new CaffeRequest().toBinary())).toBe("");
  });

  const memory = Uint8Array.from({ length: 32 }, (_, i) => i * 3);
  test.each<[string, ArrayLike<number>]>([
    ["Float32Array", new Float32Array(memory.buffer, 4, 3)],
    ["Float64Array", Float64Array.of(0.1, 1e300, -0)],
    ["Uint8Array", memory.subarray(3, 7)],
    ["Uint8ClampedArray", Uint8ClampedArray.of(1, 255)],
    ["Buffer", Buffer.from([1, 2, 255])],
    ["Int16Array", Int16Array.of(-5, 7)],
    ["Uint32Array", Uint32Array.of(2 ** 32 - 1)],
  ])("a %s has the bytes of its list", (_, view) => {
    const of = (content: unknown) => hex(new CaffeRequest().addFeed("x", [view.length], anything(content)).toBinary());
    expect(of(view)).toBe(of(Array.from(view)));
  });
});

describe.each<[string, (shape: never, content: never) => unknown]>([
  ["addFeed", (...feed) => new CaffeRequest().addFeed("in", ...feed)],
  ["addFeed of a tensor", (shape, data) => new CaffeRequest().addFeed("in", { shape, dtype: "DT_FLOAT", data })],
])("%s rejects", (_, feed) => {
  test.each(FLOAT_REFUSALS)("%s", (_, [shape, content], kind, code, message) => {
    const error = thrownBy(() => feed(anything(shape), anything(content)));
    expect(error).toMatchObject({ name: kind, code, message: expect.stringMatching(message) });
    expect(error.message.startsWith('input "in": ')).toBe(true);
  });
  test.each([["text"], [5], [1n]])("a single value: %s", (content) => {
    expect(thrownBy(() => feed(anything([1]), anything(content)))).toMatchObject({
      name: "TypeError",
      code: "ERR_EAS_ARG_CONTENT",
    });
  });
});

describe("rejected arguments", () => {
  const FEED = "ERR_EAS_ARG_FEED";
  test.each<[what: string, act: () => unknown, kind: string, code: string, message: RegExp]>([
    ["an empty name", () => new CaffeRequest().addFeed("", [1], [1]), "RangeError", FEED, /inputName is "": /],
    ["a number as name", () => new CaffeRequest().addFeed(anything(1), [1], [1]), "TypeError", FEED, /inputName is 1:/],
    [
      "a name twice",
      () => new CaffeRequest().addFeed("in", [1], [1]).addFeed("in", [1], [1]),
      "RangeError",
      FEED,
      /inputName "in" was already added: add each one only once/,
    ],
    ["an empty output", () => new CaffeRequest().addFetch(""), "RangeError", FEED, /outputName is "": /],
    ["no output", () => new CaffeRequest().addFetch(anything(undefined)), "TypeError", FEED, /outputName is undefined/],
    [
      "an output twice",
      () => new CaffeRequest().addFetch("o").addFetch("o"),
      "RangeError",
      FEED,
      /outputName "o" was already added: add each one only once/,
    ],
    [
      "a tensor of another dtype",
      () => new CaffeRequest().addFeed("in", tensor([1], Float64Array.of(1))),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^input "in": dtype is "DT_DOUBLE": it must be one of DT_FLOAT$/,
    ],
    [
      "a tensor of a dtype that nobody has",
      () => new CaffeRequest().addFeed("in", anything({ shape: [1], dtype: "FLOAT", data: [1] })),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^input "in": dtype is "FLOAT": it must be one of DT_FLOAT/,
    ],
    [
      "options that are none",
      () => new CaffeRequest(anything(true)),
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      /^CaffeRequest accepts options/,
    ],
  ])("%s", (_, act, name, code, message) => {
    expect(thrownBy(act)).toMatchObject({ name, code, message: expect.stringMatching(message) });
  });

  test("the error for missing content does not mention dtypes, which Caffe requests do not have", () => {
    const error = thrownBy(() => new CaffeRequest().addFeed("in", [1], anything(undefined)));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_EAS_ARG_CONTENT" });
    expect(error.message).toMatch(/^input "in": content is undefined/);
  });

  test("a rejected call does not change the request", () => {
    const request = new CaffeRequest().addFeed("x", [1], [1]).addFetch("o");
    const before = request.toBinary();
    expect(() => request.addFeed("x", [1], [2])).toThrow(RangeError);
    expect(() => request.addFeed("y", [2], [2])).toThrow(RangeError);
    expect(() => request.addFetch("o")).toThrow(RangeError);
    expect(request.toBinary()).toEqual(before);
    request.addFeed("y", [1], [2]);
  });
});

describe("values that are changed after addFeed", () => {
  const client = () => {
    const transport = new RecordingTransport(() => transportAnswer(200));
    return { transport, client: new PredictClient({ endpoint: "http://h", serviceName: "svc", transport }) };
  };

  test.each<[what: string, change: (content: unknown[], shape: number[]) => void, code: string]>([
    ["to text", (content) => content.fill("x"), "ERR_EAS_ARG_CONTENT"],
    ["to another length", (content) => content.push(3), "ERR_EAS_ARG_SHAPE"],
    ["in its shape", (_, shape) => shape.push(2), "ERR_EAS_ARG_SHAPE"],
  ])("%s makes predict reject", async (_, change, code) => {
    const { transport, client: ours } = client();
    const [shape, content] = [[2], [1, 2] as unknown[]];
    const request = new CaffeRequest().addFeed("late", shape, content as number[]);
    change(content, shape);
    expect(thrownBy(() => request.toBinary()).code).toBe(code);
    const error = await errorOf(ours.predict(request));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^input "late": /);
    expect(transport.requests).toEqual([]);
  });

  test("are sent if they are valid", async () => {
    const { transport, client: ours } = client();
    const [floats, list] = [Float32Array.of(1, 2), [1, 2]];
    const request = new CaffeRequest().addFeed("a", [2], floats).addFeed("b", [2], list);
    floats[0] = 5;
    list[1] = 6;
    expect(await ours.predict(request)).toBeInstanceOf(CaffeResponse);
    expect(transport.requests[0]?.body).toEqual(
      new CaffeRequest().addFeed("a", [2], [5, 2]).addFeed("b", [2], [1, 6]).toBinary(),
    );
  });
});

/**
 * Compares everything that a response reports with what was written. The first of several outputs with the same name
 * counts.
 */
function expectCaffe(body: Uint8Array<ArrayBuffer>, outputs: readonly CaffeSample[]): void {
  const response = new CaffeResponse(body);
  const names = [...new Set(outputs.map(({ name }) => name))];
  expect(response.outputNames).toEqual(names);
  for (const name of names) {
    const { tensor, values } = (outputs.find((output) => output.name === name) as CaffeSample).sample;
    expect(response.getTensorShape(name)).toEqual(tensor.shape);
    expect(bits(response.getValues(name))).toBe(bits(values));
    expect(bits(response.getValues(name, "DT_FLOAT"))).toBe(bits(values));
    expect(response.getTensor(name)).toEqual({ dtype: "DT_FLOAT", shape: tensor.shape, data: values });
  }
}

const responseOf = (outputs: readonly CaffeSample[]) =>
  create(caffe.PredictResponseSchema, {
    outputName: outputs.map(({ name }) => name),
    outputData: outputs.map(caffeArray),
  });
const bodyOf = (outputs: readonly CaffeSample[]) => toBinary(caffe.PredictResponseSchema, responseOf(outputs));

describe("responses return the values that were written", () => {
  const samples = fc.array(caffeSample, { maxLength: 4 });

  test("by the generated code", () => {
    fc.assert(
      fc.property(samples, (outputs) => expectCaffe(bodyOf(outputs), outputs)),
      RUNS,
    );
  });

  test("in any layout that protobuf allows, as by the generated code", () => {
    fc.assert(
      fc.property(fc.gen(), samples, (g, outputs) => {
        const body = caffeBody(g, outputs, { asGenerated: true });
        expect(fromBinary(caffe.PredictResponseSchema, body, { readUnknownFields: false })).toEqual(
          responseOf(outputs),
        );
        expectCaffe(body, outputs);
      }),
      RUNS,
    );
  });

  test("in any layout, with fields of other wire types", () => {
    fc.assert(
      fc.property(fc.gen(), samples, (g, outputs) =>
        expectCaffe(caffeBody(g, outputs, { asGenerated: false }), outputs),
      ),
      RUNS,
    );
  });
});

const blob = (name: string, ...numbers: number[]): CaffeSample => {
  const values = Float32Array.from(numbers);
  return {
    name,
    sample: {
      tensor: { dtype: "DT_FLOAT", shape: [numbers.length], data: values },
      wire: { floatVal: numbers },
      values,
    },
  };
};

describe("responses", () => {
  test("the first of two outputs with the same name is used; names are not trimmed", () => {
    const response = new CaffeResponse(bodyOf([blob("y", 1), blob("y", 2), blob(" y", 3), blob("", 4)]));
    expect(response.outputNames).toEqual(["y", " y", ""]);
    expect(response.outputNames.map((name) => response.getNumbers(name))).toEqual([[1], [3], [4]]);
  });

  test("names and data can be interleaved", () => {
    const names = "0a0161" + "0a0162";
    const data = "12081204" + "0000803f" + "0a00" + "12081204" + "00000040" + "0a00";
    for (const body of [names + data, data + names]) {
      const response = new CaffeResponse(fromHex(body));
      expect(["a", "b"].map((name) => response.getNumbers(name))).toEqual([[1], [2]]);
      expect(response.getTensorShape("a")).toEqual([]);
    }
  });

  test.each([
    ["0a0161", /1 names for 0 outputs at byte 3/],
    ["1200", /0 names for 1 outputs at byte 2/],
    ["0a01610a01621200", /2 names for 1 outputs at byte 8/],
  ])("different numbers of names and data: %s", (body, message) => {
    expect(thrownBy(() => new CaffeResponse(fromHex(body)))).toMatchObject({
      name: "EasDecodeError",
      code: "ERR_EAS_DECODE",
      format: "caffe",
      message: expect.stringMatching(message),
    });
  });

  test("an output without anything is an empty tensor", () => {
    const response = new CaffeResponse(fromHex("0a01611200"));
    expect(response.getTensor("a")).toEqual({ dtype: "DT_FLOAT", shape: [], data: new Float32Array(0) });
  });

  test("packed values with a length that is not a multiple of four", () => {
    expect(thrownBy(() => new CaffeResponse(fromHex("0a016112051203000000")))).toMatchObject({
      name: "EasDecodeError",
      message: expect.stringMatching(/length of packed values is not a multiple of 4 at byte 7/),
    });
  });

  test("a shape that is out of range", () => {
    const response = new CaffeResponse(fromHex("0a0161120d0a0b08ffffffffffffffffff01"));
    expect(thrownBy(() => response.getTensorShape("a"))).toMatchObject({
      name: "EasDecodeError",
      message: 'output "a" has the shape [-1], which is out of range',
    });
  });

  test("unknown names and other dtypes are rejected", () => {
    const response = new CaffeResponse(bodyOf([blob("y", 1), blob("z")]));
    expect(thrownBy(() => response.getValues("x"))).toMatchObject({
      name: "RangeError",
      code: "ERR_EAS_ARG_OUTPUT",
      message: 'output "x" is not in the response: its outputs are "y", "z"',
    });
    expect(thrownBy(() => new CaffeResponse(new Uint8Array(0)).getValues("x"))).toMatchObject({
      message: 'output "x" is not in the response: it has no outputs',
    });
    for (const name of ["y", "z"]) {
      expect(thrownBy(() => response.getValues(name, "DT_INT32"))).toMatchObject({
        name: "TypeError",
        code: "ERR_EAS_ARG_DTYPE",
        message: `output "${name}" is DT_FLOAT, not DT_INT32`,
      });
      expect(thrownBy(() => response.getStrings(name))).toMatchObject({ code: "ERR_EAS_ARG_DTYPE" });
    }
  });

  test("requests and responses as text", () => {
    expect(`${new CaffeRequest().addFeed("x", [2], [1, 2]).addFetch("y")}`).toBe(
      "CaffeRequest { x: DT_FLOAT [2] } → y",
    );
    expect(`${new CaffeRequest()}`).toBe("CaffeRequest {  } → all outputs");
    expect(`${new CaffeResponse(bodyOf([blob("y", 1.5, 2)]))}`).toBe("CaffeResponse { y: DT_FLOAT [2] 1.5, 2 }");
  });
});

const BODY = bodyOf([blob("a", 1, -0, 1.5), blob("b", 7), blob("c")]);

describeDamage({
  format: "caffe",
  open: (body) => {
    const response = new CaffeResponse(body);
    return { response, outputs: response.outputNames };
  },
  body: BODY,
  // Names and data must match, so only the empty body is complete.
  wholeParts: 1,
  bodies: fc.gen().map((g) =>
    caffeBody(
      g,
      g(() => fc.array(caffeSample, { maxLength: 3 })),
      { asGenerated: false },
    ),
  ),
  field: 2,
});

describe("values belong to the caller", () => {
  test.each(Object.entries(PLACES))("%s", (_, place) => {
    const body = place(BODY);
    const response = new CaffeResponse(body);
    overwrite(response.getValues("a"));
    const values = response.getValues("a", "DT_FLOAT");
    expect(values).toEqual(Float32Array.of(1, -0, 1.5));
    body.fill(0xff);
    expect(values).toEqual(Float32Array.of(1, -0, 1.5));
  });
});

test("types", () => {
  const request = new CaffeRequest({ compression: "zlib" });
  expect(request.compression).toBe("zlib");
  expectTypeOf(request.parseResponse).returns.toEqualTypeOf<CaffeResponse>();
  const response = new CaffeResponse(BODY);
  expectTypeOf(response.getValues("a", "DT_FLOAT")).toEqualTypeOf<ReturnType<Float32Array["slice"]>>();
  const wrong: (() => unknown)[] = [
    // @ts-expect-error text
    () => request.addFeed("a", [1], ["1"]),
    // @ts-expect-error bigints
    () => request.addFeed("a", [1], [1n]),
    // @ts-expect-error 64-bit integers
    () => request.addFeed("a", [1], BigInt64Array.of(1n)),
    // @ts-expect-error a single number
    () => request.addFeed("a", [1], 1),
    // @ts-expect-error a dtype, which Caffe does not ask for
    () => request.addFeed("a", [1], "DT_FLOAT", [1]),
  ];
  for (const act of wrong) expect(act).toThrow(/^input "a": /);
  request.addFeed("b", tensor([1], [1], "DT_FLOAT") satisfies Tensor).addFeed("c", tensor([1], Float32Array.of(1)));
});
