import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EasDecodeError } from "../../../../src/index.js";

import { MAX_CHARACTERS } from "../../../../src/predict/stream/stream-decoders.js";
import { collect, errorOf } from "../../../support/calls.js";
import { decodeText, eventsOf, jsonOf, linesOf } from "../../../support/steps.js";

async function* each<T>(values: Iterable<T>): AsyncGenerator<T, void, undefined> {
  yield* values;
}

/** Splits bytes at random, including empty chunks and splits within characters. */
const cutBytes = (bytes: Uint8Array) =>
  fc
    .array(fc.nat(bytes.length), { maxLength: 12 })
    .map((cuts) => [0, ...cuts.sort((a, b) => a - b), bytes.length])
    .map((cuts) => cuts.slice(1).map((cut, i) => bytes.slice(cuts[i], cut)));

const textIn = (bytes: readonly Uint8Array[]) => decodeText(each(bytes) as never);
const encode = (text: string) => new TextEncoder().encode(text);
const wellFormed = fc.string({ unit: "binary" }).map((text) => text.replace(/^\uFEFF/, ""));

describe("text", () => {
  test("is the same for any chunk boundaries", async () => {
    await fc.assert(
      fc.asyncProperty(
        wellFormed.chain((text) => cutBytes(encode(text)).map((pieces) => ({ text, pieces }))),
        async ({ text, pieces }) => {
          expect((await collect(textIn(pieces))).join("")).toBe(text);
        },
      ),
    );
  });

  test("is the same if chunks of ASCII follow other chunks", async () => {
    const mixed = fc.string({ unit: fc.constantFrom("a", "b", "\n", "é", "字", "🦊"), maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        mixed.chain((text) => cutBytes(encode(text)).map((pieces) => ({ text, pieces }))),
        async ({ text, pieces }) => {
          expect((await collect(textIn(pieces))).join("")).toBe(text);
        },
      ),
    );
  });

  test("is decoded byte by byte", async () => {
    const text = "学而时习之，不亦说乎？🙂 Ünïcödé";
    const pieces = [...encode(text)].map((byte) => Uint8Array.of(byte));
    expect((await collect(textIn(pieces))).join("")).toBe(text);
  });

  test.each([
    ["a byte that begins nothing", [[0x61], [0xff, 0x62]], 1],
    ["a character that is cut off by the end", [[0x61, 0xe5, 0xad]], 3],
    ["an overlong form", [[0xc0, 0x80]], 0],
    ["half of a surrogate pair", [[0xed, 0xa0, 0x80]], 0],
    ["UTF-16", [[0xff, 0xfe, 0x61, 0x00]], 0],
  ])("rejects with EasDecodeError if it is not UTF-8: %s", async (_, pieces, offset) => {
    const error = await errorOf(collect(textIn(pieces.map((bytes) => Uint8Array.from(bytes)))));
    expect(error).toBeInstanceOf(EasDecodeError);
    expect(error).toMatchObject({ format: "utf-8", offset });
  });

  test("has no byte order mark", async () => {
    expect((await collect(textIn([encode("\uFEFFdata: 1")]))).join("")).toBe("data: 1");
  });

  test.each([
    ["ASCII", "a"],
    ["other characters", "é"],
  ])("keeps a zero width no-break space at the start of a later chunk, after %s", async (_name, first) => {
    const pieces = ["", first, "\uFEFFb", "c"].map(encode);
    expect((await collect(textIn(pieces))).join("")).toBe(`${first}\uFEFFbc`);
  });
});

const cutText = (text: string) => cutBytes(encode(text)).map((pieces) => ({ text, pieces }));

