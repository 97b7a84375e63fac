import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as easyrec from "../../../../src/gen/eas/easyrec/easyrec_pb.js";
import * as torchrec from "../../../../src/gen/eas/torchrec/torchrec_pb.js";
import { EasyRecRequest, EasyRecResponse, TorchRecRequest, TorchRecResponse } from "../../../../src/index.js";
import {
  bits,
  DTYPES,
  int64,
  name,
  namedSamples,
  TORCH_DTYPES,
  tfArray,
  torchArray,
} from "../../../support/tensors.js";

// Tests our codec against the generated code: each reads what the other writes.

const RUNS = { numRuns: 60 };
const MANY_RUNS = { numRuns: 200 };

/** A value that is passed, and the value that the generated code reads for it. */
interface Sample {
  readonly given: unknown;
  readonly read: unknown;
}

const INT32 = { min: -(2 ** 31), max: 2 ** 31 - 1 };
const int32 = fc.oneof(fc.integer(INT32), fc.constantFrom(0, -1, 127, 128, INT32.min, INT32.max));
const text = fc.string({ unit: "grapheme", maxLength: 8 }).filter((text) => !text.startsWith("\ufeff"));
const asIs = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<Sample> =>
  arbitrary.map((given) => ({ given, read: given }));

const SCALARS: Readonly<Record<string, fc.Arbitrary<Sample>>> = {
  INT: asIs(int32),
  INT64: int64.chain((read) =>
    fc.boolean().map((asNumber) => ({
      given: asNumber && Number.isSafeInteger(Number(read)) ? Number(read) : read,
      read,
    })),
  ),
  FLOAT: fc.double({ noDefaultInfinity: true }).map((given) => ({ given, read: Math.fround(given) })),
  DOUBLE: asIs(fc.double()),
  STRING: asIs(text),
};

/** The names in the schema. */
const WORDS: Readonly<Record<string, string>> = {
  INT: "int",
  INT64: "long",
  FLOAT: "float",
  DOUBLE: "double",
  STRING: "string",
};
const NAMES: readonly (readonly [name: string, scalar: string])[] = [
  ...Object.keys(SCALARS).map((scalar) => [scalar, scalar] as const),
  ["BIGINT", "INT64"],
];
const KEYS = NAMES.filter(([, scalar]) => scalar !== "FLOAT" && scalar !== "DOUBLE");
const TYPED: Readonly<Record<string, new (values: never[]) => ArrayLike<unknown>>> = {
  INT: Int32Array,
  INT64: BigInt64Array,
  FLOAT: Float32Array,
  DOUBLE: Float64Array,
} as never;

const scalarOf = (scalar: string): fc.Arbitrary<Sample> => SCALARS[scalar] as fc.Arbitrary<Sample>;

/** A list, sometimes as a typed array. */
const listOf = (scalar: string, minLength: number): fc.Arbitrary<Sample> =>
  fc.tuple(fc.array(scalarOf(scalar), { minLength, maxLength: 5 }), fc.boolean()).map(([samples, isTyped]) => {
    const read = samples.map(({ read }) => read);
    const Typed = TYPED[scalar];
    return {
      given: isTyped && Typed !== undefined ? new Typed(read as never[]) : samples.map(({ given }) => given),
      read: { features: read },
    };
  });

/** A map: a `Map`, or an object whose keys are text. */
const mapOf = (key: string, value: string): fc.Arbitrary<Sample> => {
  const keys = scalarOf(key).filter(({ read }) => read !== "__proto__");
  const entries = fc.uniqueArray(fc.tuple(keys, scalarOf(value)), {
    selector: ([{ read }]) => String(read),
    minLength: 1,
    maxLength: 4,
  });
  return fc.tuple(entries, fc.constantFrom("map", "object", "text")).map(([entries, as]) => {
    const given = entries.map(([{ given }, value]) => [as === "map" ? given : String(given), value.given] as const);
    return {
      given: as === "object" ? Object.fromEntries(given) : new Map(given),
      read: { mapField: Object.fromEntries(entries.map(([{ read }, value]) => [String(read), value.read])) },
    };
  });
};

