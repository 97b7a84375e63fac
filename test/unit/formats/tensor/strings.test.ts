import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "../../../../src/gen/eas/tf/tf_pb.js";
import { TFRequest, TFResponse } from "../../../../src/index.js";

// Short ASCII text is encoded by a loop, and other text by the runtime. Both must have the same bytes.

const text = fc.oneof(
  fc.string({ unit: "binary-ascii", maxLength: 70 }),
  fc.string({ unit: "grapheme", maxLength: 70 }),
  // Includes lone surrogates, which become U+FFFD.
  fc.array(fc.nat({ max: 0xffff }), { maxLength: 5 }).map((units) => String.fromCharCode(...units)),
  // Lengths around the limit of the loop, with and without a last character of several bytes.
  fc
    .tuple(fc.integer({ min: 60, max: 68 }), fc.constantFrom("", "\x7f", "\x80", "é", "推"))
    .map(([length, last]) => "a".repeat(length) + last),
);

/** The text after encoding and decoding. */
function received(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

test("texts are encoded as by the generated code, and decoded again", () => {
  fc.assert(
    // The generated code's `create` loses the key `__proto__`.
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

test("strings read as bytes belong to the caller", () => {
  const body = new TFRequest().addFeed("y", [1], "DT_STRING", ["abc"]).toBinary();
  // An input of a request is field 2, and an output of a response is field 1. The rest is equal.
  body[0] = 0x0a;
  const [bytes] = new TFResponse(body).getValues("y", "DT_STRING");
  bytes?.fill(0);
  expect(new TFResponse(body).getStrings("y")).toEqual(["abc"]);
});
