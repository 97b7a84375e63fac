import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import * as easyrec from "../../../../src/gen/eas/easyrec/easyrec_pb.js";
import * as torchrec from "../../../../src/gen/eas/torchrec/torchrec_pb.js";
import { EasyRecRequest, EasyRecResponse, TorchRecRequest } from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";

// Tests the arguments that the two recommendation requests accept and reject, and the text methods of EasyRec.

const torch = (): TorchRecRequest => new TorchRecRequest();
const easy = (): EasyRecRequest => new EasyRecRequest();
/** Passes arguments that the types forbid. */
const any = (value: unknown): never => value as never;

const readTorch = (request: TorchRecRequest): torchrec.PBRequest =>
  fromBinary(torchrec.PBRequestSchema, request.toBinary());
const readEasy = (request: EasyRecRequest): easyrec.PBRequest =>
  fromBinary(easyrec.PBRequestSchema, request.toBinary());

type Refused = readonly [act: () => unknown, name: "TypeError" | "RangeError", code: string, message: string | RegExp];

const INT = "it must be an integer from -2147483648 to 2147483647";
const INT64 = "it must be an integer: a number within ±(2^53 - 1), or a bigint within 64 bits";
const JOIN = "the service matches values to items by position, so pass one value for each item, or a single value";
const SURROGATE = "which contains an unpaired surrogate: UTF-8 cannot encode it, so remove it";
const KEY = (bits: number) =>
  `it must be an integer within ${bits} bits, or its decimal text without white space, a plus sign or leading zeros`;

const CONTENT = "ERR_EAS_ARG_CONTENT";
const FEED = "ERR_EAS_ARG_FEED";
const DTYPE = "ERR_EAS_ARG_DTYPE";

class Profile {
  age = 12;
}

