import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ResponseSchema as BladeSchema } from "../../../../src/gen/eas/blade/blade_pb.js";
import { PredictResponseSchema as CaffeSchema } from "../../../../src/gen/eas/caffe/caffe_pb.js";
import { PBResponseSchema as EasyRecSchema } from "../../../../src/gen/eas/easyrec/easyrec_pb.js";
import { DataProtoSchema } from "../../../../src/gen/eas/onnx/onnx_pb.js";
import { PredictResponseSchema as TFSchema } from "../../../../src/gen/eas/tf/tf_pb.js";
import { PBResponseSchema as TorchRecSchema } from "../../../../src/gen/eas/torchrec/torchrec_pb.js";
import {
  BladeResponse,
  CaffeResponse,
  EasDecodeError,
  EasyRecResponse,
  OnnxResponse,
  TFResponse,
  TorchRecResponse,
} from "../../../../src/index.js";
import { thrownBy } from "../../../support/calls.js";

// Two names that differ only in bytes that are not UTF-8 would both become "n\ufffd", and one output would replace the other.

type Bytes = Uint8Array<ArrayBuffer>;

/** A message with the names "n\x01" and "n\x02", in which those two control characters become the bytes FE and FF. */
function body<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Bytes {
  const bytes = toBinary(schema, create(schema, init)) as Bytes;
  const marks = { 1: 0xfe, 2: 0xff } as Record<number, number>;
  return bytes.map((byte, i) => (bytes[i - 1] === "n".charCodeAt(0) ? (marks[byte] ?? byte) : byte));
}

const A = "n\x01";
const B = "n\x02";

test.each<[string, () => Bytes, (bytes: Bytes) => unknown]>([
  ["TF", () => body(TFSchema, { outputs: { [A]: {}, [B]: {} } }), (bytes) => new TFResponse(bytes)],
  ["Caffe", () => body(CaffeSchema, { outputName: [A, B], outputData: [{}, {}] }), (bytes) => new CaffeResponse(bytes)],
  ["ONNX", () => body(DataProtoSchema, { tensors: [{ name: A }, { name: B }] }), (bytes) => new OnnxResponse(bytes)],
  [
    "Blade",
    () =>
      body(BladeSchema, {
        outputs: [
          { nameInDlModel: A, batchsize: 1 },
          { nameInDlModel: B, batchsize: 1 },
        ],
      }),
    (bytes) => new BladeResponse(bytes),
  ],
  [
    "EasyRec results",
    () => body(EasyRecSchema, { results: { [A]: {}, [B]: {} } }),
    (bytes) => new EasyRecResponse(bytes),
  ],
  [
    "EasyRec outputs",
    () => body(EasyRecSchema, { tfOutputs: { [A]: {}, [B]: {} } }),
    (bytes) => new EasyRecResponse(bytes),
  ],
  [
    "EasyRec features",
    () => body(EasyRecSchema, { itemFeatures: { [A]: "x", [B]: "y" } }),
    (bytes) => new EasyRecResponse(bytes),
  ],
  [
    "TorchRec outputs",
    () => body(TorchRecSchema, { mapOutputs: { [A]: {}, [B]: {} } }),
    (bytes) => new TorchRecResponse(bytes),
  ],
])("%s: names that are not UTF-8 are an error, since two of them could become equal", (_, make, read) => {
  const error = thrownBy(() => read(make()));
  expect(error).toBeInstanceOf(EasDecodeError);
  expect(error.message).toMatch(/a string is not UTF-8 at byte \d+/);
});

test("names can be any UTF-8, and keep a byte order mark", () => {
  const names = ["\ufeffn", "n", "\ufffd", "\u{1f600}", ""];
  const outputs = Object.fromEntries(names.map((name) => [name, {}]));
  const bytes = toBinary(TFSchema, create(TFSchema, { outputs })) as Bytes;
  expect(new Set(new TFResponse(bytes).outputNames)).toEqual(new Set(names));
});
