import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "../../../src/gen/eas/tf/tf_pb.js";
import { TFRequest, TFResponse } from "../../../src/index.js";

// Short texts of ASCII are written by a loop, all others by the runtime: both as the runtime's encoder has them.

const text = fc.oneof(
  fc.string({ unit: "binary-ascii", maxLength: 70 }),
  fc.string({ unit: "grapheme", maxLength: 70 }),
  // Lone surrogates too, which become U+FFFD.
  fc.array(fc.nat({ max: 0xffff }), { maxLength: 5 }).map((units) => String.fromCharCode(...units)),
  // Around the length from which all is the runtime's, with a last character that needs more than a byte, or not.
  fc
    .tuple(fc.integer({ min: 60, max: 68 }), fc.constantFrom("", "\x7f", "\x80", "é", "推"))
    .map(([length, last]) => "a".repeat(length) + last),
);

/** What comes of a text on its way. */
function received(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

test("texts are written as the generated code writes their UTF-8, and read again", () => {
  fc.assert(
    // `__proto__` as a key is lost by the generated code's `create`.
    fc.property(
      fc.array(text),
      text.filter((name) => name !== "__proto__"),
      (texts, name) => {
        const array = {
          dtype: ArrayDataType.DT_STRING,
          arrayShape: { dim: [BigInt(texts.length)] },
          stringVal: texts.map((text) => new TextEncoder().encode(text)),
        };
        const wellFormed = received(name);
        const request = new TFRequest().addFeed(name, [texts.length], "DT_STRING", texts).toBinary();
        const generated = toBinary(
          PredictRequestSchema,
          create(PredictRequestSchema, { inputs: { [wellFormed]: array } }),
        );
        expect(request).toEqual(generated);
        const body = toBinary(
          PredictResponseSchema,
          create(PredictResponseSchema, { outputs: { [wellFormed]: array } }),
        );
        expect(new TFResponse(body).getStrings(wellFormed)).toEqual(texts.map(received));
      },
    ),
    { numRuns: 500 },
  );
});

test("strings read as bytes are the caller's own", () => {
  const body = new TFRequest().addFeed("y", [1], "DT_STRING", ["abc"]).toBinary();
  // An input of a request is field 2, an output of a response field 1; all else is the same.
  body[0] = 0x0a;
  const [bytes] = new TFResponse(body).getValues("y", "DT_STRING");
  bytes?.fill(0);
  expect(new TFResponse(body).getStrings("y")).toEqual(["abc"]);
});