interface Feature {
  readonly dtype: string;
  /** The member of the `oneof`. */
  readonly member: string;
  readonly sample: fc.Arbitrary<Sample>;
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** All dtypes, listed independently of src/. */
const FEATURES: readonly Feature[] = [
  ...NAMES.map(([dtype, scalar]) => ({ dtype, member: `${WORDS[scalar]}Feature`, sample: scalarOf(scalar) })),
  ...["LIST", "ARRAY"].flatMap((list) =>
    NAMES.flatMap(([dtype, scalar]) => [
      { dtype: `${list}<${dtype}>`, member: `${WORDS[scalar]}List`, sample: listOf(scalar, 1) },
      {
        dtype: `${list}<${list}<${dtype}>>`,
        member: `${WORDS[scalar]}Lists`,
        sample: fc.array(listOf(scalar, 0), { minLength: 1, maxLength: 3 }).map((lists) => ({
          given: lists.map(({ given }) => given),
          read: { lists: lists.map(({ read }) => read) },
        })),
      },
    ]),
  ),
  ...KEYS.flatMap(([keyName, key]) =>
    NAMES.map(([dtype, scalar]) => ({
      dtype: `MAP<${keyName},${dtype}>`,
      member: `${WORDS[key]}${capital(WORDS[scalar] as string)}Map`,
      sample: mapOf(key, scalar),
    })),
  ),
];

const feature = ({ member, read }: { member: string; read: unknown }): torchrec.PBFeature =>
  create(torchrec.PBFeatureSchema, { value: { case: member, value: read } } as MessageInitShape<
    typeof torchrec.PBFeatureSchema
  >);

const anyFeature = fc
  .constantFrom(...FEATURES)
  .chain(({ dtype, member, sample }) => sample.map(({ given, read }) => ({ dtype, given, member, read })));

test("there are 54 dtypes for the 30 members of the schema", () => {
  expect(FEATURES).toHaveLength(54);
  expect(new Set(FEATURES.map(({ member }) => member))).toEqual(
    new Set(torchrec.PBFeatureSchema.oneofs[0]?.fields.map(({ localName }) => localName)),
  );
});

describe("TorchRec requests are read by the generated code", () => {
  test.each(FEATURES)("$dtype", ({ dtype, member, sample }) => {
    fc.assert(
      fc.property(sample, name, fc.boolean(), ({ given, read }, key, isLower) => {
        const name = key === "" ? "k" : key;
        const request = new TorchRecRequest().addUserFeature(
          name,
          given as never,
          (isLower ? dtype.toLowerCase() : dtype) as "INT",
        );
        expect(fromBinary(torchrec.PBRequestSchema, request.toBinary())).toEqual(
          create(torchrec.PBRequestSchema, { userFeatures: { [name]: feature({ member, read }) } }),
        );
      }),
      RUNS,
    );
  });

  const names = name.filter((name) => name !== "");
  const columns = (length: number) =>
    fc.dictionary(names, fc.array(anyFeature, { minLength: length, maxLength: length }), {
      maxKeys: 3,
      noNullPrototype: true,
    });
  const requests = fc.nat({ max: 3 }).chain((items) =>
    fc.record({
      user: fc.dictionary(names, anyFeature, { maxKeys: 3, noNullPrototype: true }),
      context: columns(items),
      item: columns(items),
      ids: fc.array(fc.oneof(text, fc.maxSafeInteger(), int64), { minLength: items, maxLength: items }),
      meta: fc.dictionary(names, fc.oneof(text, fc.integer(), int64), { maxKeys: 3, noNullPrototype: true }),
      neighbors: fc.nat({ max: INT32.max }),
      debugLevel: int32,
    }),
  );
  type Parts = typeof requests extends fc.Arbitrary<infer T> ? T : never;

  function build(parts: Parts): TorchRecRequest {
    const request = new TorchRecRequest().setFaissNeighNum(parts.neighbors).setDebugLevel(parts.debugLevel);
    for (const [key, { given, dtype }] of Object.entries(parts.user)) {
      request.addUserFeature(key, given as never, dtype as "INT");
    }
    for (const [key, values] of Object.entries(parts.context)) {
      for (const { given, dtype } of values) request.addContextFeature(key, given as never, dtype as "INT");
    }
    for (const [key, values] of Object.entries(parts.item)) {
      for (const { given, dtype } of values) request.addItemFeature(key, given as never, dtype as "INT");
    }
    for (const id of parts.ids) request.addItemId(id);
    for (const [key, value] of Object.entries(parts.meta)) request.addMetaData(key, value);
    return request;
  }

  const mapped = <T, U>(object: Record<string, T>, map: (value: T) => U): Record<string, U> =>
    Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));

