import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { readUint64, WireReader } from "../../../src/formats/protobuf/wire-reader.js";
import { DataFrameListProtoSchema, DataFrameProtoSchema } from "../../../src/gen/eas/queue/queue_pb.js";
import { type DataFrame, EasDecodeError } from "../../../src/index.js";
import type { FrameOwner } from "../../../src/queue/frame.js";
import { readFrame, readFrames } from "../../../src/queue/frame-codec.js";
import { errorOf, thrownBy } from "../../support/calls.js";

// Frames are decoded by handwritten code, which must read all messages that the generated code writes.

type Bytes = Uint8Array<ArrayBuffer>;
type Frame = { index: bigint; tags: [string, string][]; data: Bytes; message: string };

const NOBODY: FrameOwner = { commit: async () => {}, negative: async () => {}, release: () => {} };
const JSON_TYPE = "application/json";
const PROTOBUF = "application/vnd.google.protobuf";
const RUNS = { numRuns: 200 };

const read = (bytes: Bytes) => readFrame(bytes, NOBODY);
const readList = (bytes: Bytes, type: string | null = PROTOBUF) => readFrames(bytes, type, NOBODY);
const readJson = (text: string) => readList(new TextEncoder().encode(text), JSON_TYPE);

const uint64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  // Values around each length of a varint, and around the boundary of its 32-bit halves.
  fc.integer({ min: 0, max: 64 }).chain((bits) =>
    fc.constantFrom(-1n, 0n, 1n).map((more) => {
      const value = 2n ** BigInt(bits) + more;
      return value > 2n ** 64n - 1n ? 2n ** 64n - 1n : value;
    }),
  ),
);
const SPECIAL = ["__proto__", "constructor", "toString", "hasOwnProperty", "requestId", "", "值", "\ufeffa"];
const key = fc.oneof(fc.string({ unit: "grapheme", maxLength: 8 }), fc.constantFrom(...SPECIAL));
const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 12 }), fc.constantFrom("\ufeffx", "\u0000"));
const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Uint8Array.from(array));
const frame: fc.Arbitrary<Frame> = fc.record({
  index: uint64,
  tags: fc.uniqueArray(fc.tuple(key, text), { selector: ([name]) => name, maxLength: 5 }),
  data: bytes,
  message: text,
});

/** Encodes each field of a frame separately, so that a test can order them. */
function fieldsOf({ index, tags, data, message }: Frame): Bytes[] {
  const field = (write: (writer: BinaryWriter) => BinaryWriter) => write(new BinaryWriter()).finish() as Bytes;
  return [
    field((writer) => writer.tag(1, WireType.Varint).uint64(index)),
    ...tags.map(([name, value]) =>
      field((writer) =>
        writer
          .tag(2, WireType.LengthDelimited)
          .fork()
          .tag(1, WireType.LengthDelimited)
          .string(name)
          .tag(2, WireType.LengthDelimited)
          .string(value)
          .join(),
      ),
    ),
    field((writer) => writer.tag(3, WireType.LengthDelimited).bytes(data)),
    field((writer) => writer.tag(4, WireType.LengthDelimited).string(message)),
  ];
}

/** Unknown fields of all wire types. */
const unknown = fc
  .tuple(fc.integer({ min: 5, max: 4000 }), fc.integer({ min: 0, max: 4 }), uint64, bytes)
  .map(([number, kind, value, content]) => {
    const writer = new BinaryWriter();
    if (kind === 0) writer.tag(number, WireType.Varint).uint64(value);
    else if (kind === 1) writer.tag(number, WireType.Bit64).fixed64(value);
    else if (kind === 2) writer.tag(number, WireType.LengthDelimited).bytes(content);
    else if (kind === 3) writer.tag(number, WireType.Bit32).fixed32(Number(value & 0xffff_ffffn));
    else {
      writer.tag(number, WireType.StartGroup).tag(1, WireType.Varint).uint64(value);
      writer.tag(number, WireType.EndGroup);
    }
    return writer.finish() as Bytes;
  });

