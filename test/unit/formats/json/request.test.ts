import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EasDecodeError, JsonRequest, JsonResponse, type JsonValue } from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";

/** Passes a value that the types forbid. */
const anything = (value: unknown): never => value as never;

const row = (features: Record<string, JsonValue>) => new JsonRequest().addRow(features).toString();
const response = (text: string) => new JsonResponse(new TextEncoder().encode(text));

describe("JsonRequest", () => {
  test.each<[string, JsonValue, string]>([
    ["null, without a value as the Java SDK sends it", null, '{"dataType":0}'],
    ["a boolean", true, '{"dataType":1,"dataValue":true}'],
    ["zero", 0, '{"dataType":10,"dataValue":0}'],
    ["the least int32", -2_147_483_648, '{"dataType":10,"dataValue":-2147483648}'],
    ["one less", -2_147_483_649, '{"dataType":20,"dataValue":-2147483649}'],
    ["the greatest safe integer", 2 ** 53 - 1, '{"dataType":20,"dataValue":9007199254740991}'],
    ["a larger number", 2 ** 53, '{"dataType":40,"dataValue":9007199254740992.0}'],
    ["a huge number", 1e300, '{"dataType":40,"dataValue":1e+300}'],
    ["a bigint", 2n ** 63n - 1n, '{"dataType":20,"dataValue":9223372036854775807}'],
    ["a fraction", -0.1, '{"dataType":40,"dataValue":-0.1}'],
    ["a negative zero", -0, '{"dataType":40,"dataValue":-0.0}'],
    ["a text", 'a"\n\u4f60', '{"dataType":50,"dataValue":"a\\"\\n\u4f60"}'],
    ["a float", { dataType: "FLOAT", dataValue: 1 }, '{"dataType":30,"dataValue":1.0}'],
    [
      "Java's Float.MAX_VALUE",
      { dataType: "FLOAT", dataValue: 3.4028235e38 },
      '{"dataType":30,"dataValue":3.4028235e+38}',
    ],
    ["its negative", { dataType: "FLOAT", dataValue: -3.4028235e38 }, '{"dataType":30,"dataValue":-3.4028235e+38}'],
    ["a double", { dataType: "DOUBLE", dataValue: -12 }, '{"dataType":40,"dataValue":-12.0}'],
    ["a long", { dataType: "INT64", dataValue: 1 }, '{"dataType":20,"dataValue":1}'],
    ["a named null", { dataType: "NULL", dataValue: null }, '{"dataType":0}'],
  ])("%s", (_, value, text) => {
    expect(row({ f: value })).toBe(`{"inputs":[{"f":${text}}]}`);
  });

  test("keeps the order of rows, from objects and from Maps, and no reference to them", () => {
    const features: Record<string, JsonValue> = { a: 1 };
    const request = new JsonRequest()
      .addRow(features)
      .addRow(new Map([["b", false]]))
      .addRow({});
    features.a = 2;
    expect(new TextDecoder().decode(request.toBinary())).toBe(
      '{"inputs":[{"a":{"dataType":10,"dataValue":1}},{"b":{"dataType":1,"dataValue":false}},{}]}',
    );
  });

  test.each<[string, () => unknown, string, string, RegExp]>([
    ["no row", () => new JsonRequest().addRow(anything("x")), "TypeError", "ERR_EAS_ARG_FEED", /^row 0 is "x"/],
    ["a list", () => new JsonRequest().addRow(anything([1])), "TypeError", "ERR_EAS_ARG_FEED", /^row 0 is an array/],
    ["an empty name", () => row({ "": 1 }), "TypeError", "ERR_EAS_ARG_FEED", /^row 0: a feature name is ""/],
    [
      "undefined",
      () => row({ f: anything(undefined) }),
      "TypeError",
      "ERR_EAS_ARG_CONTENT",
      /^row 0, feature "f" is undefi/,
    ],
    [
      "NaN",
      () => row({ f: Number.NaN }),
      "RangeError",
      "ERR_EAS_ARG_CONTENT",
      /NaN, which does not fit DOUBLE: .*no NaN/,
    ],
    [
      "a float too large",
      () => row({ f: { dataType: "FLOAT", dataValue: 1e39 } }),
      "RangeError",
      "ERR_EAS_ARG_CONTENT",
      /^row 0, feature "f" is 1e\+39, which does not fit FLOAT: it must be a number within/,
    ],
    [
      "a number that is infinite as a float",
      () => row({ f: { dataType: "FLOAT", dataValue: 3.4028236e38 } }),
      "RangeError",
      "ERR_EAS_ARG_CONTENT",
      /^row 0, feature "f" is 3\.4028236e\+38, which does not fit FLOAT: it must be a number within ±3\.4028235e\+38/,
    ],
    [
      "an int32 too large",
      () => row({ f: { dataType: "INT32", dataValue: 2 ** 31 } }),
      "RangeError",
      "ERR_EAS_ARG_CONTENT",
      /does not fit INT32: it must be a 32-bit integer/,
    ],
    ["a bigint of 65 bits", () => row({ f: 2n ** 63n }), "RangeError", "ERR_EAS_ARG_CONTENT", /does not fit INT64/],
    [
      "a text for a number",
      () => row({ f: anything({ dataType: "DOUBLE", dataValue: "1" }) }),
      "TypeError",
      "ERR_EAS_ARG_CONTENT",
      /is "1", which does not fit DOUBLE: it must be a finite number/,
    ],
    [
      "an unknown type",
      () => row({ f: anything({ dataType: "toString", dataValue: "1" }) }),
      "TypeError",
      "ERR_EAS_ARG_DTYPE",
      /dataType is "toString": it must be one of NULL, BOOL, INT32, INT64, FLOAT, DOUBLE, STRING$/,
    ],
    [
      "no options",
      () => new JsonRequest(anything(true)),
      "TypeError",
      "ERR_EAS_ARG_REQUEST",
      /^JsonRequest accepts options/,
    ],
  ])("rejects %s", (_, act, name, code, message) => {
    expect(thrownBy(act)).toMatchObject({ name, code, message: expect.stringMatching(message) });
  });

  test("is JSON for all names and texts", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.string()), (features) => {
        const { inputs } = JSON.parse(row(features)) as { inputs: Record<string, { dataValue: string }>[] };
        const read = Object.entries(inputs[0] ?? {}).map(([name, { dataValue }]) => [name, dataValue]);
        expect(read).toEqual(Object.entries(features));
      }),
      { numRuns: 200 },
    );
  });
});

