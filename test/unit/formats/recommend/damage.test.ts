import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as easyrec from "../../../../src/gen/eas/easyrec/easyrec_pb.js";
import * as tf from "../../../../src/gen/eas/tf/tf_pb.js";
import * as torch from "../../../../src/gen/eas/torch/torch_pb.js";
import * as torchrec from "../../../../src/gen/eas/torchrec/torchrec_pb.js";
import {
  EasDecodeError,
  EasyRecRequest,
  EasyRecResponse,
  TorchRecRequest,
  TorchRecResponse,
} from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";

// Tests invalid bytes: truncated, with flipped bits, or of another format. A response is read or throws an
// EasDecodeError. addFeed succeeds or throws a RangeError with the position.

type Bytes = Uint8Array<ArrayBuffer>;
type Outcome = "read" | "refused";
type Read = (bytes: Bytes) => Outcome;

function outcomeOf(read: () => unknown): Outcome {
  try {
    read();
    return "read";
  } catch (error) {
    if (!(error instanceof EasDecodeError)) throw error;
    expect(error.format).toMatch(/^(easyrec|torchrec|tensor)$/);
    return "refused";
  }
}

function readResponse(parse: () => EasyRecResponse | TorchRecResponse): Outcome {
  let response: EasyRecResponse | TorchRecResponse | undefined;
  const made = outcomeOf(() => {
    response = parse();
  });
  if (response === undefined) return made;
  const { outputNames } = response;
  for (const name of outputNames) outcomeOf(() => response?.getTensor(name));
  expect(`${response}`).toMatch(/Response \{/);
  return made;
}

/**
 * Adds bytes to a request. If they are accepted, they must be sent unchanged. If they are rejected, the request must
 * not change.
 */
function feed(request: EasyRecRequest | TorchRecRequest, bytes: Bytes): Outcome {
  (request as EasyRecRequest).addUserFeature("before", "x", "STRING");
  const before = request.toBinary();
  try {
    request.addFeed(bytes);
  } catch (error) {
    expect(error).toMatchObject({
      name: "RangeError",
      code: "ERR_EAS_ARG_FEED",
      message: expect.stringMatching(/^data is not a PBRequest of (EasyRec|TorchRec): .* at byte \d+$/),
    });
    expect(request.toBinary()).toEqual(before);
    return "refused";
  }
  try {
    const body = request.toBinary();
    const again = request instanceof EasyRecRequest ? new EasyRecRequest() : new TorchRecRequest();
    expect(again.addFeed(body).toBinary()).toEqual(body);
  } catch (error) {
    // The features can then have different lengths.
    expect(error).toMatchObject({
      name: "RangeError",
      message: expect.stringMatching(/matches values to items by position/),
    });
  }
  return "read";
}

const READS: Readonly<Record<string, Read>> = {
  "an EasyRec response": (bytes) => readResponse(() => new EasyRecResponse(bytes)),
  "a TorchRec response": (bytes) => readResponse(() => new TorchRecResponse(bytes)),
  "an EasyRec feed": (bytes) => feed(new EasyRecRequest(), bytes),
  "a TorchRec feed": (bytes) => feed(new TorchRecRequest(), bytes),
};

const tensor = { arrayShape: { dim: [2n] }, floatVal: [1, 2] };

const BODIES: Readonly<Record<string, Bytes>> = {
  "an EasyRec response": toBinary(
    easyrec.PBResponseSchema,
    create(easyrec.PBResponseSchema, {
      results: { item_1: { scores: [0.1, 0.2] }, item_2: { scores: [] } },
      itemFeatures: { a: "b" },
      contextFeatures: {
        c: {
          features: [
            { value: { case: "intFeature", value: -1 } },
            { value: { case: "longFeature", value: 1n } },
            { value: { case: "stringFeature", value: "x" } },
            { value: { case: "floatFeature", value: 1.5 } },
          ],
        },
      },
      errorMsg: "wrong",
      statusCode: 2,
      itemIds: ["item_1"],
      outputs: ["ctr"],
      tfOutputs: { y: create(tf.ArrayProtoSchema, { dtype: tf.ArrayDataType.DT_FLOAT, ...tensor }) },
    }),
  ),
  "a TorchRec response": toBinary(
    torchrec.PBResponseSchema,
    create(torchrec.PBResponseSchema, {
      mapOutputs: { y: create(torch.ArrayProtoSchema, { dtype: torch.ArrayDataType.DT_FLOAT, ...tensor }) },
      generateFeatures: { a: "b" },
      rawFeatures: { c: "d" },
      itemIds: ["item_1"],
      passThroughData: { e: "f" },
    }),
  ),
  "an EasyRec feed": new EasyRecRequest()
    .addUserFeature("a", "é")
    .addUserFeature("b", 1.5, "FLOAT")
    .addItemId("item_1")
    .addItemId("item_2")
    .addContextFeature("c", [-1, 0], "INT")
    .setFaissNeighNum(3)
    .toBinary(),
  "a TorchRec feed": new TorchRecRequest()
    .addUserFeature("i", [1, 300], "LIST<INT>")
    .addUserFeature("f", [[1.5], []], "LIST<LIST<FLOAT>>")
    .addUserFeature("s", ["a", "é"], "LIST<STRING>")
    .addUserFeature("d", [1.5], "LIST<DOUBLE>")
    .addUserFeature("m", { a: 1.5 }, "MAP<STRING,DOUBLE>")
    .addUserFeature("n", { 7: -1 }, "MAP<INT,BIGINT>")
    .addContextFeature("c", 1, "INT64")
    .addItemFeature("t", "x", "STRING")
    .addMetaData("m", "v")
    .setFaissNeighNum(3)
    .toBinary(),
};

describe.each(Object.keys(READS))("%s", (kind) => {
  const read = READS[kind] as Read;
  const body = BODIES[kind] as Bytes;

  test("can be read", () => {
    expect(read(body)).toBe("read");
    expect(read(Buffer.from(body) as Uint8Array as Bytes)).toBe("read");
  });

  test("cut off at any byte", () => {
    const outcomes = Array.from(body, (_, length) => read(body.slice(0, length)));
    // A truncation between two fields of the outermost message cannot be detected.
    expect(outcomes.filter((outcome) => outcome === "read").length).toBeLessThan(12);
  });

  test("any one bit flipped", () => {
    const outcomes = new Set<Outcome>();
    for (let at = 0; at < body.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = body.slice();
        (flipped[at] as number) ^= 1 << bit;
        outcomes.add(read(flipped));
      }
    }
    expect(outcomes).toEqual(new Set(["read", "refused"]));
  });

  test("any byte replaced by one that ends or stretches a varint", () => {
    for (let at = 0; at < body.length; at++) {
      for (const byte of [0x00, 0x7f, 0x80, 0xff]) read(Uint8Array.from(body, (was, i) => (i === at ? byte : was)));
    }
  });

  test("random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 10 }), (garbage, field) => {
        const bytes = Uint8Array.from(garbage);
        read(bytes);
        // Tests the same bytes as the value of a map's entry.
        const writer = new BinaryWriter().tag(field, WireType.LengthDelimited).fork();
        read(writer.tag(2, WireType.LengthDelimited).bytes(bytes).join().finish());
      }),
      { numRuns: 300 },
    );
  });

  test("text, as a proxy may respond", () => {
    for (const text of ['{"error":"x"}', "<html><body>502 Bad Gateway</body></html>", "no healthy upstream", "ok"]) {
      expect(read(new TextEncoder().encode(text))).toBe("refused");
    }
  });
});