const join = (parts: readonly Uint8Array[]): Bytes => new Uint8Array(Buffer.concat(parts));
const inList = (...frames: Uint8Array[]): Bytes => {
  const writer = new BinaryWriter();
  for (const each of frames) writer.tag(1, WireType.LengthDelimited).bytes(each);
  return writer.finish() as Bytes;
};

const generated = ({ index, tags, data, message }: Frame): MessageInitShape<typeof DataFrameProtoSchema> => ({
  index,
  // Object.fromEntries makes own properties, also for a name such as "__proto__".
  tags: Object.fromEntries(tags),
  data,
  message,
});

/** Checks all properties of a frame. */
function expectSame(actual: DataFrame, { index, tags, data, message }: Frame): void {
  expect(actual.index).toBe(index);
  expect(new Uint8Array(actual.data)).toEqual(data);
  expect(new Map(Object.entries(actual.tags))).toEqual(new Map(tags));
  expect(actual.message).toBe(message);
  expect(actual.requestId).toBe(new Map(tags).get("requestId"));
  expect(Object.getPrototypeOf(actual.tags)).toBe(null);
}

describe("protobuf", () => {
  test("decodes frames that the generated code wrote", () => {
    fc.assert(
      fc.property(frame, (given) => {
        // The generated code cannot store this key in its tags object.
        fc.pre(given.tags.every(([name]) => name !== "__proto__"));
        expectSame(read(toBinary(DataFrameProtoSchema, create(DataFrameProtoSchema, generated(given)))), given);
      }),
      RUNS,
    );
  });

  test("decodes lists that the generated code wrote", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 5 }), (given) => {
        fc.pre(given.every(({ tags }) => tags.every(([name]) => name !== "__proto__")));
        const list = create(DataFrameListProtoSchema, { index: given.map(generated) });
        const frames = readList(toBinary(DataFrameListProtoSchema, list));
        expect(frames).toHaveLength(given.length);
        for (const [i, each] of given.entries()) expectSame(frames[i]!, each);
      }),
      RUNS,
    );
  });

  test("decodes fields in any order and skips unknown fields", () => {
    fc.assert(
      fc.property(
        frame.chain((given) =>
          fc.tuple(
            fc.constant(given),
            fc.array(unknown, { maxLength: 4 }).chain((more) => {
              const parts = [...fieldsOf(given), ...more];
              return fc.shuffledSubarray(parts, { minLength: parts.length, maxLength: parts.length });
            }),
            fc.array(unknown, { maxLength: 2 }),
          ),
        ),
        ([given, parts, outside]) => {
          expectSame(read(join(parts)), given);
          const [only, ...others] = readList(join([...outside, inList(join(parts)), ...outside]));
          expectSame(only!, given);
          expect(others).toEqual([]);
        },
      ),
      RUNS,
    );
  });

  test("uses the last value of a repeated field, and of a repeated tag", () => {
    fc.assert(
      fc.property(frame, frame, (first, second) => {
        const tags = [...new Map([...first.tags, ...second.tags])];
        expectSame(read(join([...fieldsOf(first), ...fieldsOf(second)])), { ...second, tags });
      }),
      RUNS,
    );
  });

  test("decodes tags with missing keys or values, reordered fields and unknown fields", () => {
    const entry = (content: number[]) => [0x12, content.length, ...content];
    const { tags } = read(
      Uint8Array.from([
        ...entry([]),
        ...entry([0x0a, 1, 0x61]),
        ...entry([0x12, 1, 0x76, 0x0a, 1, 0x62]),
        ...entry([0x0a, 1, 0x63, 0x18, 5, 0x12, 1, 0x78]),
        // A numeric key is invalid.
        ...entry([0x08, 5, 0x12, 1, 0x79]),
      ]),
    );
    expect(Object.entries(tags)).toEqual([
      ["", "y"],
      ["a", ""],
      ["b", "v"],
      ["c", "x"],
    ]);
  });

  test("skips known fields with another wire type", () => {
    const writer = new BinaryWriter();
    writer.tag(1, WireType.LengthDelimited).string("x").tag(2, WireType.Varint).uint64(1);
    writer.tag(3, WireType.Bit32).fixed32(1).tag(4, WireType.Bit64).fixed64(1);
    expectSame(read(writer.finish() as Bytes), { index: 0n, tags: [], data: new Uint8Array(0), message: "" });
    expect(readList(new BinaryWriter().tag(1, WireType.Varint).uint64(1).finish() as Bytes)).toEqual([]);
  });

  test("ends a frame at its length in the list, even if later fields look like its own", () => {
    const given: Frame = { index: 1n, tags: [["a", "b"]], data: Uint8Array.of(1), message: "m" };
    const behind = join(fieldsOf({ index: 2n, tags: [["c", "d"]], data: Uint8Array.of(2), message: "n" }).slice(1));
    const frames = readList(join([inList(join(fieldsOf(given))), behind]));
    expect(frames).toHaveLength(1);
    expectSame(frames[0]!, given);
  });

  test("decodes an empty frame and an empty list", () => {
    expectSame(read(new Uint8Array(0)), { index: 0n, tags: [], data: new Uint8Array(0), message: "" });
    expect(readList(new Uint8Array(0))).toEqual([]);
    expect(readList(new Uint8Array(0), null)).toEqual([]);
  });

  test("decodes a view of a larger buffer", () => {
    fc.assert(
      fc.property(frame, fc.integer({ min: 1, max: 9 }), (given, before) => {
        const whole = join([new Uint8Array(before).fill(255), ...fieldsOf(given), new Uint8Array(5).fill(255)]);
        expectSame(read(whole.subarray(before, whole.length - 5)), given);
      }),
      RUNS,
    );
  });

  test("returns data as a view of the response and a slice as a copy", () => {
    const body = join(fieldsOf({ index: 1n, tags: [["a", "b"]], data: Uint8Array.of(7, 8), message: "" }));
    const { data } = read(body);
    expect(data.buffer).toBe(body.buffer);
    expect(data.slice().buffer.byteLength).toBe(2);
  });
});