const TORCH_VALUES: readonly (readonly [dtype: string, value: unknown, error: Refused[1], message: string])[] = [
  ["STRING", 5, "TypeError", `user feature "k" is 5, which does not fit STRING: it must be a string`],
  ["STRING", "\ud800", "RangeError", `user feature "k" is "\\ud800", ${SURROGATE}`],
  ["string", true, "TypeError", `user feature "k" is true, which does not fit string: it must be a string`],
  ["FLOAT", "1", "TypeError", `user feature "k" is "1", which does not fit FLOAT: it must be a number`],
  ["FLOAT", 1n, "TypeError", `user feature "k" is 1n, which does not fit FLOAT: it must be a number`],
  ["DOUBLE", false, "TypeError", `user feature "k" is false, which does not fit DOUBLE: it must be a number`],
  ["INT", 1.5, "RangeError", `user feature "k" is 1.5, which does not fit INT: ${INT}`],
  ["INT", 2 ** 31, "RangeError", `user feature "k" is 2147483648, which does not fit INT: ${INT}`],
  ["INT", -(2 ** 31) - 1, "RangeError", `user feature "k" is -2147483649, which does not fit INT: ${INT}`],
  ["INT", Number.NaN, "RangeError", `user feature "k" is NaN, which does not fit INT: ${INT}`],
  ["INT", 1n, "RangeError", `user feature "k" is 1n, which does not fit INT: ${INT}`],
  ["INT", [1], "TypeError", `user feature "k" is an array, which does not fit INT: ${INT}`],
  ["INT64", 2 ** 53, "RangeError", `user feature "k" is 9007199254740992, which does not fit INT64: ${INT64}`],
  ["BIGINT", 2n ** 63n, "RangeError", `user feature "k" is 9223372036854775808n, which does not fit BIGINT: ${INT64}`],
  ["INT64", "7", "TypeError", `user feature "k" is "7", which does not fit INT64: ${INT64}`],
  ["LIST<INT>", 5, "TypeError", `user feature "k" is 5, which does not fit LIST<INT>: it must be an array`],
  ["LIST<STRING>", "ab", "TypeError", `user feature "k" is "ab", which does not fit LIST<STRING>: it must be an array`],
  [
    "LIST<INT>",
    new Set([1]),
    "TypeError",
    `user feature "k" is an instance of Set, which does not fit LIST<INT>: it must be an array`,
  ],
  [
    "ARRAY<FLOAT>",
    { 0: 1, length: 1 },
    "TypeError",
    `user feature "k" is a plain object, which does not fit ARRAY<FLOAT>: it must be an array`,
  ],
  [
    "LIST<INT>",
    [1, 2.5],
    "RangeError",
    `user feature "k" (LIST<INT>): content[1] is 2.5, which does not fit DT_INT32: ${INT}`,
  ],
  [
    "LIST<INT64>",
    [1, 2 ** 60],
    "RangeError",
    `user feature "k" (LIST<INT64>): content[1] is 1152921504606847000, which does not fit DT_INT64: ${INT64}`,
  ],
  [
    "LIST<FLOAT>",
    [1, "2"],
    "TypeError",
    `user feature "k" (LIST<FLOAT>): content[1] is "2", which does not fit DT_FLOAT: it must be a number`,
  ],
  [
    "LIST<STRING>",
    ["a", 1],
    "TypeError",
    `user feature "k": element 1 is 1, which does not fit LIST<STRING>: it must be a string`,
  ],
  [
    "LIST<STRING>",
    [Uint8Array.of(97)],
    "TypeError",
    `user feature "k": element 0 is an instance of Uint8Array, which does not fit LIST<STRING>: it must be a string`,
  ],
  ["LIST<STRING>", ["a", "\udc00b"], "RangeError", `user feature "k": element 1 is "\\udc00b", ${SURROGATE}`],
  [
    "LIST<STRING>",
    // biome-ignore lint/suspicious/noSparseArray: a hole is what is tested
    ["a", , "c"],
    "TypeError",
    `user feature "k": element 1 is undefined, which does not fit LIST<STRING>: it must be a string`,
  ],
  [
    "LIST<LIST<INT>>",
    [[1], 2],
    "TypeError",
    `user feature "k": element 1 is 2, which does not fit LIST<LIST<INT>>: it must be an array`,
  ],
  [
    "ARRAY<ARRAY<FLOAT>>",
    Float32Array.of(1),
    "TypeError",
    `user feature "k": element 0 is 1, which does not fit ARRAY<ARRAY<FLOAT>>: it must be an array`,
  ],
  [
    "LIST<LIST<STRING>>",
    [["a"], [null]],
    "TypeError",
    `user feature "k": element 1: element 0 is null, which does not fit LIST<LIST<STRING>>: it must be a string`,
  ],
  [
    "LIST<LIST<INT>>",
    [[], [1.5]],
    "RangeError",
    `user feature "k": element 1 (LIST<LIST<INT>>): content[0] is 1.5, which does not fit DT_INT32: ${INT}`,
  ],
  [
    "MAP<INT,INT>",
    [[1, 2]],
    "TypeError",
    `user feature "k" is an array, which does not fit MAP<INT,INT>: it must be a Map or a plain object`,
  ],
  [
    "MAP<STRING,INT>",
    new Profile(),
    "TypeError",
    `user feature "k" is an instance of Profile, which does not fit MAP<STRING,INT>: it must be a Map or a plain object`,
  ],
  ...["", " 7", "+7", "07", "7.0", "-0", "1e3", "0x7", "２"].map(
    (key) =>
      [
        "MAP<INT,INT>",
        { [key]: 1 },
        "RangeError",
        `user feature "k": key is ${JSON.stringify(key)}, which does not fit MAP<INT,INT>: ${KEY(32)}`,
      ] as const,
  ),
  [
    "MAP<INT,INT>",
    { "2147483648": 1 },
    "RangeError",
    `user feature "k": key is "2147483648", which does not fit MAP<INT,INT>: ${KEY(32)}`,
  ],
  [
    "MAP<INT64,INT>",
    new Map([[2 ** 53, 1]]),
    "RangeError",
    `user feature "k": key is 9007199254740992, which does not fit MAP<INT64,INT>: ${KEY(64)}`,
  ],
  [
    "MAP<BIGINT,INT>",
    { "9223372036854775808": 1 },
    "RangeError",
    `user feature "k": key is "9223372036854775808", which does not fit MAP<BIGINT,INT>: ${KEY(64)}`,
  ],
  [
    "MAP<INT,INT>",
    new Map([[null, 1]]),
    "TypeError",
    `user feature "k": key is null, which does not fit MAP<INT,INT>: ${KEY(32)}`,
  ],
  [
    "MAP<STRING,INT>",
    new Map([[7, 1]]),
    "TypeError",
    `user feature "k": key is 7, which does not fit MAP<STRING,INT>: it must be a string`,
  ],
  ["MAP<STRING,INT>", { "\ud800": 1 }, "RangeError", `user feature "k": key is "\\ud800", ${SURROGATE}`],
  [
    "MAP<STRING,INT>",
    { a: 1.5 },
    "RangeError",
    `user feature "k": the value of key "a" is 1.5, which does not fit MAP<STRING,INT>: ${INT}`,
  ],
  [
    "MAP<STRING,DOUBLE>",
    { a: null },
    "TypeError",
    `user feature "k": the value of key "a" is null, which does not fit MAP<STRING,DOUBLE>: it must be a number`,
  ],
  [
    "MAP<INT,INT>",
    new Map<unknown, unknown>([
      ["7", 1],
      [7, 2],
    ]),
    "RangeError",
    `user feature "k": the key 7 occurs twice: the service would keep only one of the entries`,
  ],
  [
    "MAP<INT64,INT>",
    new Map<unknown, unknown>([
      [7n, 1],
      [7, 2],
    ]),
    "RangeError",
    `user feature "k": the key 7 occurs twice: the service would keep only one of the entries`,
  ],
];

