import { describe, expect, test } from "vitest";
import {
  PredictClient,
  type Tensor,
  type TFDType,
  TFRequest,
  type TorchDType,
  TorchRequest,
  tensor,
} from "../../../../src/index.js";
import { errorOf, RecordingTransport, thrownBy, transportAnswer } from "../../../support/calls.js";
import { DTYPES, TORCH_DTYPES } from "../../../support/tensors.js";

// Inputs are checked when they are added and when they are sent. Errors name the input and say what is allowed.

type Feed = readonly [shape: unknown, dtype: unknown, content: unknown];
type Refusal = readonly [what: string, feed: Feed, kind: "TypeError" | "RangeError", code: string, message: RegExp];

const SHAPE = "ERR_EAS_ARG_SHAPE";
const DTYPE = "ERR_EAS_ARG_DTYPE";
const CONTENT = "ERR_EAS_ARG_CONTENT";

const F = "DT_FLOAT";
const REFUSALS: readonly Refusal[] = [
  ["content too short", [[2, 3], F, [1, 2, 3, 4, 5]], "RangeError", SHAPE, /\[2, 3\] has 6 elements.*length 5/],
  ["content too long", [[2], F, Float32Array.of(1, 2, 3)], "RangeError", SHAPE, /\[2\] has 2 elements.*length 3/],
  ["a scalar without content", [[], F, []], "RangeError", SHAPE, /\[\] has 1 elements.*length 0/],
  ["content for an empty shape", [[3, 0], F, [1]], "RangeError", SHAPE, /has 0 elements.*length 1/],
  ["one number for a complex one", [[2], "DT_COMPLEX64", [1, 2]], "RangeError", SHAPE, /needs two.*4.*length 2/],
  ["a product beyond 2^53", [[2 ** 40, 2 ** 40], F, [1]], "RangeError", SHAPE, /length 1/],
  ["a negative dimension", [[-1, 2], F, [1, 2]], "RangeError", SHAPE, /has the dimension -1/],
  ["two negative dimensions", [[-1, -2], F, [1, 2]], "RangeError", SHAPE, /has the dimension -1/],
  ["a fraction as a dimension", [[1.5, 2], F, [1, 2, 3]], "RangeError", SHAPE, /has the dimension 1.5/],
  ["NaN as a dimension", [[Number.NaN], F, []], "RangeError", SHAPE, /has the dimension NaN/],
  ["Infinity as a dimension", [[Number.POSITIVE_INFINITY], F, [1]], "RangeError", SHAPE, /has the dimension Infinity/],
  ["a dimension beyond 2^53", [[2 ** 53], F, [1]], "RangeError", SHAPE, /has the dimension 9007199254740992/],
  ["a bigint as a dimension", [[1n], F, [1]], "RangeError", SHAPE, /has the dimension 1n/],
  ["text as a dimension", [["1"], F, [1]], "RangeError", SHAPE, /has the dimension "1"/],
  ["a hole in the shape", [new Array(1), F, [1]], "RangeError", SHAPE, /has the dimension undefined/],
  ["a number as the shape", [3, F, [1, 2, 3]], "TypeError", SHAPE, /shape is 3: it must be an array/],
  ["no shape", [undefined, F, [1]], "TypeError", SHAPE, /shape is undefined: it must be an array/],
  ["another name for a dtype", [[1], "FLOAT", [1]], "TypeError", DTYPE, /dtype is "FLOAT": .*DT_FLOAT/],
  ["a dtype in lower case", [[1], "dt_float", [1]], "TypeError", DTYPE, /dtype is "dt_float"/],
  ["a dtype's number", [[1], 1, [1]], "TypeError", DTYPE, /dtype is 1:/],
  ["a dtype that nothing carries", [[1], "DT_RESOURCE", [1]], "TypeError", DTYPE, /dtype is "DT_RESOURCE"/],
  ["a dtype that EAS has not", [[1], "DT_UINT32", [1]], "TypeError", DTYPE, /dtype is "DT_UINT32"/],
  ["what every object has", [[1], "toString", [1]], "TypeError", DTYPE, /dtype is "toString"/],
  ["no dtype", [[1], undefined, [1]], "TypeError", DTYPE, /dtype is undefined/],
  ["a number as content", [[1], F, 5], "TypeError", CONTENT, /content is 5/],
  ["text as content", [[3], "DT_STRING", "abc"], "TypeError", CONTENT, /content is "abc"/],
  ["a buffer as content", [[1], F, new ArrayBuffer(4)], "TypeError", CONTENT, /content is an instance of ArrayBuffer/],
  ["a set as content", [[1], F, new Set([1])], "TypeError", CONTENT, /content is an instance of Set/],
  [
    "nested arrays",
    [
      [2, 2],
      F,
      [
        [1, 2],
        [3, 4],
      ],
    ],
    "TypeError",
    CONTENT,
    /content\[0\] is an array: content must be one-dimensional/,
  ],
  ["nested arrays of the right length", [[2], F, [[1], [2]]], "TypeError", CONTENT, /content\[0\] is an array/],
  ["nested integers", [[2], "DT_INT32", [1, [2]]], "TypeError", CONTENT, /content\[1\] is an array/],
  ["nested 64-bit integers", [[2], "DT_INT64", [1, [2]]], "TypeError", CONTENT, /content\[1\] is an array/],
  [
    "300 in UINT8",
    [[3], "DT_UINT8", [0, 255, 300]],
    "RangeError",
    CONTENT,
    /content\[2\] is 300.*DT_UINT8.*from 0 to 255/,
  ],
  ["-1 in UINT8", [[1], "DT_UINT8", [-1]], "RangeError", CONTENT, /content\[0\] is -1.*DT_UINT8/],
  ["256 in QUINT8", [[1], "DT_QUINT8", [256]], "RangeError", CONTENT, /is 256.*DT_QUINT8.*from 0 to 255/],
  ["128 in INT8", [[1], "DT_INT8", [128]], "RangeError", CONTENT, /is 128.*DT_INT8.*from -128 to 127/],
  ["-129 in QINT8", [[1], "DT_QINT8", [-129]], "RangeError", CONTENT, /is -129.*DT_QINT8/],
  ["32768 in INT16", [[1], "DT_INT16", [32_768]], "RangeError", CONTENT, /is 32768.*DT_INT16/],
  ["-32769 in QINT16", [[1], "DT_QINT16", [-32_769]], "RangeError", CONTENT, /is -32769.*DT_QINT16/],
  ["65536 in UINT16", [[1], "DT_UINT16", Uint32Array.of(65_536)], "RangeError", CONTENT, /is 65536.*DT_UINT16/],
  ["-1 in QUINT16", [[1], "DT_QUINT16", Int8Array.of(-1)], "RangeError", CONTENT, /is -1.*DT_QUINT16/],
  ["2^31 in INT32", [[1], "DT_INT32", [2 ** 31]], "RangeError", CONTENT, /is 2147483648.*DT_INT32/],
  ["2^31 in QINT32", [[1], "DT_QINT32", Uint32Array.of(2 ** 31)], "RangeError", CONTENT, /is 2147483648.*DT_QINT32/],
  ["1.5 in INT32", [[2], "DT_INT32", [1, 1.5]], "RangeError", CONTENT, /content\[1\] is 1.5.*DT_INT32/],
  ["a fraction in a typed array", [[1], "DT_INT32", Float32Array.of(0.5)], "RangeError", CONTENT, /is 0.5.*DT_INT32/],
  ["NaN in INT32", [[1], "DT_INT32", [Number.NaN]], "RangeError", CONTENT, /is NaN.*DT_INT32/],
  ["text in INT32", [[1], "DT_INT32", ["7"]], "TypeError", CONTENT, /is "7".*DT_INT32/],
  ["a boolean in INT32", [[1], "DT_INT32", [true]], "TypeError", CONTENT, /is true.*DT_INT32/],
  ["null in INT32", [[1], "DT_INT32", [null]], "TypeError", CONTENT, /is null.*DT_INT32/],
  ["a hole in INT32", [[1], "DT_INT32", new Array(1)], "TypeError", CONTENT, /is undefined.*DT_INT32/],
  [
    "64-bit integers in INT32",
    [[1], "DT_INT32", BigInt64Array.of(1n)],
    "RangeError",
    CONTENT,
    /1n.*bigints fit DT_INT64/,
  ],
  ["2^53 as a number in INT64", [[1], "DT_INT64", [2 ** 53]], "RangeError", CONTENT, /is 9007199254740992,.*bigint/],
  ["-2^53 as a number in INT64", [[1], "DT_INT64", [-(2 ** 53)]], "RangeError", CONTENT, /is -9007199254740992,/],
  ["2^53 in a typed array", [[1], "DT_INT64", Float64Array.of(2 ** 53)], "RangeError", CONTENT, /is 9007199254740992,/],
  ["0.5 in INT64", [[1], "DT_INT64", [0.5]], "RangeError", CONTENT, /is 0.5.*DT_INT64/],
  ["2^63 in INT64", [[1], "DT_INT64", [2n ** 63n]], "RangeError", CONTENT, /is 9223372036854775808n.*within 64 bits/],
  ["-2^63 - 1 in INT64", [[1], "DT_INT64", [-(2n ** 63n) - 1n]], "RangeError", CONTENT, /is -9223372036854775809n/],
  ["2^64 in INT64", [[1], "DT_INT64", [2n ** 64n]], "RangeError", CONTENT, /is 18446744073709551616n/],
  ["unsigned 2^63", [[1], "DT_INT64", BigUint64Array.of(2n ** 63n)], "RangeError", CONTENT, /is 9223372036854775808n/],
  ["text in INT64", [[1], "DT_INT64", ["7"]], "TypeError", CONTENT, /is "7".*DT_INT64/],
  ["a bigint in FLOAT", [[1], F, [1n]], "RangeError", CONTENT, /is 1n.*must be a number/],
  ["text in FLOAT", [[2], F, [1, "2"]], "TypeError", CONTENT, /content\[1\] is "2".*must be a number/],
  ["null in DOUBLE", [[1], "DT_DOUBLE", [null]], "TypeError", CONTENT, /is null.*must be a number/],
  ["a hole in DOUBLE", [[2], "DT_DOUBLE", new Array(2)], "TypeError", CONTENT, /is undefined.*must be a number/],
  ["64-bit integers in HALF", [[1], "DT_HALF", BigInt64Array.of(1n)], "RangeError", CONTENT, /is 1n.*DT_HALF/],
  ["a number in STRING", [[2], "DT_STRING", ["a", 1]], "RangeError", CONTENT, /content\[1\] is 1,.*Uint8Array/],
  ["null in STRING", [[1], "DT_STRING", [null]], "TypeError", CONTENT, /is null.*Uint8Array/],
  ["bytes as STRING content", [[1], "DT_STRING", Uint8Array.of(1)], "RangeError", CONTENT, /is 1,.*Uint8Array/],
];

