import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import * as blade from "../../../../src/gen/eas/blade/blade_pb.js";
import {
  type BladeDType,
  type BladeNameOptions,
  BladeRequest,
  BladeResponse,
  BladeTFRequest,
  BladeTFResponse,
  type DType,
  EasDecodeError,
  PredictClient,
  type Tensor,
  tensor,
} from "../../../../src/index.js";
import { errorOf, RecordingTransport, thrownBy, transportAnswer } from "../../../support/calls.js";
import { describeDamage, overwrite, PLACES } from "../../../support/damage.js";
import {
  BLADE_DTYPES,
  BLADE_NUMBERS,
  type BladeSample,
  bladeArray,
  bladeBody,
  bladeSample,
  fullName,
} from "../../../support/formats.js";
import { FLOAT_REFUSALS } from "../../../support/refusals.js";
import { bits, name, type Sample, sampleOf } from "../../../support/tensors.js";

const RUNS = { numRuns: 100 };
// Shrinking a failing body takes minutes.
const MANY_RUNS = { numRuns: 300, endOnFailure: true };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const fromHex = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, "hex"));
const anything = (value: unknown) => value as never;

const anyBladeSample = fc.constantFrom(...BLADE_DTYPES).chain(sampleOf);
const batchSize = fc.oneof(fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.constantFrom(1, 127, 128, 2 ** 31 - 1));
const nameOptions: fc.Arbitrary<BladeNameOptions | undefined> = fc.oneof(
  fc.constantFrom(undefined, {}, { bladeBlobName: undefined }, { bladeBlobName: null }),
  name.map((bladeBlobName) => ({ bladeBlobName })),
);

/** The blob name that is sent, computed independently of src/. */
function blobNameOf(name: string, options: BladeNameOptions | undefined): string | undefined {
  const given = options?.bladeBlobName;
  return given === null ? undefined : (given ?? name);
}

const outputInfo = (name: string, dtype: BladeDType | undefined, options?: BladeNameOptions) => {
  const bladeBlobName = blobNameOf(name, options);
  return create(blade.OutputInfoSchema, {
    ...(bladeBlobName === undefined ? {} : { bladeBlobName }),
    nameInDlModel: name,
    dataType: dtype === undefined ? 0 : BLADE_NUMBERS[dtype],
  });
};

/** A Blade message of the generated code. `undefined` leaves out the signature. */
const bladeMessage = (signature: string | undefined, inputs: blade.Array[], outputInfo: blade.OutputInfo[]) =>
  create(blade.RequestSchema, {
    ...(signature === undefined ? {} : { tfSignatureName: signature }),
    inputs,
    outputInfo,
  });

/** Checks the bytes and the meaning against the generated code. */
function expectMessage(body: Uint8Array, message: blade.Request): void {
  expect(body).toEqual(toBinary(blade.RequestSchema, message));
  expect(fromBinary(blade.RequestSchema, body)).toEqual(message);
}

describe("requests have the bytes of the generated code", () => {
  test.each(BLADE_DTYPES)("one input of %s", (dtype) => {
    fc.assert(
      fc.property(fullName, batchSize, sampleOf(dtype), nameOptions, (key, batchsize, sample, options) => {
        const { tensor } = sample;
        const input = bladeArray({ sample, bladeBlobName: blobNameOf(key, options), nameInDlModel: key, batchsize });
        const expected = bladeMessage(undefined, [input], []);
        expectMessage(new BladeRequest().addFeed(key, batchsize, tensor, options).toBinary(), expected);
        expectMessage(
          new BladeRequest().addFeed(key, batchsize, tensor.shape, dtype, tensor.data as never, options).toBinary(),
          expected,
        );
      }),
      RUNS,
    );
  });

  const feeds = fc.uniqueArray(fc.tuple(fullName, batchSize, anyBladeSample, nameOptions), {
    selector: ([name]) => name,
    maxLength: 4,
  });
  const dtype = fc.constantFrom(undefined, ...BLADE_DTYPES);
  const fetches = fc.uniqueArray(fc.tuple(fullName, dtype, nameOptions), { selector: ([name]) => name, maxLength: 4 });
  const signature = fc.option(name, { nil: undefined });

  test("whole Blade requests", () => {
    fc.assert(
      fc.property(signature, fc.boolean(), feeds, fetches, (signature, later, feeds, fetches) => {
        const request = later ? new BladeRequest("before") : new BladeRequest(signature);
        for (const [key, batchsize, { tensor }, options] of feeds) request.addFeed(key, batchsize, tensor, options);
        for (const [key, dtype, options] of fetches) request.addFetch(key, dtype, options);
        if (later && signature !== undefined) request.setSignatureName(signature);
        const inputs = feeds.map(([key, batchsize, sample, options]) =>
          bladeArray({ sample, bladeBlobName: blobNameOf(key, options), nameInDlModel: key, batchsize }),
        );
        const sent = later && signature === undefined ? "before" : signature;
        expectMessage(
          request.toBinary(),
          bladeMessage(
            sent,
            inputs,
            fetches.map((fetch) => outputInfo(...fetch)),
          ),
        );
      }),
      MANY_RUNS,
    );
  });

  test("whole Blade-TF requests: the batch size is the first dimension", () => {
    const feeds = fc.uniqueArray(
      fc.tuple(
        fullName,
        anyBladeSample.filter(({ tensor: { shape } }) => (shape[0] ?? 0) > 0),
      ),
      { selector: ([name]) => name, maxLength: 4 },
    );
    fc.assert(
      fc.property(signature, feeds, fc.uniqueArray(fullName, { maxLength: 3 }), (signature, feeds, fetches) => {
        const request = new BladeTFRequest(signature);
        for (const [key, { tensor }] of feeds) request.addFeed(key, tensor);
        for (const fetch of fetches) request.addFetch(fetch);
        const inputs = feeds.map(([key, sample]) =>
          bladeArray({ sample, bladeBlobName: key, nameInDlModel: key, batchsize: sample.tensor.shape[0] }),
        );
        const expected = bladeMessage(
          signature,
          inputs,
          fetches.map((fetch) => outputInfo(fetch, undefined)),
        );
        expectMessage(request.toBinary(), expected);
      }),
      MANY_RUNS,
    );
  });
});