describe("TorchRec: values that do not fit", () => {
  test.each(TORCH_VALUES)("%s %o", (dtype, value, name, message) => {
    const request = torch()
      .addUserFeature("k", 1, "INT")
      .addContextFeature("k", 1, "INT")
      .addItemFeature("k", 1, "INT");
    const before = request.toBinary();
    const error = thrownBy(() => request.addUserFeature("k", any(value), any(dtype)));
    expect(error).toMatchObject({ name, code: CONTENT, message });
    const of = (kind: string) => message.replace("user feature", kind);
    expect(thrownBy(() => request.addContextFeature("k", any(value), any(dtype))).message).toBe(of("context feature"));
    expect(thrownBy(() => request.addItemFeature("k", any(value), any(dtype))).message).toBe(of("item feature"));
    expect(request.toBinary()).toEqual(before);
  });
});

test.each([
  "LONG",
  "",
  "INT ",
  "MAP<INT, INT>",
  "LIST<ARRAY<FLOAT>>",
  "LIST<LIST<LIST<INT>>>",
  "LIST<MAP<INT,INT>>",
  "MAP<FLOAT,INT>",
  "MAP<INT>",
  "BOOL",
  "__proto__",
  "constructor",
  // The upper-case letters of these are ASCII: INT, STRING.
  "ınt",
  "ſtring",
  undefined,
  null,
  3,
  ["INT"],
])("TorchRec: dtype %j is rejected for every value", (dtype) => {
  for (const value of [1, null, [], {}]) {
    expect(thrownBy(() => torch().addUserFeature("age", any(value), any(dtype)))).toMatchObject({
      name: "TypeError",
      code: DTYPE,
      message: expect.stringMatching(
        /^user feature "age": dtype is .*: it must be one of INT, INT64, BIGINT, FLOAT, DOUBLE, STRING; LIST<X>, .*without spaces$/,
      ),
    });
  }
});

test.each([
  ["INT", null],
  ["FLOAT", undefined],
  ["STRING", null],
  ["LIST<INT>", []],
  ["LIST<INT>", new Int32Array(0)],
  ["array<string>", []],
  ["LIST<LIST<DOUBLE>>", []],
  ["MAP<INT,INT>", {}],
  ["MAP<INT,INT>", Object.create(null)],
  ["MAP<INT,INT>", new Map()],
  // The official SDKs do not look at the dtype of a missing value.
  ["INT", []],
  ["STRING", {}],
])("TorchRec: %s %j is a missing value, sent as the empty text", (dtype, value) => {
  const request = torch().addUserFeature("k", any(value), any(dtype));
  expect(Buffer.from(request.toBinary()).toString("hex")).toBe("12070a016b12021a00");
});

