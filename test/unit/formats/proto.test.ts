import { readFileSync } from "node:fs";
import {
  create,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  fromBinary,
  isFieldSet,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { Edition, FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import * as blade from "../../../src/gen/eas/blade/blade_pb.js";
import * as caffe from "../../../src/gen/eas/caffe/caffe_pb.js";
import * as easyrec from "../../../src/gen/eas/easyrec/easyrec_pb.js";
import * as onnx from "../../../src/gen/eas/onnx/onnx_pb.js";
import * as queue from "../../../src/gen/eas/queue/queue_pb.js";
import * as tf from "../../../src/gen/eas/tf/tf_pb.js";
import * as torch from "../../../src/gen/eas/torch/torch_pb.js";
import * as torchrec from "../../../src/gen/eas/torchrec/torchrec_pb.js";
import * as bladeEntry from "../../../src/proto/blade.js";
import * as caffeEntry from "../../../src/proto/caffe.js";
import * as easyrecEntry from "../../../src/proto/easyrec.js";
import * as onnxEntry from "../../../src/proto/onnx.js";
import * as queueEntry from "../../../src/proto/queue.js";
import * as tfEntry from "../../../src/proto/tf.js";
import * as torchEntry from "../../../src/proto/torch.js";
import * as torchrecEntry from "../../../src/proto/torchrec.js";

// The wire formats as the three official SDKs declare them, written down apart from proto/. A line is one field: its
// message, number, name and type. `*` is repeated, `p` packed; proto2 fields carry their label; members of the one
// oneof (`value`) carry `oneof`. Types of another format carry its name. An enum is one line.
const ARRAY_DATA_TYPE = `
enum ArrayDataType DT_INVALID=0 DT_FLOAT=1 DT_DOUBLE=2 DT_INT32=3 DT_UINT8=4 DT_INT16=5 DT_INT8=6 DT_STRING=7 \
DT_COMPLEX64=8 DT_INT64=9 DT_BOOL=10 DT_QINT8=11 DT_QUINT8=12 DT_QINT32=13 DT_BFLOAT16=14 DT_QINT16=15 DT_QUINT16=16 \
DT_UINT16=17 DT_COMPLEX128=18 DT_HALF=19 DT_RESOURCE=20 DT_VARIANT=21`;

const ARRAY_PROTO = `
ArrayShape 1 dim int64* p
ArrayProto 1 dtype ArrayDataType
ArrayProto 2 array_shape ArrayShape
ArrayProto 3 float_val float* p
ArrayProto 4 double_val double* p
ArrayProto 5 int_val int32* p
ArrayProto 6 string_val bytes*
ArrayProto 7 int64_val int64* p`;

const TABLES = {
  tf: `
proto3 eas.tf
${ARRAY_DATA_TYPE}
${ARRAY_PROTO}
ArrayProto 8 bool_val bool* p
PredictRequest 1 signature_name string
PredictRequest 2 inputs map<string, ArrayProto>
PredictRequest 3 output_filter string*
PredictResponse 1 outputs map<string, ArrayProto>`,

  torch: `
proto3 eas.torch
${ARRAY_DATA_TYPE}
${ARRAY_PROTO}
PredictRequest 1 inputs ArrayProto*
PredictRequest 2 output_filter int32* p
PredictRequest 3 map_inputs map<string, ArrayProto>
PredictRequest 100 debug_level int32
PredictResponse 1 outputs ArrayProto*
PredictResponse 2 map_outputs map<string, ArrayProto>`,

  torchrec: `
proto3 eas.torchrec
LongStringMap 1 map_field map<int64, string>
LongIntMap 1 map_field map<int64, int32>
LongLongMap 1 map_field map<int64, int64>
LongFloatMap 1 map_field map<int64, float>
LongDoubleMap 1 map_field map<int64, double>
StringStringMap 1 map_field map<string, string>
StringIntMap 1 map_field map<string, int32>
StringLongMap 1 map_field map<string, int64>
StringFloatMap 1 map_field map<string, float>
StringDoubleMap 1 map_field map<string, double>
IntStringMap 1 map_field map<int32, string>
IntIntMap 1 map_field map<int32, int32>
IntLongMap 1 map_field map<int32, int64>
IntFloatMap 1 map_field map<int32, float>
IntDoubleMap 1 map_field map<int32, double>
IntList 1 features int32* p
LongList 1 features int64* p
StringList 1 features string*
FloatList 1 features float* p
DoubleList 1 features double* p
IntLists 1 lists IntList*
LongLists 1 lists LongList*
StringLists 1 lists StringList*
FloatLists 1 lists FloatList*
DoubleLists 1 lists DoubleList*
PBFeature 1 int_feature oneof int32
PBFeature 2 long_feature oneof int64
PBFeature 3 string_feature oneof string
PBFeature 4 float_feature oneof float
PBFeature 5 double_feature oneof double
PBFeature 6 long_string_map oneof LongStringMap
PBFeature 7 long_int_map oneof LongIntMap
PBFeature 8 long_long_map oneof LongLongMap
PBFeature 9 long_float_map oneof LongFloatMap
PBFeature 10 long_double_map oneof LongDoubleMap
PBFeature 11 string_string_map oneof StringStringMap
PBFeature 12 string_int_map oneof StringIntMap
PBFeature 13 string_long_map oneof StringLongMap
PBFeature 14 string_float_map oneof StringFloatMap
PBFeature 15 string_double_map oneof StringDoubleMap
PBFeature 16 int_string_map oneof IntStringMap
PBFeature 17 int_int_map oneof IntIntMap
PBFeature 18 int_long_map oneof IntLongMap
PBFeature 19 int_float_map oneof IntFloatMap
PBFeature 20 int_double_map oneof IntDoubleMap
PBFeature 21 int_list oneof IntList
PBFeature 22 long_list oneof LongList
PBFeature 23 string_list oneof StringList
PBFeature 24 float_list oneof FloatList
PBFeature 25 double_list oneof DoubleList
PBFeature 26 int_lists oneof IntLists
PBFeature 27 long_lists oneof LongLists
PBFeature 28 string_lists oneof StringLists
PBFeature 29 float_lists oneof FloatLists
PBFeature 30 double_lists oneof DoubleLists
ContextFeatures 1 features PBFeature*
PBRequest 1 debug_level int32
PBRequest 2 user_features map<string, PBFeature>
PBRequest 3 item_ids string*
PBRequest 4 context_features map<string, ContextFeatures>
PBRequest 5 faiss_neigh_num int32
PBRequest 6 item_features map<string, ContextFeatures>
PBRequest 7 meta_data map<string, string>
PBResponse 1 map_outputs map<string, torch.ArrayProto>
PBResponse 2 generate_features map<string, string>
PBResponse 3 raw_features map<string, string>
PBResponse 4 item_ids string*
PBResponse 5 pass_through_data map<string, string>
PBLogData 1 request PBRequest
PBLogData 2 raw_features map<string, string>
PBLogData 3 generate_features map<string, string>`,

  easyrec: `
proto3 eas.easyrec
enum StatusCode OK=0 INPUT_EMPTY=1 EXCEPTION=2
ContextFeatures 1 features PBFeature*
PBFeature 1 int_feature oneof int32
PBFeature 2 long_feature oneof int64
PBFeature 3 string_feature oneof string
PBFeature 4 float_feature oneof float
PBRequest 1 debug_level int32
PBRequest 2 user_features map<string, PBFeature>
PBRequest 3 item_ids string*
PBRequest 4 context_features map<string, ContextFeatures>
PBRequest 5 faiss_neigh_num int32
Results 1 scores double* p
PBResponse 1 results map<string, Results>
PBResponse 2 item_features map<string, string>
PBResponse 3 generate_features map<string, string>
PBResponse 4 context_features map<string, ContextFeatures>
PBResponse 5 error_msg string
PBResponse 6 status_code StatusCode
PBResponse 7 item_ids string*
PBResponse 8 outputs string*
PBResponse 9 raw_features map<string, string>
PBResponse 10 tf_outputs map<string, tf.ArrayProto>`,

  blade: `
proto2 eas.blade
enum DataType DT_UNKNOWN=0 DT_FLOAT=1 DT_INT32=2 DT_INT64=3 DT_STRING=4
Shape 1 dim int64* p
Array 1 blade_blob_name optional string
Array 2 name_in_dl_model optional string
Array 3 batchsize required int32
Array 4 shape optional Shape
Array 5 float_val float* p
Array 6 int_val int32* p
Array 7 int64_val int64* p
Array 8 string_val bytes*
OutputInfo 1 blade_blob_name optional string
OutputInfo 2 name_in_dl_model optional string
OutputInfo 3 data_type optional DataType
Request 1 tf_signature_name optional string
Request 2 inputs Array*
Request 3 output_info OutputInfo*
Response 1 outputs Array*`,

  caffe: `
proto2 eas.caffe
ArrayShape 1 dim int64* p
ArrayProto 1 shape optional ArrayShape
ArrayProto 2 data float* p
PredictRequest 1 input_name string*
PredictRequest 2 input_data ArrayProto*
PredictRequest 3 output_filter string*
PredictResponse 1 output_name string*
PredictResponse 2 output_data ArrayProto*`,

  onnx: `
proto3 eas.onnx
enum TensorProto.DataType UNDEFINED=0 FLOAT=1 UINT8=2 INT8=3 UINT16=4 INT16=5 INT32=6 INT64=7 FLOAT16=10 DOUBLE=11 \
UINT32=12 UINT64=13
TensorProto 1 name string
TensorProto 2 dims int64* p
TensorProto 3 data_type int32
TensorProto 5 raw_data bytes
DataProto 1 tensors TensorProto*`,

  queue: `
proto3 eas.queue
DataFrameProto 1 index uint64
DataFrameProto 2 tags map<string, string>
DataFrameProto 3 data bytes
DataFrameProto 4 message string
DataFrameListProto 1 index DataFrameProto*
AttributesProto 1 attributes map<string, string>`,
};

type Format = keyof typeof TABLES;

const FORMATS: Record<Format, { file: DescFile; generated: object; entry: object }> = {
  tf: { file: tf.file_eas_tf_tf, generated: tf, entry: tfEntry },
  torch: { file: torch.file_eas_torch_torch, generated: torch, entry: torchEntry },
  torchrec: { file: torchrec.file_eas_torchrec_torchrec, generated: torchrec, entry: torchrecEntry },
  easyrec: { file: easyrec.file_eas_easyrec_easyrec, generated: easyrec, entry: easyrecEntry },
  blade: { file: blade.file_eas_blade_blade, generated: blade, entry: bladeEntry },
  caffe: { file: caffe.file_eas_caffe_caffe, generated: caffe, entry: caffeEntry },
  onnx: { file: onnx.file_eas_onnx_onnx, generated: onnx, entry: onnxEntry },
  queue: { file: queue.file_eas_queue_queue, generated: queue, entry: queueEntry },
};

const isProto2 = (file: DescFile): boolean => file.edition === Edition.EDITION_PROTO2;

/**
 * The name of a type relative to a file: without its package, or with the format's name if it belongs to another
 * format.
 */
const localName = (type: DescMessage | DescEnum, from: DescFile): string =>
  type.typeName.replace(`${from.proto.package}.`, "").replace(/^eas\./, "");

/** The type of a field, in the notation of the tables. */
function fieldType(field: DescField, file: DescFile): string {
  const element = field.message ?? field.enum;
  const type = element ? localName(element, file) : ScalarType[field.scalar as ScalarType].toLowerCase();
  if (field.fieldKind === "map") return `map<${ScalarType[field.mapKey].toLowerCase()}, ${type}>`;
  if (field.fieldKind === "list") return `${type}*${field.packed ? " p" : ""}`;
  if (field.oneof) return `${field.oneof.name === "value" ? "oneof" : field.oneof.name} ${type}`;
  if (field.presence === FeatureSet_FieldPresence.LEGACY_REQUIRED) return `required ${type}`;
  // proto3 has a label only for fields declared `optional`. A message is always either absent or present.
  const explicit = field.presence === FeatureSet_FieldPresence.EXPLICIT && field.fieldKind !== "message";
  return isProto2(file) || explicit ? `optional ${type}` : type;
}

/** Describes a file as a sorted list of lines, in the notation of the tables. */
function describeFile(file: DescFile): string[] {
  const lines = [`${isProto2(file) ? "proto2" : "proto3"} ${file.proto.package}`];
  for (const type of nestedTypes(file)) {
    const name = type.typeName.replace(`${file.proto.package}.`, "");
    if (type.kind === "enum") {
      lines.push(`enum ${name} ${type.values.map((value) => `${value.name}=${value.number}`).join(" ")}`);
    } else if (type.kind === "message") {
      for (const field of type.fields) lines.push(`${name} ${field.number} ${field.name} ${fieldType(field, file)}`);
    } else lines.push(`unexpected ${type.kind} ${name}`);
  }
  return lines.sort();
}

const linesOf = (text: string): string[] => text.split("\n").filter(Boolean).sort();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe.each(Object.keys(TABLES) as Format[])("format %s", (format) => {
  const { file, generated, entry } = FORMATS[format];

  it("has the numbers, types, labels and packing of the official SDKs", () => {
    expect(describeFile(file)).toEqual(linesOf(TABLES[format]));
  });

  it("exports everything from its public entry, values and types", () => {
    const names = Object.keys(generated).filter((name) => !name.startsWith("file_"));
    expect(Object.keys(entry).sort()).toEqual(names.sort());

    // Types do not exist at run time, so they are read from the source.
    const text = readFileSync(new URL(`../../../src/proto/${format}.ts`, import.meta.url), "utf8");
    const types = /export type \{([^}]*)\}/.exec(text)?.[1]?.match(/\w+/g);
    const messages = [...nestedTypes(file)].filter((type) => type.kind === "message").map((type) => type.name);
    expect(types?.sort()).toEqual(messages.sort());
  });
});

describe("packing on the wire", () => {
  it("writes one length-delimited field for a packed list, in proto2 and proto3", () => {
    expect(hex(toBinary(tf.ArrayProtoSchema, create(tf.ArrayProtoSchema, { int64Val: [1n, 2n] })))).toBe("3a020102");
    expect(hex(toBinary(blade.ShapeSchema, create(blade.ShapeSchema, { dim: [1n, 2n] })))).toBe("0a020102");
    const floats = create(caffe.ArrayProtoSchema, { data: [1, 2] });
    expect(hex(toBinary(caffe.ArrayProtoSchema, floats))).toBe("12080000803f00000040");
  });

  it("reads unpacked lists too", () => {
    expect(fromBinary(blade.ShapeSchema, Buffer.from("08010802", "hex")).dim).toEqual([1n, 2n]);
    expect(fromBinary(tf.ArrayShapeSchema, Buffer.from("08010802", "hex")).dim).toEqual([1n, 2n]);
  });
});

describe("Blade (proto2)", () => {
  it("has the bytes of the official Python SDK for a request with one input and one output", () => {
    const request = create(blade.RequestSchema, {
      tfSignatureName: "sig",
      inputs: [{ bladeBlobName: "i", nameInDlModel: "i", batchsize: 1, shape: { dim: [1n] }, floatVal: [1] }],
      outputInfo: [{ bladeBlobName: "o", nameInDlModel: "o", dataType: blade.DataType.DT_FLOAT }],
    });
    const expected = "0a0373696712130a0169120169180122030a01012a040000803f1a080a016f12016f1801";
    expect(hex(toBinary(blade.RequestSchema, request))).toBe(expected);
  });

  it("has the bytes of the official Python SDK's TFRequest for an output of unknown type", () => {
    const request = create(blade.RequestSchema, {
      tfSignatureName: "sig",
      outputInfo: [{ bladeBlobName: "o", nameInDlModel: "o", dataType: blade.DataType.DT_UNKNOWN }],
    });
    expect(hex(toBinary(blade.RequestSchema, request))).toBe("0a037369671a080a016f12016f1800");
  });

  it("writes a field that was set to zero, and leaves out one that was not set", () => {
    const unknown = create(blade.OutputInfoSchema, { dataType: blade.DataType.DT_UNKNOWN });
    expect(hex(toBinary(blade.OutputInfoSchema, unknown))).toBe("1800");

    const unset = create(blade.OutputInfoSchema);
    expect(unset.dataType).toBe(blade.DataType.DT_UNKNOWN);
    expect(hex(toBinary(blade.OutputInfoSchema, unset))).toBe("");

    const { dataType } = blade.OutputInfoSchema.field;
    expect(isFieldSet(fromBinary(blade.OutputInfoSchema, new Uint8Array([0x18, 0])), dataType)).toBe(true);
    expect(isFieldSet(fromBinary(blade.OutputInfoSchema, new Uint8Array()), dataType)).toBe(false);
  });

  it("rejects an array without a batch size, and writes batch size 0", () => {
    expect(() => toBinary(blade.ArraySchema, create(blade.ArraySchema, { floatVal: [1] }))).toThrow(/batchsize/);
    expect(hex(toBinary(blade.ArraySchema, create(blade.ArraySchema, { batchsize: 0 })))).toBe("1800");
  });
});

describe("features (oneof)", () => {
  it.each([
    ["EasyRec", easyrec.PBFeatureSchema],
    ["TorchRec", torchrec.PBFeatureSchema],
  ] as const)("%s writes the empty text and zero if they are set", (_, schema) => {
    const feature = (value: { case: "stringFeature"; value: string } | { case: "intFeature"; value: number }): string =>
      hex(toBinary(schema, create(schema, { value })));
    expect(feature({ case: "stringFeature", value: "" })).toBe("1a00");
    expect(feature({ case: "intFeature", value: 0 })).toBe("0800");
    expect(hex(toBinary(schema, create(schema)))).toBe("");
  });
});