describe("uint64", () => {
  const decode = (encoded: Uint8Array) => {
    const reader = new WireReader(Uint8Array.from(encoded), "queue");
    const value = readUint64(reader);
    return { value, position: reader.position };
  };

  test("decodes the whole range as the generated code writes it", () => {
    fc.assert(
      fc.property(uint64, (value) => {
        const encoded = new BinaryWriter().uint64(value).finish();
        expect(decode(encoded)).toEqual({ value, position: encoded.length });
      }),
      { numRuns: 1000 },
    );
  });

  test("decodes varints of any length, including overlong encodings", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 127 }), { minLength: 1, maxLength: 10 }), (groups) => {
        const encoded = groups.map((group, i) => (i === groups.length - 1 ? group : group | 128));
        const sum = groups.reduce((sum, group, i) => sum + (BigInt(group) << BigInt(7 * i)), 0n);
        // Protobuf decoders drop the bits beyond the 64th.
        const value = BigInt.asUintN(64, sum);
        expect(decode(Uint8Array.from(encoded))).toEqual({ value, position: groups.length });
      }),
      { numRuns: 1000 },
    );
  });

  test("decodes each single bit", () => {
    for (let bit = 0n; bit < 64n; bit++) {
      expect(decode(new BinaryWriter().uint64(1n << bit).finish()).value).toBe(1n << bit);
    }
  });

  test.each([
    ["an empty varint", [], /truncated/],
    ["a truncated varint", [0x80, 0x80], /truncated/],
    ["ten bytes without an end", Array(10).fill(0x80), /truncated|more than ten bytes/],
    ["eleven bytes", [...Array(10).fill(0x80), 1], /more than ten bytes/],
  ])("rejects %s", (_name, encoded, message) => {
    const error = thrownBy(() => decode(Uint8Array.from(encoded)));
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error).toMatchObject({ format: "queue", message: expect.stringMatching(message) });
  });
});