describe("requests, byte by byte", () => {
  // The bytes are those of the official Python SDK.
  test("a Blade request", () => {
    const request = new BladeRequest("sig").addFeed("i", 1, [1], "DT_FLOAT", [1]).addFetch("o", "DT_FLOAT");
    expect(hex(request.toBinary())).toBe("0a0373696712130a0169120169180122030a01012a040000803f1a080a016f12016f1801");
  });

  test("a Blade-TF request, which always has DT_UNKNOWN", () => {
    expect(hex(new BladeTFRequest("sig").addFetch("o").toBinary())).toBe("0a037369671a080a016f12016f1800");
  });

  test("an output without a dtype is DT_UNKNOWN in a Blade request too", () => {
    expect(hex(new BladeRequest().addFetch("o").toBinary())).toBe("1a080a016f12016f1800");
    expect(hex(new BladeRequest().addFetch("o", undefined, { bladeBlobName: null }).toBinary())).toBe("1a0512016f1800");
  });

  test("the signature: absent, empty, set, set again", () => {
    for (const Request of [BladeRequest, BladeTFRequest]) {
      expect(hex(new Request().toBinary())).toBe("");
      expect(hex(new Request(undefined).toBinary())).toBe("");
      expect(hex(new Request("").toBinary())).toBe("0a00");
      expect(hex(new Request("s").toBinary())).toBe("0a0173");
      expect(hex(new Request("s").setSignatureName("").toBinary())).toBe("0a00");
      expect(hex(new Request().setSignatureName("t").toBinary())).toBe("0a0174");
    }
  });

  test("blob names of inputs: the same by default, another, empty, left out", () => {
    const sent = (options?: BladeNameOptions) =>
      hex(new BladeRequest().addFeed("in", 1, [], "DT_INT32", [7], options).toBinary());
    const rest = "1202696e" + "1801" + "2200" + "320107";
    expect(sent()).toBe(`120f0a02696e${rest}`);
    expect(sent({})).toBe(`120f0a02696e${rest}`);
    expect(sent({ bladeBlobName: undefined })).toBe(`120f0a02696e${rest}`);
    expect(sent({ bladeBlobName: "blob" })).toBe(`12110a04626c6f62${rest}`);
    expect(sent({ bladeBlobName: "" })).toBe(`120d0a00${rest}`);
    expect(sent({ bladeBlobName: null })).toBe(`120b${rest}`);
    const tensorSent = new BladeRequest().addFeed("in", 1, tensor([], Int32Array.of(7)), { bladeBlobName: "blob" });
    expect(hex(tensorSent.toBinary())).toBe(`12110a04626c6f62${rest}`);
  });

  test("an empty tensor has a shape and no values", () => {
    for (const dtype of BLADE_DTYPES) {
      const request = new BladeRequest().addFeed("x", 1, [2, 0], dtype, []);
      expect(hex(request.toBinary())).toBe("120e0a0178120178180122040a020200");
    }
  });

  test("a Blade request does not check the batch size against the shape", () => {
    const sent = (batchsize: number) =>
      fromBinary(blade.RequestSchema, new BladeRequest().addFeed("x", batchsize, [2], "DT_INT32", [1, 2]).toBinary());
    for (const batchsize of [1, 2, 3, 127, 128, 2 ** 31 - 1]) {
      expect(sent(batchsize).inputs[0]?.batchsize).toBe(batchsize);
    }
  });
});

describe("a single value", () => {
  const SCALARS: readonly (readonly [BladeDType, single: unknown, list: unknown[]])[] = [
    ["DT_FLOAT", 2.5, [2.5]],
    ["DT_FLOAT", 0, [0]],
    ["DT_FLOAT", Number.NaN, [Number.NaN]],
    ["DT_INT32", -3, [-3]],
    ["DT_INT32", 0, [0]],
    ["DT_INT64", 9_007_199_254_740_993n, [9_007_199_254_740_993n]],
    ["DT_INT64", 5, [5n]],
    ["DT_STRING", "text", ["text"]],
    ["DT_STRING", "", [""]],
    ["DT_STRING", Uint8Array.of(0, 255), [Uint8Array.of(0, 255)]],
    ["DT_STRING", new Uint8Array(0), [""]],
    ["DT_STRING", Buffer.from([7]), [Uint8Array.of(7)]],
  ];
  test.each(SCALARS)("of %s: %s becomes a content of one element", (dtype, single, list) => {
    for (const shape of [[], [1], [1, 1]]) {
      const of = (content: unknown) =>
        hex(new BladeRequest().addFeed("x", 1, shape, dtype, anything(content)).toBinary());
      expect(of(single)).toBe(of(list));
      if (shape.length > 0) {
        const tf = (content: unknown) =>
          hex(new BladeTFRequest().addFeed("x", shape, dtype, anything(content)).toBinary());
        expect(tf(single)).toBe(of(list));
      }
    }
    expect(thrownBy(() => new BladeRequest().addFeed("x", 1, [2], dtype, anything(single)))).toMatchObject({
      name: "RangeError",
      code: "ERR_EAS_ARG_SHAPE",
      message: 'input "x": shape [2] has 2 elements, but the content has length 1',
    });
  });

  test.each<[BladeDType, unknown, kind: string, message: RegExp]>([
    ["DT_INT32", 1.5, "RangeError", /content\[0\] is 1.5.*DT_INT32/],
    ["DT_INT32", 1n, "RangeError", /content\[0\] is 1n.*DT_INT32/],
    ["DT_INT32", "1", "TypeError", /content\[0\] is "1".*DT_INT32/],
    ["DT_FLOAT", 1n, "RangeError", /content\[0\] is 1n.*DT_FLOAT/],
    ["DT_FLOAT", "1", "TypeError", /content\[0\] is "1".*DT_FLOAT/],
    ["DT_INT64", 0.5, "RangeError", /content\[0\] is 0.5.*DT_INT64/],
    ["DT_INT64", 2 ** 53, "RangeError", /content\[0\] is 9007199254740992.*DT_INT64/],
    ["DT_INT64", 2n ** 63n, "RangeError", /content\[0\] is 9223372036854775808n.*DT_INT64/],
    ["DT_STRING", 1, "RangeError", /content\[0\] is 1, .*DT_STRING/],
    ["DT_FLOAT", true, "TypeError", /content is true/],
  ])("of %s that does not fit: %s", (dtype, single, kind, message) => {
    for (const act of [
      () => new BladeRequest().addFeed("x", 1, [1], dtype, anything(single)),
      () => new BladeTFRequest().addFeed("x", [1], dtype, anything(single)),
    ]) {
      expect(thrownBy(act)).toMatchObject({
        name: kind,
        code: "ERR_EAS_ARG_CONTENT",
        message: expect.stringMatching(message),
      });
    }
  });

  test("bytes are a list of numbers for a numeric dtype", () => {
    const of = (content: unknown) =>
      hex(new BladeRequest().addFeed("x", 1, [2], "DT_INT32", anything(content)).toBinary());
    expect(of(Uint8Array.of(1, 200))).toBe(of([1, 200]));
  });
});