describe("other invalid arguments", () => {
  const NAMES: readonly Refused[] = [
    [() => torch().addUserFeature("", 1, "INT"), "RangeError", FEED, 'name is "": it must not be empty'],
    [() => torch().addContextFeature("", 1, "INT"), "RangeError", FEED, 'name is "": it must not be empty'],
    [() => torch().addItemFeature("", 1, "INT"), "RangeError", FEED, 'name is "": it must not be empty'],
    [() => torch().addUserFeature(any(7), 1, "INT"), "TypeError", FEED, "name is 7: it must be a string"],
    [() => torch().addUserFeature("\udfff", 1, "INT"), "RangeError", FEED, `name is "\\udfff", ${SURROGATE}`],
    [() => torch().addMetaData("", "v"), "RangeError", FEED, 'key is "": it must not be empty'],
    [() => easy().addUserFeature("", "v"), "RangeError", FEED, 'name is "": it must not be empty'],
    [() => easy().addContextFeature("", ["v"]), "RangeError", FEED, 'name is "": it must not be empty'],
    [() => easy().addContextFeature(any(null), ["v"]), "TypeError", FEED, "name is null: it must be a string"],
  ];
  const IDS: readonly Refused[] = [
    [() => easy().addItemId(any(null)), "TypeError", FEED, "id is null: it must be a string, an integer or a bigint"],
    [
      () => torch().addItemId(1.5),
      "RangeError",
      FEED,
      /^id is 1\.5: a number must be an integer within ±\(2\^53 - 1\)/,
    ],
    [() => torch().addItemId(2 ** 53), "RangeError", FEED, /^id is 9007199254740992: .* as strings or bigints$/],
    [() => torch().addItemId("\ud800"), "RangeError", FEED, `id is "\\ud800", ${SURROGATE}`],
  ];
  const META: readonly Refused[] = [
    [() => torch().addMetaData("m", any({})), "TypeError", CONTENT, /^the value of metadata "m" is a plain object: /],
    [() => torch().addMetaData("m", Number.NaN), "RangeError", CONTENT, /^the value of metadata "m" is NaN: .*finite/],
    [
      () => torch().addMetaData("m", "\ud800"),
      "RangeError",
      CONTENT,
      `the value of metadata "m" is "\\ud800", ${SURROGATE}`,
    ],
  ];
  const NUMBERS: readonly Refused[] = [
    [
      () => torch().setFaissNeighNum(-1),
      "RangeError",
      FEED,
      /^neighbors is -1: it must be a 32-bit integer of at least 0$/,
    ],
    [() => easy().setFaissNeighNum(1.5), "RangeError", FEED, /^neighbors is 1\.5: /],
    [() => easy().setDebugLevel(2 ** 31), "RangeError", FEED, "debugLevel is 2147483648: it must be a 32-bit integer"],
    [
      () => torch().addFeed(new Uint8Array(0), any("1")),
      "RangeError",
      FEED,
      'debugLevel is "1": it must be a 32-bit integer',
    ],
  ];
  const EASYREC: readonly Refused[] = [
    [
      () => easy().addUserFeature("k", any(5)),
      "TypeError",
      DTYPE,
      'user feature "k": the dtype cannot be inferred from 5: pass one of INT, LONG, INT64, BIGINT, FLOAT, STRING',
    ],
    [
      () => easy().addUserFeature("k", any(5), any("DOUBLE")),
      "TypeError",
      DTYPE,
      'user feature "k": dtype is "DOUBLE": it must be one of INT, LONG, INT64, BIGINT, FLOAT, STRING',
    ],
    [() => easy().addUserFeature("k", any(5), any("ınt")), "TypeError", DTYPE, /^user feature "k": dtype is "ınt"/],
    [
      () => easy().addUserFeature("k", any(5), any("constructor")),
      "TypeError",
      DTYPE,
      /^user feature "k": dtype is "constructor"/,
    ],
    [() => easy().addUserFeature("k", any(5), any(null)), "TypeError", DTYPE, /^user feature "k": dtype is null/],
    [
      () => easy().addUserFeature("k", any(null), "INT"),
      "TypeError",
      CONTENT,
      `user feature "k" is null, which does not fit INT: ${INT}`,
    ],
    [
      () => easy().addUserFeature("k", 2n ** 63n),
      "RangeError",
      CONTENT,
      `user feature "k" is 9223372036854775808n, which does not fit LONG: ${INT64}`,
    ],
    [
      () => easy().addUserFeature("k", 0.5, "long"),
      "RangeError",
      CONTENT,
      `user feature "k" is 0.5, which does not fit long: ${INT64}`,
    ],
    [
      () => easy().addContextFeature("k", any("ab")),
      "TypeError",
      CONTENT,
      'context feature "k": values is "ab": it must be an array with one value for each item',
    ],
    [
      () => easy().addContextFeature("k", any([1, 2])),
      "TypeError",
      DTYPE,
      /^context feature "k": the dtype cannot be inferred from 1: pass one of/,
    ],
    [
      () => easy().addContextFeature("k", any(["a", 2])),
      "TypeError",
      CONTENT,
      'context feature "k": values[1] is 2, which does not fit STRING: it must be a string',
    ],
    [
      () => easy().addContextFeature("k", [1, 2.5], "INT"),
      "RangeError",
      CONTENT,
      `context feature "k": values[1] is 2.5, which does not fit INT: ${INT}`,
    ],
    [
      () => easy().addContextFeature("k", [], any("DOUBLE")),
      "TypeError",
      DTYPE,
      /^context feature "k": dtype is "DOUBLE"/,
    ],
    [() => easy().keepOneItemIds(), "RangeError", FEED, "there is no item id to keep: add item ids first"],
    [
      () => easy().setSeparator(""),
      "RangeError",
      FEED,
      /^separator is "": it must be a string of at least one character/,
    ],
    [() => easy().setSeparator("::"), "RangeError", FEED, /^separator is "::": .* without colons/],
    [() => easy().setSeparator(any(/,/)), "TypeError", FEED, "separator is an instance of RegExp: it must be a string"],
    [() => new EasyRecRequest({ separator: "" }), "RangeError", FEED, /^separator is ""/],
    [
      () => new EasyRecRequest(any("serving_default")),
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      /"serving_default": the official Python SDK takes a signature/,
    ],
    [
      () => new EasyRecRequest(any(null)),
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      /^EasyRecRequest accepts options .* not null$/,
    ],
    [
      () => new TorchRecRequest(any(true)),
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      /^TorchRecRequest accepts options .* not true$/,
    ],
  ];

  test.each([...NAMES, ...IDS, ...META, ...NUMBERS, ...EASYREC])("%s", (act, name, code, message) => {
    expect(thrownBy(act)).toMatchObject({
      name,
      code,
      message: typeof message === "string" ? message : expect.stringMatching(message),
    });
  });
});