/** The hexadecimal bytes, and why they are invalid. */
test.each([
  ["12", /a varint is truncated at byte 1$/],
  ["1205", /a field is longer than the message at byte 1$/],
  ["1001", /field 2 has the wire type 0 at byte 1$/],
  ["0a00", /field 1 has the wire type 2 at byte 1$/],
  ["1a01ff", /a string is not UTF-8 at byte 2$/],
  ["12030a01ff", /a string is not UTF-8 at byte 4$/],
  ["12021800", /unexpected field 3 in a map entry at byte 3$/],
  ["120412020a00", /field 1 has the wire type 2 at byte 5$/],
  ["120512031a01ff", /a string is not UTF-8 at byte 6$/],
  // IntList with truncated packed varints; FloatList of three bytes.
  ["12081206aa01030a0180", /a varint is truncated at byte 9$/],
  ["120a1208c201050a03000000", /the length of packed values is not a multiple of 4 at byte 9$/],
  // StringList with an element that is not UTF-8; IntIntMap with a text key, and with a third field.
  ["12081206ba01030a01ff", /a string is not UTF-8 at byte 9$/],
  ["120912078a01040a020a00", /field 1 has the wire type 2 at byte 10$/],
  ["120912078a01040a021800", /unexpected field 3 in a map entry at byte 10$/],
])("%s is rejected", (hex, message) => {
  const data = new Uint8Array(Buffer.from(hex, "hex"));
  expect(thrownBy(() => new TorchRecRequest().addFeed(data)).message).toMatch(message);
});