describe("content in other arrays", () => {
  const memory = Uint8Array.from({ length: 64 }, (_, i) => i * 3);
  const VIEWS: readonly (readonly [string, BladeDType, ArrayLike<number | bigint>])[] = [
    ["Float32Array", "DT_FLOAT", new Float32Array(memory.buffer, 12, 3)],
    ["Float64Array for floats", "DT_FLOAT", Float64Array.of(1.5, 0.1, 1e300)],
    ["Uint8Array for floats", "DT_FLOAT", memory.subarray(3, 6)],
    ["Int32Array", "DT_INT32", new Int32Array(memory.buffer, 4, 3)],
    ["Uint8Array for integers", "DT_INT32", memory.subarray(5, 9)],
    ["Buffer for integers", "DT_INT32", Buffer.from([5, 6, 250])],
    ["Uint8ClampedArray for integers", "DT_INT32", Uint8ClampedArray.of(1, 255)],
    ["BigInt64Array", "DT_INT64", new BigInt64Array(memory.buffer, 8, 2)],
    ["BigUint64Array", "DT_INT64", BigUint64Array.of(1n, 2n ** 63n - 1n)],
    ["Int16Array for 64 bits", "DT_INT64", Int16Array.of(-5, 7)],
  ];
  test.each(VIEWS)("%s", (_, dtype, view) => {
    const of = (content: unknown) =>
      hex(new BladeRequest().addFeed("x", 1, [view.length], dtype, anything(content)).toBinary());
    expect(of(view)).toBe(of(Array.from(view)));
  });

  test("bytes of a STRING that are views, and text", () => {
    const of = (content: readonly (string | Uint8Array)[]) =>
      hex(new BladeRequest().addFeed("x", 1, [content.length], "DT_STRING", content).toBinary());
    const expected = of([Uint8Array.of(97, 98), Uint8Array.of(0xe4, 0xbd, 0xa0)]);
    expect(of(["ab", "你"])).toBe(expected);
    expect(of([Uint8Array.of(1, 97, 98, 1).subarray(1, 3), Buffer.from("你")])).toBe(expected);
  });
});

// Rejected arguments.

type Refusal = readonly [what: string, act: () => unknown, kind: string, code: string, message: RegExp | string];
const FEED = "ERR_EAS_ARG_FEED";
const SHAPE = "ERR_EAS_ARG_SHAPE";
const DTYPE = "ERR_EAS_ARG_DTYPE";
const CONTENT = "ERR_EAS_ARG_CONTENT";
const F = "DT_FLOAT";
const OURS = "DT_FLOAT, DT_INT32, DT_INT64, DT_STRING";

describe.each<[string, (shape: never, dtype: never, content: never) => unknown]>([
  ["BladeRequest", (...feed) => new BladeRequest().addFeed("in", 1, ...feed)],
  ["BladeRequest, a tensor", (shape, dtype, data) => new BladeRequest().addFeed("in", 1, { shape, dtype, data })],
  ["BladeTFRequest", (...feed) => new BladeTFRequest().addFeed("in", ...feed)],
  ["BladeTFRequest, a tensor", (shape, dtype, data) => new BladeTFRequest().addFeed("in", { shape, dtype, data })],
])("%s rejects", (_, feed) => {
  test.each(FLOAT_REFUSALS)("%s", (_, [shape, content], kind, code, message) => {
    const error = thrownBy(() => feed(anything(shape), anything(F), anything(content)));
    expect(error).toMatchObject({ name: kind, code, message: expect.stringMatching(message) });
    expect(error.message.startsWith('input "in": ')).toBe(true);
  });

  test.each([
    ["1.5 in INT32", "DT_INT32", [1, 1.5], "RangeError", /content\[1\] is 1.5.*DT_INT32/],
    ["2^31 in INT32", "DT_INT32", [1, 2 ** 31], "RangeError", /content\[1\] is 2147483648.*DT_INT32/],
    ["null in INT32", "DT_INT32", [null, 1], "TypeError", /content\[0\] is null.*DT_INT32/],
    ["2^53 in INT64", "DT_INT64", [1, 2 ** 53], "RangeError", /content\[1\] is 9007199254740992.*DT_INT64/],
    ["2^63 in INT64", "DT_INT64", [1n, 2n ** 63n], "RangeError", /content\[1\] is 9223372036854775808n.*DT_INT64/],
    ["a number in STRING", "DT_STRING", ["a", 1], "RangeError", /content\[1\] is 1, .*DT_STRING/],
    ["null in STRING", "DT_STRING", ["a", null], "TypeError", /content\[1\] is null.*DT_STRING/],
  ])("%s", (_, dtype, content, kind, message) => {
    const error = thrownBy(() => feed(anything([2]), anything(dtype), anything(content)));
    expect(error).toMatchObject({ name: kind, code: CONTENT, message: expect.stringMatching(message) });
    expect(error.message.startsWith('input "in": ')).toBe(true);
  });

  test.each<DType>(["DT_DOUBLE", "DT_UINT8", "DT_INT16", "DT_BOOL", "DT_HALF", "DT_UINT32", "DT_UINT64"])(
    "%s, which Blade does not have",
    (dtype) => {
      const error = thrownBy(() => feed(anything([2]), anything(dtype), anything([0, 1])));
      expect(error).toMatchObject({
        name: "TypeError",
        code: DTYPE,
        message: `input "in": dtype is "${dtype}": it must be one of ${OURS}`,
      });
    },
  );

  test.each([["FLOAT"], ["dt_float"], ["toString"], [1], [null]])("the dtype %s", (dtype) => {
    const error = thrownBy(() => feed(anything([1]), anything(dtype), anything([1])));
    expect(error).toMatchObject({ name: "TypeError", code: DTYPE });
    expect(error.message).toMatch(/^input "in": dtype is .*: it must be one of DT_FLOAT, /);
  });
});