  function message(parts: Parts): torchrec.PBRequest {
    const lists = (columns: Parts["context"]) =>
      mapped(
        // A name that was never added is missing.
        Object.fromEntries(Object.entries(columns).filter(([, values]) => values.length > 0)),
        (values) => ({ features: values.map(feature) }),
      );
    return create(torchrec.PBRequestSchema, {
      userFeatures: mapped(parts.user, feature),
      contextFeatures: lists(parts.context),
      itemFeatures: lists(parts.item),
      itemIds: parts.ids.map(String),
      metaData: mapped(parts.meta, String),
      faissNeighNum: parts.neighbors,
      debugLevel: parts.debugLevel,
    });
  }

  test("whole requests, which can also be passed to addFeed", () => {
    fc.assert(
      fc.property(requests, (parts) => {
        const body = build(parts).toBinary();
        const expected = message(parts);
        expect(fromBinary(torchrec.PBRequestSchema, body)).toEqual(expected);
        // Bytes of the generated code and our own are sent on unchanged.
        expect(new TorchRecRequest().addFeed(body, parts.debugLevel).toBinary()).toEqual(body);
        const theirs = new TorchRecRequest().addFeed(toBinary(torchrec.PBRequestSchema, expected), parts.debugLevel);
        expect(fromBinary(torchrec.PBRequestSchema, theirs.toBinary())).toEqual(expected);
      }),
      MANY_RUNS,
    );
  });

  test("addFeed merges as the generated code does", () => {
    // With one value per feature, any two requests can be merged.
    const one = fc.dictionary(names, fc.tuple(anyFeature), { maxKeys: 3, noNullPrototype: true });
    const parts = fc.record({
      user: fc.dictionary(names, anyFeature, { maxKeys: 3, noNullPrototype: true }),
      context: one,
      item: one,
      ids: fc.array(text, { maxLength: 2 }),
      meta: fc.dictionary(names, text, { maxKeys: 3, noNullPrototype: true }),
      neighbors: fc.nat({ max: 2 }),
      debugLevel: int32,
    });
    fc.assert(
      fc.property(parts, parts, (first, second) => {
        const bytes = [first, second].map((each) => build(each as Parts).toBinary());
        // The concatenation of two messages is their merge. An entry of a map is replaced as a whole.
        const merged = fromBinary(torchrec.PBRequestSchema, Uint8Array.from(Buffer.concat(bytes)));
        merged.debugLevel = 7;
        const request = build(first as Parts).addFeed(bytes[1] as Uint8Array, 7);
        expect(fromBinary(torchrec.PBRequestSchema, request.toBinary())).toEqual(merged);
      }),
      MANY_RUNS,
    );
  });
});