describe("JsonResponse", () => {
  test("has label, probabilities and values", () => {
    const { outputs } = response(
      '{"outputs":[{"outputLabel":"1","outputMulti":{"0":0.25,"1":0.75},"outputValue":{"y":{"z":[1,"a"]},"n":null}}]}',
    );
    expect(outputs).toEqual([
      {
        outputLabel: "1",
        outputMulti: new Map([
          ["0", 0.25],
          ["1", 0.75],
        ]),
        outputValue: new Map<string, unknown>([
          ["y", { z: [1, "a"] }],
          ["n", null],
        ]),
      },
    ]);
    expect(String(response('{"outputs":[{"outputLabel":1},{}]}'))).toBe("JsonResponse { 1,  }");
  });

  test("continues after an output without a field", () => {
    const { outputs } = response('{"outputs":[{},{"outputLabel":"b","outputMulti":null}]}');
    expect(outputs.map(({ outputLabel }) => outputLabel)).toEqual([undefined, "b"]);
    expect(outputs[1]?.outputMulti.size).toBe(0);
  });

  test("returns integers beyond 2^53 exactly, and does not change texts and keys that look like them", () => {
    const text = `{"outputs":[{"outputValue":{
      "id": 9223372036854775807, "small": -12, "float": 12345678901234567890.5, "power": 1e20,
      "9223372036854775807": "9223372036854775807", "t": "n9223372036854775807",
      "escaped \\" 9223372036854775807 \\\\" : ["\\u0074", "\\\\", -9007199254740993, {"n1": "\\""}]
    }}]}`;
    expect(Object.fromEntries(response(text).outputs[0]?.outputValue ?? [])).toEqual({
      id: 9_223_372_036_854_775_807n,
      small: -12,
      float: 12_345_678_901_234_567_000,
      power: 1e20,
      "9223372036854775807": "9223372036854775807",
      t: "n9223372036854775807",
      'escaped " 9223372036854775807 \\': ["t", "\\", -9_007_199_254_740_993n, { n1: '"' }],
    });
  });

  test("agrees with JSON.parse if no integer is beyond 2^53", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (values) => {
        // The long text selects the exact parser.
        const text = JSON.stringify({ outputs: [{ outputValue: { ...values, long: "0123456789012345678" } }] });
        const expected = (JSON.parse(text) as { outputs: [{ outputValue: object }] }).outputs[0].outputValue;
        const unsafe = (_: string, value: unknown) =>
          Number.isInteger(value) && !Number.isSafeInteger(value) ? "unsafe" : value;
        fc.pre(!JSON.stringify(expected, unsafe).includes('"unsafe"'));
        expect([...(response(text).outputs[0]?.outputValue ?? [])]).toEqual(Object.entries(expected));
      }),
      { numRuns: 300 },
    );
  });

  test("does not change prototypes", () => {
    const { outputs } = response(
      '{"outputs":[{"outputMulti":{"__proto__":0.5},"outputValue":{"__proto__":{"polluted":1},"constructor":2}}]}',
    );
    expect(outputs[0]?.outputMulti.get("__proto__")).toBe(0.5);
    expect(outputs[0]?.outputValue.get("constructor")).toBe(2);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test.each([
    ["no JSON", "{"],
    ["an array", "[]"],
    ["no outputs", '{"output":[]}'],
    ["outputs of another kind", '{"outputs":{}}'],
    ["an output of another kind", '{"outputs":[1]}'],
    ["values of another kind", '{"outputs":[{"outputValue":[1]}]}'],
  ])("fails for %s, and does not quote it", (_, text) => {
    const error = thrownBy(() => response(text));
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error).toMatchObject({ format: "json" });
  });
});