describe("corrupt bodies", () => {
  /** Reads a whole body and returns whether that succeeded. The only permitted error is an `EasDecodeError`. */
  function readAll(get: () => DataFrame[]): boolean {
    try {
      for (const each of get()) {
        expect(typeof each.index).toBe("bigint");
        expect(each.data).toBeInstanceOf(Uint8Array);
        for (const value of Object.values(each.tags)) expect(typeof value).toBe("string");
        expect(typeof each.message).toBe("string");
        JSON.stringify(each);
        expect(`${each}`).toContain("DataFrame");
      }
      return true;
    } catch (error) {
      if (!(error instanceof EasDecodeError)) throw error;
      expect(error.format).toBe("queue");
      return false;
    }
  }
  const BODY = inList(
    join(
      fieldsOf({
        index: 2n ** 63n + 5n,
        tags: [
          ["requestId", "r-1"],
          ["键", "值"],
        ],
        data: Uint8Array.of(0, 255),
        message: "é",
      }),
    ),
    join(fieldsOf({ index: 2n, tags: [], data: new TextEncoder().encode("two"), message: "" })),
  );
  const JSON_BODY = new TextEncoder().encode(JSON.stringify(readList(BODY).map((each) => each.toJSON())));

  test("reads the intact body", () => {
    expect(readAll(() => readList(BODY))).toBe(true);
  });

  test.each(["frame", "list"])("decodes or rejects a %s that is truncated at any byte", (kind) => {
    const body =
      kind === "list"
        ? BODY
        : join(fieldsOf({ index: 300n, tags: [["a", "b"]], data: Uint8Array.of(1), message: "m" }));
    const outcomes = Array.from(body, (_, length) => {
      const cut = body.slice(0, length);
      return readAll(() => (kind === "list" ? readList(cut) : [read(cut)]));
    });
    // A truncation between two fields of the outermost message cannot be detected.
    expect(outcomes.filter(Boolean).length).toBeLessThan(5);
  });

  test("decodes or rejects a body with any one bit flipped", () => {
    const outcomes = new Set<boolean>();
    for (let at = 0; at < BODY.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = BODY.slice();
        (flipped[at] as number) ^= 1 << bit;
        outcomes.add(readAll(() => readList(flipped)));
        outcomes.add(readAll(() => [read(flipped)]));
      }
    }
    expect(outcomes).toEqual(new Set([true, false]));
  });

  test("decodes or rejects random bytes, alone and inside a frame and a tag", () => {
    const wrapped = (field: number, content: Uint8Array) =>
      new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(content).finish() as Bytes;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (garbage) => {
        const content = Uint8Array.from(garbage);
        readAll(() => readList(content));
        readAll(() => readList(wrapped(1, content)));
        readAll(() => readList(wrapped(1, wrapped(2, content))));
        readAll(() => readList(wrapped(1, wrapped(4, content))));
        readAll(() => readList(content, JSON_TYPE));
      }),
      { numRuns: 500 },
    );
  });

  test("decodes or rejects JSON with any byte replaced", () => {
    fc.assert(
      fc.property(fc.nat({ max: JSON_BODY.length - 1 }), fc.constantFrom(...'"{}[],:0-nt\\'), (at, character) => {
        const replaced = JSON_BODY.slice();
        replaced[at] = character.charCodeAt(0);
        readAll(() => readList(replaced, JSON_TYPE));
      }),
      { numRuns: 500 },
    );
  });

  test("rejects text that a proxy may return", () => {
    for (const said of ['{"error":"x"}', "<html><body>502 Bad Gateway</body></html>", "no healthy upstream", "ok"]) {
      expect(readAll(() => readList(new TextEncoder().encode(said)))).toBe(false);
      expect(readAll(() => readList(new TextEncoder().encode(said), JSON_TYPE))).toBe(false);
    }
  });

  test("keeps index and data readable with damaged tags, and throws on each access to the tags", () => {
    const damaged = read(Uint8Array.of(0x08, 5, 0x12, 2, 0x0a, 5, 0x1a, 1, 0x61));
    expect([damaged.index, damaged.text()]).toEqual([5n, "a"]);
    for (const ask of [() => damaged.tags, () => damaged.message, () => damaged.requestId, () => damaged.toJSON()]) {
      expect(thrownBy(ask)).toBeInstanceOf(EasDecodeError);
      expect(thrownBy(ask)).toMatchObject({ code: "ERR_EAS_DECODE", format: "queue", offset: 5 });
    }
  });
});