describe("rejected arguments", () => {
  const FEEDS: readonly Refusal[] = [
    [
      "a batch size of 0",
      () => new BladeRequest().addFeed("in", 0, [1], F, [1]),
      "RangeError",
      FEED,
      /batchSize is 0: it must be a 32-bit integer of at least 1$/,
    ],
    ["a negative batch size", () => new BladeRequest().addFeed("in", -1, [1], F, [1]), "RangeError", FEED, /is -1:/],
    ["half a sample", () => new BladeRequest().addFeed("in", 0.5, [1], F, [1]), "RangeError", FEED, /is 0.5:/],
    ["NaN samples", () => new BladeRequest().addFeed("in", Number.NaN, [1], F, [1]), "RangeError", FEED, /is NaN:/],
    ["2^31 samples", () => new BladeRequest().addFeed("in", 2 ** 31, [1], F, [1]), "RangeError", FEED, /2147483648:/],
    [
      "a bigint of samples",
      () => new BladeRequest().addFeed("in", anything(1n), [1], F, [1]),
      "RangeError",
      FEED,
      /1n:/,
    ],
    [
      "text as batch size",
      () => new BladeRequest().addFeed("in", anything("1"), [1], F, [1]),
      "RangeError",
      FEED,
      /"1":/,
    ],
    [
      "a forgotten batch size",
      () => new BladeRequest().addFeed("in", anything([1]), anything(F), anything([1])),
      "RangeError",
      FEED,
      /^input "in": batchSize is an array: it must be a 32-bit integer of at least 1$/,
    ],
    ["an empty name", () => new BladeRequest().addFeed("", 1, [1], F, [1]), "RangeError", FEED, /inputName is ""/],
    [
      "a number as name",
      () => new BladeRequest().addFeed(anything(1), 1, [1], F, [1]),
      "TypeError",
      FEED,
      /inputName is 1:/,
    ],
    [
      "a name twice",
      () => new BladeRequest().addFeed("in", 1, [1], F, [1]).addFeed("in", 1, [1], F, [1]),
      "RangeError",
      FEED,
      'inputName "in" was already added: add each one only once',
    ],
    [
      "a number as blob name",
      () => new BladeRequest().addFeed("in", 1, [1], F, [1], { bladeBlobName: anything(1) }),
      "TypeError",
      FEED,
      /^bladeBlobName of "in" is 1: it must be a string/,
    ],
    ["an empty output", () => new BladeRequest().addFetch(""), "RangeError", FEED, /outputName is "": it must not be/],
    [
      "an output without a name",
      () => new BladeRequest().addFetch(anything(undefined)),
      "TypeError",
      FEED,
      /undefined/,
    ],
    [
      "an output twice",
      () => new BladeRequest().addFetch("o", "DT_FLOAT").addFetch("o", "DT_INT32"),
      "RangeError",
      FEED,
      'outputName "o" was already added: add each one only once',
    ],
    [
      "an output of a dtype that Blade has not",
      () => new BladeRequest().addFetch("o", anything("DT_DOUBLE")),
      "TypeError",
      DTYPE,
      `output "o": dtype is "DT_DOUBLE": it must be one of ${OURS}`,
    ],
    [
      "Blade's number of a dtype",
      () => new BladeRequest().addFetch("o", anything(1)),
      "TypeError",
      DTYPE,
      /dtype is 1:/,
    ],
    [
      "options in the place of a dtype",
      () => new BladeRequest().addFetch("o", anything({ bladeBlobName: "b" })),
      "TypeError",
      DTYPE,
      /^output "o": dtype is a plain object/,
    ],
    [
      "a number as an output's blob name",
      () => new BladeRequest().addFetch("o", F, { bladeBlobName: anything(5) }),
      "TypeError",
      FEED,
      /^bladeBlobName of "o" is 5/,
    ],
    ["null as signature", () => new BladeRequest(anything(null)), "TypeError", FEED, /signatureName is null/],
    ["a number set as signature", () => new BladeRequest().setSignatureName(anything(1)), "TypeError", FEED, /is 1:/],
    [
      "options that are none",
      () => new BladeRequest("s", anything(true)),
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      /^BladeRequest accepts/,
    ],
    [
      "Blade-TF: a scalar",
      () => new BladeTFRequest().addFeed("in", [], F, [1]),
      "RangeError",
      SHAPE,
      /^input "in": shape \[\] has no valid batch size/,
    ],
    [
      "Blade-TF: no samples",
      () => new BladeTFRequest().addFeed("in", [0, 2], F, []),
      "RangeError",
      SHAPE,
      'input "in": shape [0, 2] has no valid batch size: its first dimension must be an integer from 1 to 2147483647',
    ],
    [
      "Blade-TF: 2^31 samples",
      () => new BladeTFRequest().addFeed("in", [2 ** 31, 0], F, []),
      "RangeError",
      "ERR_EAS_ARG_SHAPE",
      /2147483648/,
    ],
    [
      "Blade-TF: an empty name",
      () => new BladeTFRequest().addFeed("", [1], F, [1]),
      "RangeError",
      FEED,
      /inputName is ""/,
    ],
    [
      "Blade-TF: a name twice",
      () => new BladeTFRequest().addFeed("in", [1], F, [1]).addFeed("in", [1], F, [1]),
      "RangeError",
      FEED,
      /inputName "in" was already added/,
    ],
    [
      "Blade-TF: an output twice",
      () => new BladeTFRequest().addFetch("o").addFetch("o"),
      "RangeError",
      FEED,
      /outputName "o" was/,
    ],
    ["Blade-TF: an empty output", () => new BladeTFRequest().addFetch(""), "RangeError", FEED, /outputName is ""/],
    [
      "Blade-TF: null as signature",
      () => new BladeTFRequest(anything(null)),
      "TypeError",
      FEED,
      /signatureName is null/,
    ],
    [
      "Blade-TF: a number set as signature",
      () => new BladeTFRequest().setSignatureName(anything(1)),
      "TypeError",
      FEED,
      /is 1:/,
    ],
    [
      "Blade-TF: options that are none",
      () => new BladeTFRequest("s", anything(null)),
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      /^BladeTFRequest accepts/,
    ],
  ];
  test.each(FEEDS)("%s", (_, act, kind, code, message) => {
    const text = typeof message === "string" ? message : expect.stringMatching(message);
    expect(thrownBy(act)).toMatchObject({ name: kind, code, message: text });
  });

  test("a rejected call does not change the request", () => {
    const request = new BladeRequest("s").addFeed("x", 1, [1], F, [1]).addFetch("o");
    const before = request.toBinary();
    expect(() => request.addFeed("x", 1, [1], F, [2])).toThrow(RangeError);
    expect(() => request.addFeed("y", 0, [1], F, [2])).toThrow(RangeError);
    expect(() => request.addFeed("y", 1, [1], "DT_INT32", [0.5])).toThrow(RangeError);
    expect(() => request.addFetch("o", "DT_FLOAT")).toThrow(RangeError);
    expect(() => request.addFetch("p", anything("x"))).toThrow(TypeError);
    expect(() => request.setSignatureName(anything(null))).toThrow(TypeError);
    expect(request.toBinary()).toEqual(before);
    // The names are still unused.
    request.addFeed("y", 1, [1], F, [2]).addFetch("p");
  });
});