describe("addFeed", () => {
  test("rejects a message object and says what to do", () => {
    const message = create(easyrec.PBRequestSchema, { itemIds: ["a"] });
    expect(thrownBy(() => easy().addFeed(any(message)))).toMatchObject({
      name: "TypeError",
      code: FEED,
      message:
        "data is a plain object: it must be a Uint8Array with a serialized PBRequest. Serialize a message with toBinary(PBRequestSchema, message) and the schema of eas-prediction/proto/easyrec, or send it as a ProtoRequest",
    });
    expect(thrownBy(() => torch().addFeed(any("abc"))).message).toMatch(/^data is "abc": .*proto\/torchrec/);
  });

  test("copies the bytes", () => {
    const data = toBinary(
      torchrec.PBRequestSchema,
      create(torchrec.PBRequestSchema, {
        itemIds: ["a"],
        userFeatures: { k: { value: { case: "stringFeature", value: "v" } } },
      }),
    );
    const request = torch().addFeed(Buffer.from(data.buffer));
    const before = request.toBinary();
    data.fill(0);
    expect(request.toBinary()).toEqual(before);
  });

  test("sends on unknown fields, in the message and in features", () => {
    // Field 99 of the message, field 50 of a PBFeature, field 9 of ContextFeatures.
    const data = Uint8Array.from(Buffer.from("9a0601ff", "hex"));
    expect(torch().addFeed(data).toBinary()).toEqual(data);
    const nested = Uint8Array.from(Buffer.from("220f0a0163120a0a0592030201024a0178", "hex"));
    expect(torch().addFeed(nested).toBinary()).toEqual(nested);
    // EasyRec does not have item features.
    const item = torch().addItemFeature("i", 1, "INT").toBinary();
    expect(easy().addFeed(item).toBinary()).toEqual(item);
  });

  test("uses the message's debug level, unless another is passed", () => {
    const data = torch().setDebugLevel(3).addItemId("a").toBinary();
    expect(readTorch(torch().setDebugLevel(5).addFeed(data)).debugLevel).toBe(3);
    expect(readTorch(torch().setDebugLevel(5).addFeed(data, 0)).debugLevel).toBe(0);
    expect(readTorch(torch().addFeed(data, 2)).debugLevel).toBe(2);
    expect(readTorch(torch().setDebugLevel(5).addFeed(torch().toBinary())).debugLevel).toBe(5);
  });

  test("keeps the number of neighbors if the message does not set it", () => {
    const data = torch().addItemId("a").toBinary();
    expect(readTorch(torch().setFaissNeighNum(5).addFeed(data)).faissNeighNum).toBe(5);
  });

  test("appends features to those of the message", () => {
    const data = torch().addContextFeature("c", 1, "INT").toBinary();
    const request = torch().addFeed(data).addContextFeature("c", "x", "STRING");
    expect(readTorch(request).contextFeatures.c?.features.map(({ value }) => value.value)).toEqual([1, "x"]);
    // Adding the same message again replaces, and does not change what was read before.
    expect(readTorch(request.addFeed(data)).contextFeatures.c?.features).toHaveLength(1);
  });
});

describe("lengths that the service cannot match", () => {
  test.each<Refused>([
    [
      () =>
        torch()
          .addItemId("a")
          .addItemId("b")
          .addItemId("c")
          .addContextFeature("p", 1, "INT")
          .addContextFeature("p", 2, "INT")
          .toBinary(),
      "RangeError",
      FEED,
      `context feature "p" has 2 values, but there are 3 item ids: ${JOIN}`,
    ],
    [
      () => torch().addItemId("a").addItemFeature("p", 1, "INT").addItemFeature("p", 2, "INT").toBinary(),
      "RangeError",
      FEED,
      `item feature "p" has 2 values, but there is 1 item id: ${JOIN}`,
    ],
    [
      () => easy().addContextFeature("a", ["x", "y"]).addContextFeature("b", ["x", "y", "z"]).toBinary(),
      "RangeError",
      FEED,
      `context feature "b" has 3 values, but "a" has 2: ${JOIN}`,
    ],
    [
      () =>
        easy()
          .addItemId(1)
          .addItemId(2)
          .addContextFeature("a", ["x", "y"])
          .keepOneItemIds()
          .addItemId(3)
          .addItemId(4)
          .toBinary(),
      "RangeError",
      FEED,
      `context feature "a" has 2 values, but there are 3 item ids: ${JOIN}`,
    ],
  ])("%s", (act, name, code, message) => {
    expect(thrownBy(act)).toMatchObject({ name, code, message });
  });

  test("one value matches any length, and item features are independent of context features", () => {
    const request = torch()
      .addContextFeature("one", 1, "INT")
      .addContextFeature("two", 1, "INT")
      .addContextFeature("two", 2, "INT")
      .addItemFeature("three", 1, "INT")
      .addItemFeature("three", 2, "INT")
      .addItemFeature("three", 3, "INT");
    expect(Object.keys(readTorch(request).contextFeatures)).toEqual(["one", "two"]);
  });

  test("keepOneItemIds does not change features", () => {
    const request = easy()
      .addItemId(1)
      .addItemId(2)
      .addContextFeature("a", ["x", "y"])
      .keepOneItemIds()
      .keepOneItemIds();
    expect(readEasy(request)).toMatchObject({ itemIds: ["1"], contextFeatures: { a: { features: [{}, {}] } } });
  });
});