/** The same for BOOL, which only TF has. */
const BOOL_REFUSALS: readonly Refusal[] = [
  ["2 in BOOL", [[2], "DT_BOOL", [1, 2]], "RangeError", CONTENT, /content\[1\] is 2.*true, false, 1 or 0/],
  ["2 in bytes of BOOL", [[1], "DT_BOOL", Uint8Array.of(2)], "RangeError", CONTENT, /is 2.*true, false, 1 or 0/],
  ["text in BOOL", [[1], "DT_BOOL", ["true"]], "TypeError", CONTENT, /is "true".*true, false, 1 or 0/],
  ["null in BOOL", [[1], "DT_BOOL", [null]], "TypeError", CONTENT, /is null.*true, false, 1 or 0/],
];

/** All ways to add an input. The name is the subject of the error message. */
const WAYS: Readonly<Record<string, (feed: Feed) => unknown>> = {
  'input "images"': ([shape, dtype, content]) =>
    new TFRequest().addFeed("images", shape as number[], dtype as never, content as never),
  'input "image map"': ([shape, dtype, content]) =>
    new TorchRequest().addFeedMap("image map", shape as number[], dtype as never, content as never),
  "input 3": ([shape, dtype, content]) =>
    new TorchRequest().addFeed(3, shape as number[], dtype as never, content as never),
  // The shape is checked by `tensor`, the content by `addFeed`.
  'input "as tensor"': ([shape, dtype, data]) =>
    new TFRequest().addFeed("as tensor", { shape, dtype, data } as unknown as Tensor),
};