describe("EasyRec requests are read by the generated code", () => {
  const KINDS = [
    ["INT", "INT", "intFeature"],
    ["LONG", "INT64", "longFeature"],
    ["INT64", "INT64", "longFeature"],
    ["BIGINT", "INT64", "longFeature"],
    ["FLOAT", "FLOAT", "floatFeature"],
    ["STRING", "STRING", "stringFeature"],
  ] as const;

  const easy = (member: string, value: unknown) =>
    ({ value: { case: member, value } }) as MessageInitShape<typeof easyrec.PBFeatureSchema>;

  test.each(KINDS)("%s", (dtype, scalar, member) => {
    fc.assert(
      fc.property(scalarOf(scalar), listOf(scalar, 0), fc.boolean(), (user, list, isLower) => {
        const named = (isLower ? dtype.toLowerCase() : dtype) as "INT";
        const values = (list.read as { features: unknown[] }).features;
        const request = new EasyRecRequest()
          .addUserFeature("k", user.given as never, named)
          .addContextFeature("c", list.given as never, named);
        const body = request.toBinary();
        expect(fromBinary(easyrec.PBRequestSchema, body)).toEqual(
          create(easyrec.PBRequestSchema, {
            userFeatures: { k: easy(member, user.read) },
            contextFeatures: { c: { features: values.map((value) => easy(member, value)) } },
          }),
        );
        expect(new EasyRecRequest().addFeed(body).toBinary()).toEqual(body);
      }),
      RUNS,
    );
  });

  test("without a dtype, strings are STRING and bigints LONG", () => {
    const request = new EasyRecRequest()
      .addUserFeature("s", "1")
      .addUserFeature("l", 1n)
      .addContextFeature("s", ["a", "b"])
      .addContextFeature("l", [1n, -1n])
      .addContextFeature("t", BigInt64Array.of(2n, 3n))
      .addContextFeature("none", []);
    expect(fromBinary(easyrec.PBRequestSchema, request.toBinary())).toEqual(
      create(easyrec.PBRequestSchema, {
        userFeatures: { s: easy("stringFeature", "1"), l: easy("longFeature", 1n) },
        contextFeatures: {
          s: { features: [easy("stringFeature", "a"), easy("stringFeature", "b")] },
          l: { features: [easy("longFeature", 1n), easy("longFeature", -1n)] },
          t: { features: [easy("longFeature", 2n), easy("longFeature", 3n)] },
          none: {},
        },
      }),
    );
  });

  test("a context feature is replaced, items and neighbors are set, and the debug level", () => {
    const request = new EasyRecRequest()
      .addContextFeature("c", [1, 2], "INT")
      .addContextFeature("c", [3, 4, 5], "LONG")
      .addItemId("a")
      .addItemId(-0)
      .addItemId(2n ** 64n)
      .setFaissNeighNum(9)
      .setDebugLevel(-3);
    expect(fromBinary(easyrec.PBRequestSchema, request.toBinary())).toEqual(
      create(easyrec.PBRequestSchema, {
        contextFeatures: { c: { features: [3n, 4n, 5n].map((value) => easy("longFeature", value)) } },
        itemIds: ["a", "0", "18446744073709551616"],
        faissNeighNum: 9,
        debugLevel: -3,
      }),
    );
    expect(request.setFaissNeighNum(0).setDebugLevel().toBinary()).not.toContain(0x28);
    expect(`${request}`).toBe("EasyRecRequest { context: c (3); 3 item ids }");
  });
});

/** Text maps, as the generated code and our code represent them. */
const texts = fc.dictionary(name, text, { maxKeys: 3, noNullPrototype: true });
const asMap = <V>(object: Record<string, V>): ReadonlyMap<string, V> => new Map(Object.entries(object));

/** Unknown fields of every wire type, and known fields with another wire type. */
const unknownFields = fc
  .array(fc.tuple(fc.nat({ max: 5 }), fc.constantFrom(77, 2_000, 536_870_911)), { maxLength: 3 })
  .map((fields) => {
    const writer = new BinaryWriter();
    for (const [kind, number] of fields) {
      if (kind === 0) writer.tag(number, WireType.Varint).int64(-1n);
      else if (kind === 1) writer.tag(number, WireType.Bit64).fixed64(7n);
      else if (kind === 2) writer.tag(number, WireType.LengthDelimited).bytes(Uint8Array.of(255, 255));
      else if (kind === 3) writer.tag(number, WireType.Bit32).fixed32(7);
      else if (kind === 4) writer.tag(1, WireType.Varint).int32(7);
      else writer.tag(number, WireType.StartGroup).tag(1, WireType.Varint).int32(7).tag(number, WireType.EndGroup);
    }
    return writer.finish();
  });

const around = (before: Uint8Array, body: Uint8Array, after: Uint8Array): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Buffer.concat([before, body, after]));