test("arguments are copied", () => {
  const list = [1, 2];
  const typed = Int32Array.of(1, 2);
  const map = new Map([["a", 1]]);
  const values = ["x", "y"];
  const request = torch()
    .addUserFeature("list", list, "LIST<INT>")
    .addUserFeature("typed", typed, "LIST<INT>")
    .addUserFeature("map", map, "MAP<STRING,INT>");
  const other = easy().addContextFeature("c", values);
  const [before, otherBefore] = [request.toBinary(), other.toBinary()];
  list.push(3);
  typed.fill(9);
  map.set("b", 2);
  values.pop();
  expect(request.toBinary()).toEqual(before);
  expect(other.toBinary()).toEqual(otherBefore);
});

describe("objects are read by their own enumerable keys", () => {
  test("inherited keys are ignored", () => {
    const value = Object.defineProperty({ a: 1, [Symbol("s")]: 3 } as Record<string, number>, "hidden", { value: 2 });
    expect(readTorch(torch().addUserFeature("m", value, "MAP<STRING,INT>")).userFeatures.m?.value.value).toMatchObject({
      mapField: { a: 1 },
    });
  });

  test("__proto__ is an ordinary key and name", () => {
    const parsed = JSON.parse('{"__proto__": 1}') as Record<string, number>;
    const request = torch().addUserFeature("__proto__", parsed, "MAP<STRING,INT>");
    const name = "0a095f5f70726f746f5f5f";
    expect(Buffer.from(request.toBinary()).toString("hex")).toBe(`121e${name}1211620f0a0d${name}1001`);
    expect(readTorch(torch().addUserFeature("m", parsed, "MAP<STRING,INT>")).userFeatures).not.toHaveProperty("a");
  });
});

test("metadata is sent as text", () => {
  const request = torch()
    .addMetaData("s", "")
    .addMetaData("n", 1.5)
    .addMetaData("b", 2n ** 70n)
    .addMetaData("s", "é");
  expect(readTorch(request).metaData).toEqual({ s: "é", n: "1.5", b: "1180591620717411303424" });
});

test("the compression is the caller's", () => {
  expect(new EasyRecRequest({ compression: "gzip" }).compression).toBe("gzip");
  expect(new TorchRecRequest({ compression: "zlib" }).compression).toBe("zlib");
  expect(new TorchRecRequest().compression).toBeUndefined();
});

test("toString has names and counts, but no values", () => {
  const request = torch()
    .addUserFeature("age", 77, "INT")
    .addContextFeature("c", "secret", "STRING")
    .addItemFeature("i", 1, "INT")
    .addMetaData("m", "secret")
    .addItemId("secret")
    .setFaissNeighNum(3)
    .setDebugLevel(1);
  expect(`${request}`).toBe(
    "TorchRecRequest { user: age; context: c (1); item: i (1); meta data: m; 1 item ids; 3 neighbors; debug level 1 }",
  );
});

const texts = (features: readonly easyrec.PBFeature[] | undefined) => features?.map(({ value }) => value.value);