describe.each(Object.keys(WAYS))("%s", (input) => {
  const feed = WAYS[input] as (feed: Feed) => unknown;
  const refusals =
    input.startsWith('input "image map') || input === "input 3" ? REFUSALS : [...REFUSALS, ...BOOL_REFUSALS];
  test.each(refusals)("%s", (_, arguments_, kind, code, message) => {
    const error = thrownBy(() => feed(arguments_));
    expect(error).toMatchObject({ name: kind, code });
    expect(error).toBeInstanceOf(kind === "TypeError" ? TypeError : RangeError);
    expect(error.message.startsWith(`${input}: `)).toBe(true);
    expect(error.message).toMatch(message);
  });
});

test("a rejected input does not change the request", () => {
  const request = new TFRequest("s").addFeed("x", [1], "DT_FLOAT", [1]);
  const before = request.toBinary();
  expect(() => request.addFeed("x", [2], "DT_FLOAT", [1])).toThrow(RangeError);
  expect(() => request.addFeed("y", [1], "DT_INT32", [0.5])).toThrow(RangeError);
  expect(request.toBinary()).toEqual(before);
});

describe("other arguments", () => {
  const anything = (value: unknown) => value as never;
  test.each<[what: string, act: () => unknown, kind: string, code: string, message: RegExp]>([
    [
      "a signature's name",
      () => new TFRequest(anything(null)),
      "TypeError",
      "ERR_EAS_ARG_FEED",
      /signatureName is null/,
    ],
    [
      "a signature's name, set",
      () => new TFRequest().setSignatureName(anything(1)),
      "TypeError",
      "ERR_EAS_ARG_FEED",
      /signatureName is 1/,
    ],
    [
      "an input's name",
      () => new TFRequest().addFeed(anything(1), [1], F, [1]),
      "TypeError",
      "ERR_EAS_ARG_FEED",
      /inputName is 1/,
    ],
    [
      "an output's name",
      () => new TFRequest().addFetch(anything(undefined)),
      "TypeError",
      "ERR_EAS_ARG_FEED",
      /outputName is undefined/,
    ],
    [
      "an input's name in Torch",
      () => new TorchRequest().addFeedMap(anything(0), [1], F, [1]),
      "TypeError",
      "ERR_EAS_ARG_FEED",
      /inputName is 0/,
    ],
    [
      "a negative index",
      () => new TorchRequest().addFeed(-1, [1], F, [1]),
      "RangeError",
      "ERR_EAS_ARG_FEED",
      /index is -1/,
    ],
    [
      "a fraction as an index",
      () => new TorchRequest().addFeed(0.5, [1], F, [1]),
      "RangeError",
      "ERR_EAS_ARG_FEED",
      /index is 0.5/,
    ],
    [
      "text as an index",
      () => new TorchRequest().addFeed(anything("0"), [1], F, [1]),
      "RangeError",
      "ERR_EAS_ARG_FEED",
      /index is "0"/,
    ],
    [
      "an index far off",
      () => new TorchRequest().addFeed(10_000, [1], F, [1]),
      "RangeError",
      "ERR_EAS_ARG_FEED",
      /index is 10000/,
    ],
    [
      "a fraction as an output",
      () => new TorchRequest().addFetch(1.5),
      "RangeError",
      "ERR_EAS_ARG_FEED",
      /outputIndex is 1.5/,
    ],
    [
      "an output beyond 32 bits",
      () => new TorchRequest().addFetch(2 ** 31),
      "RangeError",
      "ERR_EAS_ARG_FEED",
      /outputIndex is 2147483648/,
    ],
    [
      "a debug level beyond 32 bits",
      () => new TorchRequest().setDebugLevel(2 ** 31),
      "RangeError",
      "ERR_EAS_ARG_FEED",
      /debugLevel is 2147483648/,
    ],
    [
      "BOOL in Torch",
      () => new TorchRequest().addFeed(0, [1], anything("DT_BOOL"), anything([true])),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^input 0: .*no field for DT_BOOL.*DT_UINT8/,
    ],
    [
      "BOOL in Torch, by name",
      () => new TorchRequest().addFeedMap("m", tensor([1], [true])),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^input "m": .*no field for DT_BOOL/,
    ],
    [
      "a tensor's shape",
      () => tensor([3], Float32Array.of(1)),
      "RangeError",
      "ERR_EAS_ARG_SHAPE",
      /^tensor: .*\[3\] has 3 elements.*length 1/,
    ],
    [
      "a tensor's dtype",
      () => tensor([1], anything([1]), anything("FLOAT")),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^tensor: dtype is "FLOAT"/,
    ],
    [
      "a tensor of numbers without a dtype",
      () => tensor([2], anything([1, 2])),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^tensor: the dtype cannot be inferred/,
    ],
    [
      "a tensor of an empty list without a dtype",
      () => tensor([0], anything([])),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^tensor: the dtype cannot be inferred/,
    ],
    [
      "a tensor of mixed values without a dtype",
      () => tensor([2], anything([true, "a"])),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^tensor: the dtype cannot be inferred/,
    ],
    [
      "a tensor of unsigned 64 bits in a format that has none",
      () => new TFRequest().addFeed("in", tensor([1], BigUint64Array.of(1n))),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^input "in": dtype is "DT_UINT64": it must be one of DT_FLOAT, .*DT_HALF$/,
    ],
    [
      "a tensor of nothing",
      () => tensor([1], anything(undefined)),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /^tensor: the dtype cannot be inferred/,
    ],
  ])("%s", (_, act, name, code, message) => {
    expect(thrownBy(act)).toMatchObject({ name, code, message: expect.stringMatching(message) });
  });
});