describe("values that are changed after addFeed", () => {
  const client = () => {
    const transport = new RecordingTransport(() => transportAnswer(200));
    return { transport, client: new PredictClient({ endpoint: "http://h", serviceName: "svc", transport }) };
  };

  test.each<
    [what: string, BladeDType, content: unknown[], change: (content: unknown[], shape: number[]) => void, code: string]
  >([
    ["to a fraction", "DT_INT32", [1, 2], (content) => content.fill(0.5), CONTENT],
    ["to an unsafe integer", "DT_INT64", [1, 2], (content) => content.fill(2 ** 53), CONTENT],
    ["to text", "DT_FLOAT", [1, 2], (content) => content.fill("x"), CONTENT],
    ["to numbers", "DT_STRING", ["a", "b"], (content) => content.fill(1), CONTENT],
    ["to another length", "DT_FLOAT", [1, 2], (content) => content.push(3), SHAPE],
    ["in its shape", "DT_FLOAT", [1, 2], (_, shape) => shape.push(2), SHAPE],
  ])("%s makes predict reject", async (_, dtype, content, change, code) => {
    const { transport, client: ours } = client();
    const shape = [2];
    const requests = [
      new BladeRequest().addFeed("late", 1, shape, dtype, content as never),
      new BladeTFRequest().addFeed("late", shape, dtype, content as never),
    ];
    change(content, shape);
    for (const request of requests) {
      expect(thrownBy(() => request.toBinary()).code).toBe(code);
      const error = await errorOf(ours.predict(request as BladeRequest));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(/^input "late": /);
    }
    expect(transport.requests).toEqual([]);
  });

  test("are sent if they are valid", async () => {
    const { transport, client: ours } = client();
    const floats = Float32Array.of(1, 2);
    const list = [1, 2];
    const text = Uint8Array.of(97);
    const request = new BladeRequest()
      .addFeed("a", 1, [2], "DT_FLOAT", floats)
      .addFeed("b", 1, [2], "DT_INT32", list)
      .addFeed("c", 1, [1], "DT_STRING", text);
    floats[0] = 5;
    list[1] = 300;
    text[0] = 98;
    const sent = ours.predict(request);
    floats[0] = 6;
    const response = await sent;
    expect(response).toBeInstanceOf(BladeResponse);
    expect(transport.requests[0]?.body).toEqual(
      new BladeRequest()
        .addFeed("a", 1, [2], "DT_FLOAT", [5, 2])
        .addFeed("b", 1, [2], "DT_INT32", [1, 300])
        .addFeed("c", 1, [1], "DT_STRING", ["b"])
        .toBinary(),
    );
  });
});

/** Whether there is a value, from which the dtype follows. */
const hasValues = ({ wire }: Sample): boolean => Object.values(wire).some((list) => list.length > 0);

/** Compares everything that a response reports with what was written. Names are looked up in the list. */
function expectBlade(body: Uint8Array<ArrayBuffer>, outputs: readonly BladeSample[]): void {
  const response = new BladeResponse(body);
  const inModel = ({ nameInDlModel = "", bladeBlobName = "" }: BladeSample) =>
    nameInDlModel.trim() || bladeBlobName.trim();
  expect(response.outputNames).toEqual([...new Set(outputs.map(inModel))]);
  const asked = outputs.flatMap((output) => [inModel(output), output.bladeBlobName, ` ${inModel(output)}\n`]);
  for (const name of asked) {
    if (name === undefined) continue;
    const found =
      outputs.find((output) => inModel(output) === name.trim()) ??
      outputs.find(({ bladeBlobName = "" }) => bladeBlobName.trim() !== "" && bladeBlobName.trim() === name.trim());
    if (found === undefined) {
      expect(thrownBy(() => response.getValues(name))).toMatchObject({ code: "ERR_EAS_ARG_OUTPUT" });
      continue;
    }
    const { tensor, values } = found.sample;
    const { dtype, shape } = tensor;
    expect(response.getBatchSize(name)).toBe(found.batchsize);
    expect(response.getTensorShape(name)).toEqual(shape);
    expect(bits(response.getValues(name, dtype))).toBe(bits(values));
    if (hasValues(found.sample)) {
      expect(response.getTensor(name)).toEqual({ dtype, shape, data: values });
    } else {
      expect(thrownBy(() => response.getValues(name))).toBeInstanceOf(EasDecodeError);
    }
  }
}