describe("the text methods of Java", () => {
  const S = "\u0002";

  test.each<[text: string, features: Record<string, string>]>([
    ["a:1", { a: "1" }],
    [`a:1${S}b:2`, { a: "1", b: "2" }],
    // Colons after the first belong to the value, except at its end.
    ["a:1:2", { a: "1:2" }],
    ["a:1:", { a: "1" }],
    ["a:1::", { a: "1" }],
    ["a::x", { a: ":x" }],
    ["a::x:", { a: ":x" }],
    ["a::", { a: "" }],
    ["a:", { a: "" }],
    // Parts without a colon and empty parts are skipped.
    [`a:1${S}b${S}${S}c:3${S}${S}`, { a: "1", c: "3" }],
    ["", {}],
    ["abc", {}],
    // Blanks are kept.
    [` a : 1 ${S}`, { " a ": " 1 " }],
    // A later name replaces an earlier one.
    [`a:1${S}a:2`, { a: "2" }],
    // U+001D becomes a comma if the value also contains | and neither is its first character.
    ["a:x|y\u001dz\u001d", { a: "x|y,z," }],
    ["a:x\u001dy|z", { a: "x,y|z" }],
    ["a:x\u001dy", { a: "x\u001dy" }],
    ["a:|x\u001dy", { a: "|x\u001dy" }],
    ["a:\u001dx|y", { a: "\u001dx|y" }],
    ["a:|x|\u001dy", { a: "|x|\u001dy" }],
  ])("appendUserFeatureString(%j)", (text, features) => {
    const { userFeatures } = readEasy(easy().appendUserFeatureString(text));
    expect(Object.fromEntries(Object.entries(userFeatures).map(([key, { value }]) => [key, value]))).toEqual(
      Object.fromEntries(Object.entries(features).map(([key, value]) => [key, { case: "stringFeature", value }])),
    );
  });

  test.each<[text: string, features: Record<string, string[]>]>([
    ["k:v1:v2", { k: ["v1", "v2"] }],
    // Empty values are kept, except at the end.
    ["k:v1::v2", { k: ["v1", "", "v2"] }],
    ["k::v2", { k: ["", "v2"] }],
    ["k:v1::", { k: ["v1"] }],
    ["k:", { k: [] }],
    ["k", {}],
    ["", {}],
    [`k:1${S}l:2${S}`, { k: ["1"], l: ["2"] }],
    [`k:1:2${S}k:3`, { k: ["3"] }],
    ["k:x|y\u001dz", { k: ["x|y\u001dz"] }],
  ])("appendContextFeatureString(%j)", (text, features) => {
    const { contextFeatures } = readEasy(easy().appendContextFeatureString(text));
    expect(
      Object.fromEntries(Object.entries(contextFeatures).map(([key, { features }]) => [key, texts(features)])),
    ).toEqual(features);
  });

  test("a context feature is replaced", () => {
    const request = easy().addContextFeature("k", [1, 2, 3], "INT").appendContextFeatureString("k:a:b");
    expect(texts(readEasy(request).contextFeatures.k?.features)).toEqual(["a", "b"]);
  });

  test.each<[text: string, ids: string[]]>([
    ["a,b", ["a", "b"]],
    ["a,b,,", ["a", "b"]],
    [",a,,b", ["", "a", "", "b"]],
    ["", [""]],
    [",", []],
    [",,", []],
    [" a , b", [" a ", " b"]],
    [`a${S}b`, [`a${S}b`]],
  ])("appendItemStr(%j)", (text, ids) => {
    expect(readEasy(easy().addItemId("first").appendItemStr(text)).itemIds).toEqual(["first", ...ids]);
  });

  test.each([":v", ":", "::", `a:1${S}:2`, `a:1${S}::`])("%j has a part without a name", (text) => {
    for (const method of ["appendUserFeatureString", "appendContextFeatureString"] as const) {
      const request = easy();
      expect(thrownBy(() => request[method](text))).toMatchObject({
        name: "RangeError",
        code: FEED,
        message: expect.stringMatching(/^text has the part ":.*": there must be a name before its first colon$/),
      });
      expect(request.toBinary()).toHaveLength(0);
    }
  });

  test.each(["|", ".", "\\|", "||", "[", ";"])("the separator %j is used literally", (separator) => {
    const text = `a:1${separator}b:2`;
    const features = (request: EasyRecRequest) =>
      Object.keys(readEasy(request.appendUserFeatureString(text)).userFeatures);
    expect(features(new EasyRecRequest({ separator }))).toEqual(["a", "b"]);
    expect(features(easy().setSeparator(separator))).toEqual(["a", "b"]);
    expect(features(easy())).toEqual(["a"]);
  });

  test("arguments that are not texts, or cannot be encoded", () => {
    for (const method of ["appendUserFeatureString", "appendContextFeatureString", "appendItemStr"] as const) {
      expect(thrownBy(() => easy()[method](any(5)))).toMatchObject({
        name: "TypeError",
        code: FEED,
        message: "text is 5: it must be a string",
      });
      expect(thrownBy(() => easy()[method]("a:\ud800"))).toMatchObject({ name: "RangeError", code: FEED });
    }
  });
});

describe("EasyRecResponse.getScores", () => {
  const response = (results: Record<string, { scores: number[] }>, more = {}) =>
    new EasyRecResponse(toBinary(easyrec.PBResponseSchema, create(easyrec.PBResponseSchema, { results, ...more })));

  test("accepts the same ids as addItemId", () => {
    const scored = response({ 7: { scores: [0.5] } });
    expect([scored.getScores("7"), scored.getScores(7), scored.getScores(7n)]).toEqual(
      Array(3).fill(Float64Array.of(0.5)),
    );
  });

  test.each([
    [response({}), 'item "x" has no scores in the response: it has no items'],
    [
      response({ a: { scores: [] }, b: { scores: [] } }),
      'item "x" has no scores in the response: its items are "a", "b"',
    ],
    [
      response(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`i${i}`, { scores: [] }]))),
      /: its items are "i0", .*"i9", … \(12 in all\)$/,
    ],
    [
      response({}, { statusCode: 2, errorMsg: "no model" }),
      /it has no items; the service responded with EXCEPTION: "no model"$/,
    ],
  ])("lists the items: %s", (response, message) => {
    expect(thrownBy(() => response.getScores("x"))).toMatchObject({
      name: "RangeError",
      code: "ERR_EAS_ARG_OUTPUT",
      message: typeof message === "string" ? message : expect.stringMatching(message),
    });
  });

  test("responses in logs", () => {
    const ok = response({ a: { scores: [1] } }, { outputs: ["ctr"] });
    expect(`${ok}`).toBe("EasyRecResponse { OK; scores of 1 items; targets ctr }");
    expect(`${response({}, { statusCode: 2, errorMsg: "x" })}`).toBe(
      'EasyRecResponse { EXCEPTION "x"; scores of 0 items }',
    );
    expect(() => ok.getValues("y")).toThrow(/output "y" is not in the response: it has no outputs/);
  });
});