describe("values that are changed after addFeed", () => {
  const client = () => {
    const transport = new RecordingTransport(() => transportAnswer(200));
    return { transport, client: new PredictClient({ endpoint: "http://h", serviceName: "svc", transport }) };
  };

  test.each<
    [
      what: string,
      dtype: TorchDType,
      content: unknown[],
      change: (content: unknown[], shape: number[]) => void,
      code: string,
    ]
  >([
    ["to a value out of range", "DT_UINT8", [1, 2], (content) => content.fill(300), CONTENT],
    ["to a fraction", "DT_INT32", [1, 2], (content) => content.fill(0.5), CONTENT],
    ["to an unsafe integer", "DT_INT64", [1, 2], (content) => content.fill(2 ** 53), CONTENT],
    ["to text", "DT_FLOAT", [1, 2], (content) => content.fill("x"), CONTENT],
    ["to numbers", "DT_STRING", ["a", "b"], (content) => content.fill(1), CONTENT],
    ["to another length", "DT_FLOAT", [1, 2], (content) => content.push(3), SHAPE],
    ["in its shape", "DT_FLOAT", [1, 2], (_, shape) => shape.push(2), SHAPE],
    ["to a negative shape", "DT_FLOAT", [1, 2], (_, shape) => shape.splice(0, 1, -2), SHAPE],
  ])("%s makes predict reject", async (_, dtype, content, change, code) => {
    const { transport, client: ours } = client();
    const shape = [2];
    const requests = [
      new TFRequest().addFeed("late", shape, dtype, content as never),
      new TorchRequest().addFeed(7, shape, dtype, content as never),
      new TorchRequest().addFeedMap("late", shape, dtype, content as never),
    ];
    change(content, shape);
    for (const request of requests) {
      // The promise rejects. The call does not throw.
      const error = await errorOf(ours.predict(request as TFRequest));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(/^input ("late"|7): /);
    }
    expect(transport.requests).toEqual([]);
  });

  test("are sent if they are valid when predict is called", async () => {
    const { transport, client: ours } = client();
    const content = Float32Array.of(1, 2);
    const text = Uint8Array.of(97);
    const request = new TFRequest().addFeed("x", [2], "DT_FLOAT", content).addFeed("t", [1], "DT_STRING", [text]);
    content[0] = 5;
    text[0] = 98;
    const expected = request.toBinary();
    const sent = ours.predict(request);
    content[0] = 7;
    text[0] = 99;
    await sent;
    expect(transport.requests.map(({ body }) => body)).toEqual([expected]);
    expect(expected).toEqual(
      new TFRequest().addFeed("x", [2], "DT_FLOAT", [5, 2]).addFeed("t", [1], "DT_STRING", ["b"]).toBinary(),
    );
  });
});