const responseOf = (outputs: readonly BladeSample[]) =>
  create(blade.ResponseSchema, { outputs: outputs.map(bladeArray) });

describe("responses return the values that were written", () => {
  const whole = bladeSample.map((sample) => ({ ...sample, batchsize: sample.batchsize ?? 1 }));

  test("by the generated code", () => {
    fc.assert(
      fc.property(fc.array(whole, { maxLength: 4 }), (outputs) => {
        expectBlade(toBinary(blade.ResponseSchema, responseOf(outputs)), outputs);
      }),
      MANY_RUNS,
    );
  });

  test("in any layout that protobuf allows, as by the generated code", () => {
    fc.assert(
      fc.property(fc.gen(), fc.array(bladeSample, { maxLength: 4 }), (g, outputs) => {
        const body = bladeBody(g, outputs, { asGenerated: true });
        expect(fromBinary(blade.ResponseSchema, body, { readUnknownFields: false })).toEqual(responseOf(outputs));
        expectBlade(body, outputs);
      }),
      MANY_RUNS,
    );
  });

  test("in any layout, with fields of other wire types", () => {
    fc.assert(
      fc.property(fc.gen(), fc.array(bladeSample, { maxLength: 4 }), (g, outputs) => {
        expectBlade(bladeBody(g, outputs, { asGenerated: false }), outputs);
      }),
      MANY_RUNS,
    );
  });
});

type Init = Parameters<typeof create<typeof blade.ArraySchema>>[1];
/** A response with these outputs, created by the generated code. */
const respond = (...outputs: Init[]): BladeResponse =>
  new BladeResponse(
    toBinary(
      blade.ResponseSchema,
      create(blade.ResponseSchema, {
        outputs: outputs.map((output) => create(blade.ArraySchema, { batchsize: 1, ...(output as object) })),
      }),
    ),
  );

describe("names of outputs", () => {
  const shape = create(blade.ShapeSchema, { dim: [1n] });
  const of = (floatVal: number, names: Init): Init => ({ ...(names as object), shape, floatVal: [floatVal] });

  test("an output has the name in the model or its blob name; blanks around names are ignored", () => {
    const response = respond(
      of(1, { nameInDlModel: " out ", bladeBlobName: "blob" }),
      of(2, { bladeBlobName: "\tonly blob\n" }),
      of(3, { nameInDlModel: "", bladeBlobName: "empty" }),
      of(4, { nameInDlModel: "  ", bladeBlobName: "blank" }),
    );
    expect(response.outputNames).toEqual(["out", "only blob", "empty", "blank"]);
    for (const name of ["out", " out", "out\n", "blob", " blob "]) expect(response.getNumbers(name)).toEqual([1]);
    expect(response.getNumbers(" only blob")).toEqual([2]);
    expect(response.getNumbers("empty")).toEqual([3]);
    expect(response.getNumbers("blank ")).toEqual([4]);
    // Blanks within a name count.
    expect(thrownBy(() => response.getNumbers("onlyblob"))).toMatchObject({ code: "ERR_EAS_ARG_OUTPUT" });
  });

  test("the first of two outputs with the same name is used, and names in the model precede blob names", () => {
    const response = respond(
      of(1, { nameInDlModel: "a", bladeBlobName: "b" }),
      of(2, { nameInDlModel: "b", bladeBlobName: "a" }),
      of(3, { nameInDlModel: " b", bladeBlobName: "c" }),
      of(4, { nameInDlModel: "d", bladeBlobName: "c" }),
    );
    expect(response.outputNames).toEqual(["a", "b", "d"]);
    expect(["a", "b", "c", "d"].map((name) => response.getNumbers(name)[0])).toEqual([1, 2, 3, 4]);
  });

  test("the error for an unknown name lists the outputs", () => {
    for (const read of [
      (name: string) => respond(of(1, { nameInDlModel: "y" }), of(2, { bladeBlobName: "z" })).getValues(name),
      (name: string) => respond(of(1, { nameInDlModel: "y" }), of(2, { bladeBlobName: "z" })).getBatchSize(name),
      (name: string) => respond(of(1, { nameInDlModel: "y" }), of(2, { bladeBlobName: "z" })).getTensorShape(name),
    ]) {
      expect(thrownBy(() => read(" x "))).toMatchObject({
        name: "RangeError",
        code: "ERR_EAS_ARG_OUTPUT",
        message: 'output "x" is not in the response: its outputs are "y", "z"',
      });
    }
    expect(thrownBy(() => respond().getValues("x"))).toMatchObject({
      code: "ERR_EAS_ARG_OUTPUT",
      message: 'output "x" is not in the response: it has no outputs',
    });
    expect(thrownBy(() => respond().getValues(anything(0)))).toMatchObject({ code: "ERR_EAS_ARG_OUTPUT" });
  });

  test("the empty name does not match an output without a blob name", () => {
    const response = respond(of(1, { nameInDlModel: "a" }), of(2, { nameInDlModel: "b", bladeBlobName: " " }));
    for (const name of ["", " "]) {
      expect(thrownBy(() => response.getValues(name))).toMatchObject({ code: "ERR_EAS_ARG_OUTPUT" });
    }
  });

  test("the empty name matches an output without any name", () => {
    const response = respond(of(1, {}));
    expect(response.outputNames).toEqual([""]);
    expect(response.getNumbers("")).toEqual([1]);
    expect(response.getNumbers("  ")).toEqual([1]);
  });
});