describe("lines", () => {
  test("equal those of split, for any chunk boundaries", async () => {
    const line = fc.string({ unit: fc.constantFrom("a", "字", " ", "\t", "\u2028", "\r") });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n"))).chain((lines) => cutText(lines.flat().join(""))),
        async ({ text, pieces }) => {
          const expected = text.split("\n").map((line) => line.replace(/\r$/, ""));
          // Text after the last line break is a line unless it is empty.
          if (text === "" || text.endsWith("\n")) expected.pop();
          expect(await collect(linesOf(textIn(pieces)))).toEqual(expected);
        },
      ),
    );
  });

  test.each<[string, string, string[]]>([
    ["nothing", "", []],
    ["empty lines", "\n\r\n\n", ["", "", ""]],
    ["no end", "a\nb", ["a", "b"]],
    ["a CR within", "a\rb\r\n", ["a\rb"]],
  ])("of %s", async (_, text, lines) => {
    expect(await collect(linesOf(each([text])))).toEqual(lines);
  });
});

describe("JSON values", () => {
  const value = fc.jsonValue().filter((value) => value !== undefined);

  test.each(["\n", "\0", "\r\n", "\0\n", "\n\n"])(
    "are decoded for any chunk boundaries if separated by %j",
    async (separator) => {
      await fc.assert(
        fc.asyncProperty(
          fc
            .tuple(fc.array(value, { minLength: 1 }), fc.boolean())
            .chain(([values, ends]) =>
              cutText(values.map((each) => JSON.stringify(each)).join(separator) + (ends ? separator : "")).map(
                ({ pieces }) => ({ values, pieces }),
              ),
            ),
          async ({ values, pieces }) => {
            expect(await collect(jsonOf(textIn(pieces)))).toEqual(JSON.parse(JSON.stringify(values)));
          },
        ),
      );
    },
  );

  test("may span lines if separated by NUL", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(value, { minLength: 1 }).chain((values) =>
          cutText(values.map((each) => JSON.stringify(each, null, 2)).join("\0")).map(({ pieces }) => ({
            values,
            pieces,
          })),
        ),
        async ({ values, pieces }) => {
          // If the first line is a complete value, line breaks separate values.
          fc.pre(values.length === 1 || JSON.stringify(values[0], null, 2).includes("\n") || !hasLines(values));
          expect(await collect(jsonOf(textIn(pieces)))).toEqual(JSON.parse(JSON.stringify(values)));
        },
      ),
    );
  });

  const hasLines = (values: readonly unknown[]) => values.some((each) => JSON.stringify(each, null, 2).includes("\n"));

  test("may be a single document of several lines", async () => {
    expect(await collect(jsonOf(each(['{\n  "a": 1,\n', '  "b": 2\n}\n'])))).toEqual([{ a: 1, b: 2 }]);
  });

  test.each([
    ["the second line", ['{"a":1}\n{"a":\n{"a":3}\n'], 1],
    ["the end", ['{"a":1}\n{"a":'], 1],
    ["all of it", ["<html>\n<body>"], 0],
  ])("reject with EasDecodeError if they are not JSON: %s", async (_, texts, before) => {
    const values = jsonOf(each(texts));
    for (let i = 0; i < before; i++) expect((await values.next()).done).toBe(false);
    const error = await errorOf(values.next());
    expect(error).toMatchObject({ code: "ERR_EAS_DECODE", format: "json" });
    expect(error.message).not.toContain("html");
  });

  test("keep keys of any name as properties", async () => {
    const [parsed] = await collect(jsonOf(each(['{"__proto__":{"polluted":1}}'])));
    expect(Object.keys(parsed as object)).toEqual(["__proto__"]);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

interface Event {
  readonly event: string;
  readonly data: string;
  readonly id: string | undefined;
}

const plain = ({ event, data, id }: Event): Event => ({ event, data, id });

describe("server-sent events", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "字", ":", " ", "🙂"), maxLength: 8 });
  const name = word.filter((text) => text !== "" && !text.startsWith(" "));
  const event = fc.record({
    event: fc.option(name, { nil: undefined }),
    id: fc.option(name, { nil: undefined }),
    data: fc.array(word, { minLength: 1, maxLength: 3 }),
  });

  test.each(["\n", "\r", "\r\n"])("are decoded for any chunk boundaries with lines ended by %j", async (end) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(event).chain((events) => {
          const written = events.map(({ event, id, data }) => [
            ...(event === undefined ? [] : [`event: ${event}`]),
            ...(id === undefined ? [] : [`id: ${id}`]),
            ": a comment",
            "unknown: field",
            ...data.map((line) => `data: ${line}`),
            "",
            "",
          ]);
          return cutText(written.map((lines) => lines.join(end)).join("")).map(({ pieces }) => ({ events, pieces }));
        }),
        async ({ events, pieces }) => {
          const expected = events.map(({ event, id, data }) => ({
            event: event ?? "message",
            id,
            data: data.join("\n"),
          }));
          expect((await collect(eventsOf(textIn(pieces)))).map(plain)).toEqual(expected);
        },
      ),
    );
  });

  test("with CR are yielded when their last byte arrives", async () => {
    let resume = () => {};
    const more = new Promise<void>((resolve) => {
      resume = resolve;
    });
    async function* pieces() {
      yield "data: 1\r\r";
      await more;
      yield "\ndata: 2\r\n\r\n";
    }
    const events = eventsOf(pieces());
    expect((await events.next()).value?.data).toBe("1");
    resume();
    expect((await events.next()).value?.data).toBe("2");
    expect((await events.next()).done).toBe(true);
  });

  test.each<[string, string, string[]]>([
    ["no line break at the end", "data: 1\n\ndata: [DONE]", ["1", "[DONE]"]],
    ["one line break at the end", "data: 1\n\ndata: 2\n", ["1", "2"]],
    ["no blank behind the colon", "data:1\n\n", ["1"]],
    ["no colon", "data\n\n", [""]],
    ["no data", "event: ping\n\nid: 1\n\n", []],
    ["blank lines only", "\n\n\r\n\r\n", []],
    ["comments, as keep-alives", ": ping\n\n: ping\n\ndata: 1\n\n", ["1"]],
  ])("with %s", async (_, text, data) => {
    expect((await collect(eventsOf(each([text])))).map(({ data }) => data)).toEqual(data);
  });

  test("contain the reconnection time", async () => {
    const events = await collect(eventsOf(each(["data: 0\n\nretry: 500\ndata: 1\n\nretry: x\ndata: 2\n\n"])));
    expect(events.map(({ retry }) => retry)).toEqual([undefined, 500, 500]);
  });

  test("are read as JSON", async () => {
    const [good, bad] = await collect(eventsOf(each(['data: {"a":\ndata: 1}\n\ndata: {"a"\n\n'])));
    expect(good?.json()).toEqual({ a: 1 });
    expect(() => bad?.json()).toThrow(EasDecodeError);
  });
});

describe("text without an end", () => {
  const endless = (text: string) =>
    (async function* () {
      for (;;) yield text;
    })();

  test.each([
    ["a line", () => linesOf(endless("x".repeat(65_536))), "lines"],
    ["a JSON value", () => jsonOf(endless(`[${"1,".repeat(30_000)}`)), "json"],
    ["a JSON value of lines", () => jsonOf(endless(`[\n${"1,\n".repeat(20_000)}`)), "json"],
    ["the line of an event", () => eventsOf(endless("data: x".repeat(10_000))), "sse"],
    ["an event of lines", () => eventsOf(endless("data: x\n".repeat(10_000))), "sse"],
    ["an event's name", () => eventsOf(endless("event: x".repeat(10_000))), "sse"],
  ])("%s rejects before it exhausts memory", async (_, values, format) => {
    expect(MAX_CHARACTERS).toBeLessThanOrEqual(2 ** 24);
    expect(await errorOf(collect<unknown>(values()))).toMatchObject({ code: "ERR_EAS_DECODE", format });
  });
});