test("the dtypes of the classes are their own names", () => {
  const statics = (of: object) => Object.entries(of).filter(([name]) => /^[DT][TF]_/.test(name));
  const own = (dtypes: readonly TFDType[]) => dtypes.map((dtype) => [dtype, dtype] as [string, unknown]);
  expect(statics(TFRequest).sort()).toEqual([...own(DTYPES), ["TF_BOOL", "DT_BOOL"]].sort());
  for (const [name, dtype] of statics(TorchRequest)) {
    expect(dtype).toBe(name);
    expect(TORCH_DTYPES).toContain(dtype);
  }
  expect(statics(TorchRequest).map(([name]) => name)).not.toContain("DT_BOOL");
});

describe("regressions", () => {
  test.each([[undefined], [null]])("content %s is rejected with a code", (content) => {
    const error = thrownBy(() => new TFRequest().addFeed("x", [2], "DT_FLOAT", content as never));
    expect(error).toMatchObject({ name: "TypeError", code: CONTENT });
  });

  test.each<[what: string, value: unknown]>([
    ["a bigint", 1n],
    ["a symbol", Symbol("a")],
  ])("%s in INT32 is rejected with a code", (_, value) => {
    const error = thrownBy(() => new TFRequest().addFeed("x", [1], "DT_INT32", [value] as never));
    expect(error.code).toBe(CONTENT);
  });
});

describe("arguments of other types", () => {
  test("a shape that is not an array of numbers", () => {
    const shape = new DataView(new ArrayBuffer(2)) as never;
    expect(thrownBy(() => new TFRequest().addFeed("x", shape, "DT_FLOAT", [1]))).toMatchObject({
      name: "TypeError",
      code: "ERR_EAS_ARG_SHAPE",
    });
  });

  test.each([[null], [true]])("TorchRequest(%s)", (options) => {
    expect(thrownBy(() => new TorchRequest(options as never))).toMatchObject({
      name: "TypeError",
      code: "ERR_EAS_ARG_REQUEST",
    });
  });
});