describe("responses of the generated code are read with equal values", () => {
  test("EasyRec", () => {
    const values = fc.oneof(
      int32.map((value) => ({ case: "intFeature", value }) as const),
      int64.map((value) => ({ case: "longFeature", value }) as const),
      text.map((value) => ({ case: "stringFeature", value }) as const),
      fc.float().map((value) => ({ case: "floatFeature", value }) as const),
      fc.constant({ case: undefined, value: undefined } as const),
    );
    const parts = fc.record({
      results: fc.dictionary(name, fc.array(fc.double(), { maxLength: 4 }), { maxKeys: 4, noNullPrototype: true }),
      itemFeatures: texts,
      generateFeatures: texts,
      rawFeatures: texts,
      contextFeatures: fc.dictionary(name, fc.array(values, { maxLength: 4 }), { maxKeys: 3, noNullPrototype: true }),
      errorMsg: text,
      statusCode: fc.oneof(fc.nat({ max: 4 }), int32),
      itemIds: fc.array(text, { maxLength: 3 }),
      targets: fc.array(text, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(parts, namedSamples(DTYPES), unknownFields, unknownFields, (parts, tensors, before, after) => {
        const { results, contextFeatures, targets, ...rest } = parts;
        const message = create(easyrec.PBResponseSchema, {
          ...rest,
          statusCode: parts.statusCode as easyrec.StatusCode,
          outputs: targets,
          results: Object.fromEntries(Object.entries(results).map(([key, scores]) => [key, { scores }])),
          contextFeatures: Object.fromEntries(
            Object.entries(contextFeatures).map(([key, list]) => [
              key,
              { features: list.map((value) => create(easyrec.PBFeatureSchema, { value })) },
            ]),
          ),
          tfOutputs: Object.fromEntries(tensors.map(([key, sample]) => [key, tfArray(sample)])),
        });
        const response = new EasyRecResponse(around(before, toBinary(easyrec.PBResponseSchema, message), after));
        expect(new Map([...response.results].map(([key, scores]) => [key, [...scores]]))).toEqual(asMap(results));
        for (const [id, scores] of Object.entries(results)) expect([...response.getScores(id)]).toEqual(scores);
        expect(response.contextFeatures).toEqual(
          new Map(Object.entries(contextFeatures).map(([key, list]) => [key, list.map(({ value }) => value)])),
        );
        expect(response).toMatchObject({
          itemFeatures: asMap(parts.itemFeatures),
          generateFeatures: asMap(parts.generateFeatures),
          rawFeatures: asMap(parts.rawFeatures),
          errorMsg: parts.errorMsg,
          itemIds: parts.itemIds,
          targets,
          statusCode: ["OK", "INPUT_EMPTY", "EXCEPTION"][parts.statusCode] ?? parts.statusCode,
        });
        expect(response.outputNames.sort()).toEqual(tensors.map(([key]) => key).sort());
        for (const [key, { tensor, values }] of tensors) {
          expect(bits(response.getValues(key, tensor.dtype))).toBe(bits(values));
          expect(response.getTensorShape(key)).toEqual(tensor.shape);
        }
        expect(`${response}`).toMatch(/^EasyRecResponse \{ .* \}$/su);
      }),
      MANY_RUNS,
    );
  });

  test("TorchRec", () => {
    const parts = fc.record({
      generateFeatures: texts,
      rawFeatures: texts,
      passThroughData: texts,
      itemIds: fc.array(text, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(parts, namedSamples(TORCH_DTYPES), unknownFields, unknownFields, (parts, tensors, before, after) => {
        const message = create(torchrec.PBResponseSchema, {
          ...parts,
          mapOutputs: Object.fromEntries(tensors.map(([key, sample]) => [key, torchArray(sample)])),
        });
        const response = new TorchRecResponse(around(before, toBinary(torchrec.PBResponseSchema, message), after));
        expect(response).toMatchObject({
          generateFeatures: asMap(parts.generateFeatures),
          rawFeatures: asMap(parts.rawFeatures),
          passThroughData: asMap(parts.passThroughData),
          itemIds: parts.itemIds,
        });
        expect(response.outputNames.sort()).toEqual(tensors.map(([key]) => key).sort());
        for (const [key, { tensor, values }] of tensors) {
          expect(bits(response.getValues(key, tensor.dtype))).toBe(bits(values));
          expect(response.getTensorShape(key)).toEqual(tensor.shape);
        }
        expect(`${response}`).toMatch(/^TorchRecResponse \{ .* \}$/su);
      }),
      MANY_RUNS,
    );
  });
});

describe("layouts that the generated code does not write", () => {
  const entry = (...fields: ((writer: BinaryWriter) => unknown)[]) => {
    const writer = new BinaryWriter();
    for (const field of fields) field(writer);
    return writer.finish();
  };
  const bytes = (number: number, content: Uint8Array) => (writer: BinaryWriter) =>
    writer.tag(number, WireType.LengthDelimited).bytes(content);
  const string = (number: number, content: string) => (writer: BinaryWriter) =>
    writer.tag(number, WireType.LengthDelimited).string(content);
  const scores = (...values: number[]) =>
    entry((writer) => {
      for (const value of values) writer.tag(1, WireType.Bit64).double(value);
    });

  test("packed and unpacked scores, a value in two parts, a value before its key, unknown fields in an entry", () => {
    const packed = entry(bytes(1, new Uint8Array(Float64Array.of(1, 2).buffer)));
    const body = entry(
      bytes(
        1,
        entry(
          bytes(2, packed),
          bytes(3, Uint8Array.of(255)),
          string(1, "a"),
          (writer) => writer.tag(4, WireType.Varint).int32(1),
          bytes(2, scores(3)),
        ),
      ),
      // The second entry with the same key replaces the first.
      bytes(1, entry(string(1, "b"), bytes(2, scores(9, 9)))),
      bytes(1, entry(string(1, "b"), bytes(2, scores(4)))),
      bytes(1, entry()),
    );
    expect(new EasyRecResponse(body).results).toEqual(
      new Map([
        ["a", Float64Array.of(1, 2, 3)],
        ["b", Float64Array.of(4)],
        ["", new Float64Array(0)],
      ]),
    );
  });

  test("text maps without key or value, in any order, with a repeated key", () => {
    const body = entry(
      bytes(5, entry(string(2, "v"), string(1, "k"), bytes(9, Uint8Array.of(0)))),
      bytes(5, entry(string(1, "only key"))),
      bytes(5, entry(string(2, "only value"), string(2, "the last"))),
      bytes(5, entry(string(1, "__proto__"), string(2, "a key like any other"))),
    );
    const { passThroughData } = new TorchRecResponse(body);
    expect(passThroughData).toEqual(
      new Map([
        ["k", "v"],
        ["only key", ""],
        ["", "the last"],
        ["__proto__", "a key like any other"],
      ]),
    );
    expect(Object.prototype).not.toHaveProperty("k");
  });

  test("context features in two parts, and members with another wire type", () => {
    const body = entry(
      bytes(
        4,
        entry(
          bytes(
            2,
            entry(
              bytes(
                1,
                entry((writer) => writer.tag(1, WireType.Varint).int32(-5)),
              ),
            ),
          ),
          string(1, "c"),
          bytes(
            2,
            entry(
              bytes(
                1,
                entry(
                  (writer) => writer.tag(3, WireType.Varint).int32(1),
                  (writer) => writer.tag(4, WireType.Bit32).float(0.5),
                ),
              ),
            ),
          ),
        ),
      ),
    );
    expect(new EasyRecResponse(body).contextFeatures).toEqual(new Map([["c", [-5, 0.5]]]));
  });

  test("a float and scores in a body that is a view into a larger buffer", () => {
    const message = create(easyrec.PBResponseSchema, {
      results: { a: { scores: [0.1] } },
      contextFeatures: { c: { features: [{ value: { case: "floatFeature", value: 1.5 } }] } },
    });
    const whole = around(Uint8Array.of(1, 2, 3), toBinary(easyrec.PBResponseSchema, message), Uint8Array.of(4));
    const response = new EasyRecResponse(whole.subarray(3, -1));
    whole.fill(255);
    expect(response.getScores("a")).toEqual(Float64Array.of(0.1));
    expect(response.contextFeatures.get("c")).toEqual([1.5]);
  });
});