test("the types follow from the dtype", () => {
  // Never called: only the types are checked.
  const types = (t: TorchRecRequest, e: EasyRecRequest) => {
    t.addUserFeature("k", 12, "INT").addUserFeature("k", 12n, "BIGINT").addUserFeature("k", 12, "int64");
    t.addUserFeature("k", "s", "STRING").addUserFeature("k", 1.5, "float").addUserFeature("k", null, "DOUBLE");
    t.addUserFeature("k", [1, 2], "LIST<INT>").addUserFeature("k", Int32Array.of(1), "ARRAY<INT>");
    t.addUserFeature("k", [1n, 2], "LIST<BIGINT>").addUserFeature("k", BigInt64Array.of(1n), "list<int64>");
    t.addUserFeature("k", ["a"], "ARRAY<STRING>").addUserFeature("k", Float32Array.of(1), "LIST<FLOAT>");
    t.addUserFeature("k", [[1], []], "LIST<LIST<DOUBLE>>").addUserFeature("k", [["a"]], "array<array<string>>");
    t.addUserFeature("k", [Float32Array.of(1)], "ARRAY<ARRAY<FLOAT>>");
    t.addUserFeature("k", { a: 1.5 }, "MAP<STRING,DOUBLE>").addUserFeature("k", { 7: 8 }, "MAP<INT,INT>");
    t.addUserFeature("k", new Map([[1n, "a"]]), "MAP<BIGINT,STRING>");
    t.addUserFeature("k", new Map([[1, 2n]]), "map<int,int64>");
    t.addContextFeature("k", 12, "INT").addItemFeature("k", undefined, "LIST<INT>");
    // @ts-expect-error a string is no INT
    t.addUserFeature("k", "12", "INT");
    // @ts-expect-error a bigint is no INT
    t.addUserFeature("k", 12n, "INT");
    // @ts-expect-error a number is no STRING
    t.addContextFeature("k", 12, "STRING");
    // @ts-expect-error an element is a number
    t.addItemFeature("k", ["a"], "LIST<FLOAT>");
    // @ts-expect-error an element is a string
    t.addItemFeature("k", [1], "ARRAY<STRING>");
    // @ts-expect-error a list, and not a list of lists
    t.addItemFeature("k", [1], "LIST<LIST<INT>>");
    // @ts-expect-error bigints fit INT64 only
    t.addItemFeature("k", BigInt64Array.of(1n), "LIST<INT>");
    // @ts-expect-error a value is a number
    t.addUserFeature("k", { a: "b" }, "MAP<STRING,INT>");
    // @ts-expect-error a key is text
    t.addUserFeature("k", new Map([[1, 2]]), "MAP<STRING,INT>");
    // @ts-expect-error a bigint is no key of INT
    t.addUserFeature("k", new Map([[1n, 2]]), "MAP<INT,INT>");
    // @ts-expect-error a map is no list
    t.addUserFeature("k", [1], "MAP<INT,INT>");
    // @ts-expect-error no dtype
    t.addUserFeature("k", 1, "LONG");
    // @ts-expect-error no spaces
    t.addUserFeature("k", { 1: 1 }, "MAP<INT, INT>");
    // @ts-expect-error neither lists of arrays
    t.addUserFeature("k", [[1]], "LIST<ARRAY<INT>>");
    // @ts-expect-error neither maps by floats
    t.addUserFeature("k", { 1: 1 }, "MAP<FLOAT,INT>");
    // @ts-expect-error the text is the caller's matter
    t.addMetaData("k", true);

    e.addUserFeature("k", "s").addUserFeature("k", 1n).addUserFeature("k", 1, "LONG").addUserFeature("k", 1, "float");
    e.addContextFeature("k", ["a"]).addContextFeature("k", [1n]).addContextFeature("k", [1, 2n], "BIGINT");
    e.addContextFeature("k", Float32Array.of(1), "FLOAT");
    // @ts-expect-error a number needs its dtype
    e.addUserFeature("k", 1);
    // @ts-expect-error a string is no INT
    e.addUserFeature("k", "1", "INT");
    // @ts-expect-error EasyRec has no DOUBLE
    e.addUserFeature("k", 1, "DOUBLE");
    // @ts-expect-error numbers need their dtype
    e.addContextFeature("k", [1]);
    // @ts-expect-error one kind of values
    e.addContextFeature("k", ["a", 1n]);
    // @ts-expect-error a signature name is never sent
    new EasyRecRequest("serving_default");
  };
  expect(types).toBeTypeOf("function");
});