describe("the dtype follows from the values", () => {
  const cases: readonly (readonly [BladeDType, Init, unknown])[] = [
    ["DT_FLOAT", { floatVal: [1.5, -0] }, Float32Array.of(1.5, -0)],
    ["DT_INT32", { intVal: [-5, 7] }, Int32Array.of(-5, 7)],
    ["DT_INT64", { int64Val: [2n ** 62n, -1n] }, BigInt64Array.of(2n ** 62n, -1n)],
    ["DT_STRING", { stringVal: [Uint8Array.of(), Uint8Array.of(255)] }, [Uint8Array.of(), Uint8Array.of(255)]],
  ];

  test.each(cases)("%s", (dtype, values, expected) => {
    const response = respond({ nameInDlModel: "y", ...(values as object) });
    expect(response.getValues("y")).toEqual(expected);
    expect(response.getValues("y", dtype)).toEqual(expected);
    expect(response.getTensor("y").dtype).toBe(dtype);
    for (const other of [...BLADE_DTYPES, "DT_DOUBLE"].filter((name) => name !== dtype)) {
      expect(thrownBy(() => response.getValues("y", other as DType))).toMatchObject({
        name: "TypeError",
        code: DTYPE,
        message: `output "y" is ${dtype}, not ${other}`,
      });
    }
    expect(thrownBy(() => response.getValues("y", anything(BLADE_NUMBERS[dtype])))).toMatchObject({ code: DTYPE });
  });

  test("the caller passes the dtype of an output without values", () => {
    const response = respond({ nameInDlModel: "y", shape: create(blade.ShapeSchema, { dim: [2n, 0n] }) });
    expect(response.getTensorShape("y")).toEqual([2, 0]);
    expect(response.getValues("y", "DT_FLOAT")).toEqual(new Float32Array(0));
    expect(response.getValues("y", "DT_INT32")).toEqual(new Int32Array(0));
    expect(response.getValues("y", "DT_INT64")).toEqual(new BigInt64Array(0));
    expect(response.getValues("y", "DT_STRING")).toEqual([]);
    expect(response.getStrings("y")).toEqual([]);
    for (const read of [() => response.getValues("y"), () => response.getTensor("y"), () => response.getNumbers("y")]) {
      expect(thrownBy(read)).toMatchObject({
        name: "EasDecodeError",
        code: "ERR_EAS_DECODE",
        message: 'output "y" has no values to infer its dtype from: pass the dtype to getValues',
      });
    }
  });

  test("an empty packed field has no values", () => {
    // A float_val of no bytes, then an int_val.
    const response = new BladeResponse(fromHex("0a0a" + "120179" + "1801" + "2a00" + "320107"));
    expect(response.getValues("y")).toEqual(Int32Array.of(7));
  });
});

test("the batch size is the one in the response, or undefined", () => {
  const response = respond(
    { nameInDlModel: "a", batchsize: 5 },
    { nameInDlModel: "b", bladeBlobName: "blob", batchsize: 0 },
    { nameInDlModel: "c", batchsize: -2 },
  );
  expect(response.getBatchSize(" a ")).toBe(5);
  expect(response.getBatchSize("blob")).toBe(0);
  expect(response.getBatchSize("c")).toBe(-2);
  expect(new BladeResponse(fromHex("0a03120179")).getBatchSize("y")).toBeUndefined();
});

describe("responses in logs", () => {
  test("requests and responses as text", () => {
    const request = new BladeRequest("sig").addFeed("x", 2, [1, 2], F, [1, 2]).addFetch("y").addFetch("z", "DT_INT32");
    expect(`${request}`).toBe("BladeRequest(sig) { x: DT_FLOAT [1, 2] } → y, z");
    expect(`${new BladeRequest()}`).toBe("BladeRequest() {  } → all outputs");
    expect(`${new BladeTFRequest("sig").addFeed("x", [1], "DT_STRING", "a")}`).toBe(
      "BladeTFRequest(sig) { x: DT_STRING [1] } → all outputs",
    );
    const shape = create(blade.ShapeSchema, { dim: [2n] });
    expect(`${respond({ nameInDlModel: "y", shape, floatVal: [1.5, 2] })}`).toBe(
      "BladeResponse { y: DT_FLOAT [2] 1.5, 2 }",
    );
    expect(`${respond({ nameInDlModel: "y" })}`).toMatch(/^BladeResponse \{ y: unreadable: .*has no values/);
  });
});

test("a Blade-TF request returns its own response class", () => {
  const response = new BladeTFRequest().parseResponse(fromHex("0a0d" + "120179" + "1801" + "2200" + "2a040000803f"));
  expect(response).toBeInstanceOf(BladeTFResponse);
  expect(response).toBeInstanceOf(BladeResponse);
  expect(response.getNumbers("y")).toEqual([1]);
});

describe("regressions", () => {
  const empty = () => respond({ nameInDlModel: "y", shape: create(blade.ShapeSchema, { dim: [0n] }) });

  test("the batch size of a Blade-TF input is the first dimension at the time of sending", () => {
    const shape = [2, 3];
    const request = new BladeTFRequest().addFeed("x", shape, "DT_INT32", [1, 2, 3, 4, 5, 6]);
    shape.reverse();
    expect(request.toBinary()).toEqual(
      new BladeTFRequest().addFeed("x", [3, 2], "DT_INT32", [1, 2, 3, 4, 5, 6]).toBinary(),
    );
  });

  test.each([[1], ["FLOAT"], ["toString"], [null]])("%s as the dtype of an output without values", (dtype) => {
    expect(thrownBy(() => empty().getValues("y", anything(dtype)))).toMatchObject({ name: "TypeError", code: DTYPE });
  });

  test.each(["DT_UINT32", "DT_UINT64", "DT_DOUBLE", "DT_BOOL"] as const)(
    "%s, which Blade does not have, as the dtype of an output without values",
    (dtype) => {
      expect(thrownBy(() => empty().getValues("y", dtype))).toMatchObject({ name: "TypeError", code: DTYPE });
    },
  );

  test.each<[what: string, act: () => unknown]>([
    ["an input", () => new BladeRequest().addFeed("x", 1, [1], F, [1], anything(null))],
    ["an input that is a tensor", () => new BladeRequest().addFeed("x", 1, tensor([1], [1], F), anything(null))],
    ["an output", () => new BladeRequest().addFetch("x", F, anything(null))],
  ])("null as the options of %s: an error with a code, or no error", (_, act) => {
    let error: unknown;
    try {
      act();
    } catch (thrown) {
      error = thrown;
    }
    if (error !== undefined) expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_EAS_ARG_/) });
  });

  test("a dtype after a tensor is rejected", () => {
    const floats = tensor([1], Float32Array.of(1.5));
    const act = () => new BladeRequest().addFeed("x", 1, floats, anything("DT_INT32"));
    expect(thrownBy(act)).toMatchObject({ name: "TypeError" });
  });
});