describe("JSON", () => {
  test("decodes the output of toJSON(), with exact indexes", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 4 }), (given) => {
        const frames = given.map((each) => read(join(fieldsOf(each))));
        const stored = JSON.parse(JSON.stringify(frames)) as { index: string; data: string }[];
        for (const [i, each] of stored.entries()) {
          expect(each.index).toBe(String(given[i]?.index));
          expect(each.data).toBe(Buffer.from(given[i]!.data).toString("base64"));
        }
        // The service writes the index as a bare number.
        const body = `[${stored.map((each) => JSON.stringify(each).replace(/"index":"(\d+)"/, '"index":$1'))}]`;
        for (const [i, each] of readJson(body).entries()) expectSame(each, given[i]!);
      }),
      RUNS,
    );
  });

  test.each([
    ["9007199254740993", 9007199254740993n],
    ["6925387844634542081", 6925387844634542081n],
    ["18446744073709551615", 18446744073709551615n],
    ["0", 0n],
    ["42", 42n],
  ])("decodes the index %s exactly", (digits, index) => {
    expect(readJson(`[{"index":${digits},"tags":{"n":"${digits}"},"data":""}]`)[0]).toMatchObject({ index });
    expect(readJson(`[ {"data":"", "index" : ${digits} } ]`)[0]?.index).toBe(index);
  });

  test("accepts missing fields, an empty list and an empty body", () => {
    const [only] = readJson('[{"index":5}]');
    expectSame(only!, { index: 5n, tags: [], data: new Uint8Array(0), message: "" });
    expect(readJson("[]")).toEqual([]);
    // A relay may add a content type to a 204 response.
    expect(readJson("")).toEqual([]);
  });

  test("accepts names of Object.prototype as tags", () => {
    const [only] = readJson('[{"index":1,"tags":{"__proto__":"p","constructor":"c"},"data":"YQ==","message":"m"}]');
    const tags: [string, string][] = [
      ["__proto__", "p"],
      ["constructor", "c"],
    ];
    expectSame(only!, { index: 1n, tags, data: Uint8Array.of(0x61), message: "m" });
    expect(JSON.stringify(only)).toBe(
      '{"index":"1","tags":{"__proto__":"p","constructor":"c"},"data":"YQ==","message":"m"}',
    );
    const [bare] = readJson('[{"index":1}]');
    expect([bare?.tags.constructor, Reflect.get(bare?.tags ?? {}, "__proto__")]).toEqual([undefined, undefined]);
  });

  test.each([
    ["truncated JSON", "{", /it is not JSON/],
    ["a space", " ", /it is not JSON/],
    ["an object", '{"index":1}', /it is not an array/],
    ["null", "null", /it is not an array/],
    ["an array with null", "[null]", /element 0 has no index/],
    ["an array with a number", "[5]", /element 0 has no index/],
    ["no index", '[{"index":1},{"data":""}]', /element 1 has no index/],
    ["an index as a string", '[{"index":"1"}]', /element 0/],
    ["a fraction", '[{"index":1.5}]', /element 0/],
    ["tags that are a string", '[{"index":1,"tags":"a"}]', /element 0/],
    ["data that is a number", '[{"index":1,"data":5}]', /element 0/],
    ["data that is not base64", '[{"index":1,"data":"*"}]', /the data of element 0 is not base64/],
  ])("rejects %s as a list of items", (_name, body, message) => {
    const error = thrownBy(() => readJson(body));
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error).toMatchObject({ format: "queue", message: expect.stringMatching(message) });
  });

  test.each(["-1", "18446744073709551616", "-9007199254740993"])("rejects the index %s", (digits) => {
    expect(thrownBy(() => readJson(`[{"index":${digits}}]`))).toBeInstanceOf(EasDecodeError);
  });

  test("accepts null for empty fields", () => {
    const [only] = readJson('[{"index":5,"tags":null,"data":null,"message":null}]');
    expectSame(only!, { index: 5n, tags: [], data: new Uint8Array(0), message: "" });
  });

  test("rejects tags that are not strings", () => {
    for (const value of Object.values(readJson('[{"index":5,"tags":{"a":5}}]')[0]!.tags)) {
      expect(typeof value).toBe("string");
    }
  });
});

