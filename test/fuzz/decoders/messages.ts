import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import * as easyrec from "../../../src/gen/eas/easyrec/easyrec_pb.js";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "../../../src/gen/eas/tf/tf_pb.js";
import * as torchrec from "../../../src/gen/eas/torchrec/torchrec_pb.js";
import {
  BladeResponse,
  BladeTFResponse,
  CaffeResponse,
  EasDecodeError,
  EasyRecRequest,
  EasyRecResponse,
  OnnxResponse,
  type TensorResponse,
  TFResponse,
  TorchRecRequest,
  TorchRecResponse,
  TorchResponse,
} from "../../../src/index.js";
import { ProtoRequest } from "../../../src/proto/proto-request.js";
import type { DataFrame, FrameOwner } from "../../../src/queue/frame.js";
import { readFrame, readFrames, readIndex } from "../../../src/queue/frame-codec.js";
import { FrameSplitter } from "../../../src/queue/watch/sources/frame-splitter.js";
import { anyOnnxSample, bladeBody, bladeSample, caffeBody, caffeSample, onnxBody } from "../../support/formats.js";
import { type Gen, tfBody, torchBody } from "../../support/layout.js";
import { anySample, DTYPES, name, namedSamples, TORCH_DTYPES } from "../../support/tensors.js";
import { type Bytes, fromHex, must, table, utf8 } from "../decoder.js";

// Protobuf messages.

/** Fields of all wire types with small numbers, groups, and impossible lengths. */
const PIECES = [
  "0a00",
  "0a02",
  "0a0408011001",
  "1200",
  "12021200",
  "1a00",
  "2200",
  "2a00",
  "3200",
  "3a00",
  "4200",
  "0801",
  "1001",
  "1801",
  "08ffffffffffffffffff01",
  "10ffffffffffffffff7f",
  "0d0000803f",
  "11000000000000f03f",
  "0b",
  "0c",
  "13",
  "14",
  "e307",
  "e407",
  "0affffffff0f",
  "0affffffffffffffffff01",
  "0000",
  "00",
  "80",
  "ff",
  "7f",
  "9a01047fffffff",
  "3a0a80808080808080808001",
].map(fromHex);

const LAYOUTS = 12;
const layouts =
  (make: (g: Gen) => Bytes) =>
  (seed: number): Bytes[] =>
    fc.sample(fc.gen().map(make), { numRuns: LAYOUTS, seed });

const FREE = { asGenerated: false };

/** Reads an output with all accessors. An accessor may succeed although another one throws. */
function readOutput<K>(response: TensorResponse<K>, output: K): void {
  for (const read of [
    () => response.getTensorShape(output),
    () => response.getTensor(output),
    () => response.getNumbers(output),
    () => response.getStrings(output),
    () => response.getValues(output, "DT_FLOAT" as never),
  ]) {
    try {
      read();
    } catch (error) {
      if (!(error instanceof EasDecodeError || isOfOutput(error))) throw error;
    }
  }
}

/** The output has another dtype, or numbers that are too large. */
function isOfOutput(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === "ERR_EAS_ARG_DTYPE" || code === "ERR_EAS_ARG_OUTPUT";
}

interface Readable<K> extends TensorResponse<K> {
  readonly outputNames: readonly K[];
}

/** Maximum number of outputs to read: accessors read outputs separately, so that more outputs test nothing new. */
const MAX_OUTPUTS = 20;

function readNamed<K>(response: Readable<K>): void {
  for (const output of response.outputNames.slice(0, MAX_OUTPUTS)) readOutput(response, output);
  must(typeof `${response}` === "string", "toString");
}

const OWNER: FrameOwner = { commit: async () => {}, negative: async () => {}, release: () => {} };

function readAll(frame: DataFrame): void {
  must(frame.index >= 0n && frame.index < 2n ** 64n, "the index");
  void frame.data;
  void frame.tags;
  must(Object.getPrototypeOf(frame.tags) === null, "tags without a prototype");
  void frame.message;
  void frame.requestId;
  frame.text();
  JSON.stringify(frame);
  must(typeof `${frame}` === "string", "toString");
}

/** A frame: index, tags, data. */
const FRAME = fromHex("0880d0dbc3f4021206" + "0a0161120162" + "12080a046b6579311200" + "1a0568656c6c6f22026f6b");
const LIST = new Uint8Array([0x0a, FRAME.length, ...FRAME, 0x0a, FRAME.length, ...FRAME, 0x0a, 2, 8, 1]);
const STREAM = new Uint8Array([0, 0, 0, FRAME.length, ...FRAME, 0, 0, 0, 0, 0, 0, 0, 2, 8, 1]);
const MAX_FRAME = 1 << 16;

/** Returns the frames of a stream with these chunk sizes, repeated. An error is added as text. */
function split(stream: Bytes, sizes: readonly number[]): string[] {
  const frames: string[] = [];
  const splitter = new FrameSplitter(MAX_FRAME, (frame) => frames.push(base64Encode(frame)));
  try {
    for (let at = 0, i = 0; at < stream.length; i++) {
      const size = sizes[i % sizes.length] as number;
      splitter.push(stream.subarray(at, at + size));
      at += size;
    }
  } catch (error) {
    if (!(error instanceof EasDecodeError)) throw error;
    return [...frames, "wrong"];
  }
  return [...frames, splitter.isBetweenFrames ? "whole" : "cut off"];
}

const TF_ARRAY = { dtype: ArrayDataType.DT_FLOAT as never, arrayShape: { dim: [2n] }, floatVal: [1, 2] };