// Invalid bodies.

const EACH: readonly (readonly [BladeDType, Sample["wire"], unknown])[] = [
  ["DT_FLOAT", { floatVal: [1, -0, 1.5] }, Float32Array.of(1, -0, 1.5)],
  ["DT_INT32", { intVal: [300, -5, 2_147_483_647] }, Int32Array.of(300, -5, 2_147_483_647)],
  ["DT_INT64", { int64Val: [1n, -1n, 2n ** 62n] }, BigInt64Array.of(1n, -1n, 2n ** 62n)],
  [
    "DT_STRING",
    { stringVal: [Uint8Array.of(104, 105), Uint8Array.of(), Uint8Array.of(255)] },
    [Uint8Array.of(104, 105), Uint8Array.of(), Uint8Array.of(255)],
  ],
];
const EACH_BODY = toBinary(
  blade.ResponseSchema,
  responseOf(
    EACH.map(([dtype, wire, values]) => ({
      sample: { tensor: { dtype, shape: [3], data: [] as never }, wire, values },
      nameInDlModel: dtype,
      bladeBlobName: `${dtype}:0`,
      batchsize: 1,
    })),
  ),
);

describeDamage<string>({
  format: "blade",
  open: (body) => {
    const response = new BladeResponse(body);
    return { response, outputs: response.outputNames, more: (name) => response.getBatchSize(name) };
  },
  body: EACH_BODY,
  wholeParts: EACH.length,
  bodies: fc.gen().map((g) =>
    bladeBody(
      g,
      g(() => fc.array(bladeSample, { maxLength: 3 })),
      { asGenerated: false },
    ),
  ),
  field: 1,
});

describe("values belong to the caller", () => {
  test.each(Object.entries(PLACES))("%s", (_, place) => {
    const body = place(EACH_BODY);
    const response = new BladeResponse(body);
    const read = () => EACH.map(([dtype]) => response.getValues(dtype, dtype));
    const expected = EACH.map(([, , values]) => bits(values));
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
  const request = new BladeRequest();
  expectTypeOf(request.parseResponse).returns.toEqualTypeOf<BladeResponse>();
  expectTypeOf(new BladeTFRequest().parseResponse).returns.toEqualTypeOf<BladeTFResponse>();
  const response = respond({ nameInDlModel: "y", int64Val: [1n] });
  expectTypeOf(response.getValues("y", BladeRequest.DT_INT64)).toEqualTypeOf<ReturnType<BigInt64Array["slice"]>>();
  expectTypeOf(response.getBatchSize("y")).toEqualTypeOf<number | undefined>();

  const wrong: (() => unknown)[] = [
    // @ts-expect-error a dtype that Blade has not
    () => request.addFeed("a", 1, [1], "DT_DOUBLE", [1]),
    // @ts-expect-error a dtype of another name
    () => request.addFeed("a", 1, [1], "FLOAT", [1]),
    // @ts-expect-error text as floats
    () => request.addFeed("a", 1, [1], "DT_FLOAT", ["1"]),
    // @ts-expect-error a bigint as a float
    () => request.addFeed("a", 1, [1], "DT_FLOAT", 1n),
    // @ts-expect-error a bigint as a 32-bit integer
    () => request.addFeed("a", 1, [1], "DT_INT32", [1n]),
    // @ts-expect-error a number as text
    () => request.addFeed("a", 1, [1], "DT_STRING", 5),
    // @ts-expect-error no batch size
    () => request.addFeed("a", [1], "DT_FLOAT", [1]),
    // @ts-expect-error a dtype that Blade has not, fetched
    () => request.addFetch("a", "DT_BOOL"),
    // @ts-expect-error a dtype that Blade has not
    () => new BladeTFRequest().addFeed("a", [1], "DT_UINT8", [1]),
    // @ts-expect-error a number as an output
    () => new BladeTFRequest().addFetch(1),
  ];
  for (const act of wrong) expect(act).toThrow(/./);
  // The accepted types.
  const taken = new BladeRequest("s", { compression: "gzip" })
    .addFeed("a", 1, [1], BladeRequest.DT_FLOAT, 1)
    .addFeed("b", 1, [1], BladeRequest.DT_INT32, Int32Array.of(1))
    .addFeed("c", 1, [1], BladeRequest.DT_INT64, 1n)
    .addFeed("d", 1, [2], BladeRequest.DT_INT64, [1n, 2])
    .addFeed("e", 1, [1], BladeRequest.DT_STRING, "a", { bladeBlobName: "x" })
    .addFeed("f", 1, [1], BladeRequest.DT_STRING, [Uint8Array.of(1)])
    .addFeed("g", 1, tensor([1], [1], "DT_FLOAT") satisfies Tensor)
    .addFetch("y", BladeRequest.DT_FLOAT, {});
  expect(taken.compression).toBe("gzip");
  for (const dtype of BLADE_DTYPES) {
    expect(BladeRequest[dtype]).toBe(dtype);
    expect(BladeTFRequest[dtype]).toBe(dtype);
  }
});