describe("methods of a frame", () => {
  const withData = (data: string | Bytes, owner: FrameOwner = NOBODY) => {
    const content = typeof data === "string" ? new TextEncoder().encode(data) : data;
    return readFrame(
      join(
        fieldsOf({
          index: 7n,
          tags: [
            ["requestId", "r"],
            ["a", "b"],
          ],
          data: content,
          message: "m",
        }),
      ),
      owner,
    );
  };

  test("text() and json() decode the data, and json() rejects invalid JSON", () => {
    expect(withData("héllo 值").text()).toBe("héllo 值");
    expect(withData(Uint8Array.of(0x61, 0xff)).text()).toBe("a\ufffd");
    // text() drops a byte order mark, as StringResponse does.
    expect(withData("\ufeff{}").text()).toBe("{}");
    expect(withData('{"a":[1,null]}').json()).toEqual({ a: [1, null] });
    expect(withData("5").json<number>()).toBe(5);
    const error = thrownBy(() => withData("{secret").json());
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error).toMatchObject({ format: "json", message: "the item 7 of 7 bytes is not JSON" });
    expect(thrownBy(() => withData("").json())).toMatchObject({ format: "json" });
  });

  test("toJSON() returns all fields, and toString() returns a summary", () => {
    expect(JSON.parse(JSON.stringify(withData("hi")))).toEqual({
      index: "7",
      tags: { requestId: "r", a: "b" },
      data: "aGk=",
      message: "m",
    });
    expect(`${withData("hi")}`).toBe("DataFrame 7 (2 bytes) { requestId: r, a: b }");
  });

  test("decodes a large item from JSON", () => {
    const data = new Uint8Array(300_000).map((_, i) => i);
    expect(Buffer.from(withData(data).toJSON().data, "base64").equals(Buffer.from(data))).toBe(true);
  });

  test("commit, negative and release are passed to the frame's owner", async () => {
    const owner = {
      commit: vi.fn(async () => {}),
      negative: vi.fn(async () => Promise.reject(new Error("no"))),
      release: vi.fn(),
    };
    const one = withData("x", owner);
    await one.commit();
    expect(await errorOf(one.negative("Shutdown", "why"))).toMatchObject({ message: "no" });
    one.release();
    expect(owner.commit).toHaveBeenCalledWith(7n);
    expect(owner.negative).toHaveBeenCalledWith(7n, "Shutdown", "why");
    expect(owner.release).toHaveBeenCalledWith(7n);
  });
});