const EASYREC = toBinary(
  easyrec.PBResponseSchema,
  create(easyrec.PBResponseSchema, {
    results: { item_1: { scores: [0.1, 0.2] }, item_2: { scores: [] } },
    itemFeatures: { a: "b" },
    contextFeatures: { c: { features: [{ value: { case: "floatFeature", value: 1.5 } }] } },
    errorMsg: "wrong",
    statusCode: 2,
    itemIds: ["item_1"],
    outputs: ["ctr"],
    tfOutputs: { y: TF_ARRAY },
  }),
);
const TORCHREC = toBinary(
  torchrec.PBResponseSchema,
  create(torchrec.PBResponseSchema, {
    mapOutputs: { y: TF_ARRAY },
    generateFeatures: { a: "b" },
    rawFeatures: { c: "d" },
    itemIds: ["item_1"],
    passThroughData: { e: "f" },
  }),
);
const EASYREC_FEED = new EasyRecRequest()
  .addUserFeature("a", "é")
  .addUserFeature("b", 1.5, "FLOAT")
  .addItemId("item_1")
  .addContextFeature("c", [-1], "INT")
  .setFaissNeighNum(3)
  .toBinary();
const TORCHREC_FEED = new TorchRecRequest()
  .addUserFeature("f", [[1.5], []], "LIST<LIST<FLOAT>>")
  .addUserFeature("s", ["a", "é"], "LIST<STRING>")
  .addUserFeature("m", { a: 1.5 }, "MAP<STRING,DOUBLE>")
  .addUserFeature("n", { 7: -1 }, "MAP<INT,BIGINT>")
  .addContextFeature("c", 1, "INT64")
  .addMetaData("m", "v")
  .toBinary();

const PROTO = new ProtoRequest(PredictRequestSchema, create(PredictRequestSchema), PredictResponseSchema);

export const MESSAGES = table({ pieces: [...PIECES, utf8("__proto__")] }, [
  {
    name: "tf",
    samples: layouts((g) =>
      tfBody(
        g,
        g(() => namedSamples(DTYPES)),
        FREE,
      ),
    ),
    decode: (body) => readNamed(new TFResponse(body)),
  },
  {
    name: "torch",
    samples: layouts((g) =>
      torchBody(
        g,
        g(() => fc.array(anySample(TORCH_DTYPES), { maxLength: 3 })),
        g(() => namedSamples(TORCH_DTYPES)),
        FREE,
      ),
    ),
    decode(body) {
      const response = new TorchResponse(body);
      for (let i = 0; i < Math.min(response.outputCount, MAX_OUTPUTS); i++) readOutput(response, i);
      for (const output of response.outputNames.slice(0, MAX_OUTPUTS)) response.getTensorShapeMap(output);
      must(typeof `${response}` === "string", "toString");
    },
  },
  {
    name: "blade",
    samples: layouts((g) =>
      bladeBody(
        g,
        g(() => fc.array(bladeSample, { maxLength: 3 })),
        FREE,
      ),
    ),
    decode(body) {
      const response = new BladeResponse(body);
      readNamed(response);
      for (const output of response.outputNames) response.getBatchSize(output);
    },
  },
  {
    name: "blade-tf",
    samples: layouts((g) =>
      bladeBody(
        g,
        g(() => fc.array(bladeSample, { maxLength: 3 })),
        FREE,
      ),
    ),
    decode: (body) => readNamed(new BladeTFResponse(body)),
  },
  {
    name: "caffe",
    samples: layouts((g) =>
      caffeBody(
        g,
        g(() => fc.array(caffeSample, { maxLength: 3 })),
        FREE,
      ),
    ),
    decode: (body) => readNamed(new CaffeResponse(body)),
  },
  {
    name: "onnx",
    samples: layouts((g) =>
      onnxBody(
        g,
        g(() => fc.array(fc.tuple(name, anyOnnxSample), { maxLength: 3 })),
        FREE,
      ),
    ),
    decode: (body) => readNamed(new OnnxResponse(body) as Readable<string | number>),
  },
  { name: "easyrec", samples: () => [EASYREC], decode: (body) => readNamed(new EasyRecResponse(body)) },
  { name: "torchrec", samples: () => [TORCHREC], decode: (body) => readNamed(new TorchRecResponse(body)) },
  {
    name: "easyrec feed",
    samples: () => [EASYREC_FEED],
    decode: (body) => new EasyRecRequest().addFeed(body).toBinary(),
  },
  {
    name: "torchrec feed",
    samples: () => [TORCHREC_FEED],
    decode: (body) => new TorchRecRequest().addFeed(body).toBinary(),
  },
  {
    name: "proto",
    samples: layouts((g) =>
      tfBody(
        g,
        g(() => namedSamples(DTYPES)),
        { asGenerated: true },
      ),
    ),
    decode: (body) => PROTO.parseResponse(body),
  },
  {
    name: "proto of torchrec",
    samples: () => [TORCHREC_FEED],
    decode: (body) =>
      new ProtoRequest(
        torchrec.PBRequestSchema,
        create(torchrec.PBRequestSchema),
        torchrec.PBRequestSchema,
      ).parseResponse(body),
  },
  { name: "frame", samples: () => [FRAME], decode: (body) => readAll(readFrame(body, OWNER)) },
  { name: "index of a frame", samples: () => [FRAME], decode: (body) => void readIndex(body) },
  {
    name: "frames",
    samples: () => [LIST],
    decode: (body) => readFrames(body, "application/vnd.google.protobuf", OWNER).forEach(readAll),
  },
  {
    name: "stream of frames",
    samples: () => [STREAM, new Uint8Array([...STREAM, ...STREAM, ...STREAM])],
    decode(stream) {
      const whole = split(stream, [stream.length]).join();
      must(split(stream, [1]).join() === whole, "the frames, byte by byte");
      must(split(stream, [3, 1, 5, 4, 2]).join() === whole, "the frames, in pieces");
    },
  },
]);
