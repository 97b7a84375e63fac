// The tensor formats, each with this SDK's code and with the code that Buf generates. Tensors are `{ name, dtype,
// shape, values }`. The generated code has `contents`, as its messages need them.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { OnnxRequest, OnnxResponse, TFRequest, TFResponse, TorchRequest, TorchResponse } from "eas-prediction";
import { DataProtoSchema, TensorProto_DataType } from "eas-prediction/proto/onnx";
import * as tf from "eas-prediction/proto/tf";
import * as torch from "eas-prediction/proto/torch";
import { SIGNATURE } from "../data.mjs";

const FIELDS = {
  DT_FLOAT: "floatVal",
  DT_INT32: "intVal",
  DT_UINT8: "intVal",
  DT_INT64: "int64Val",
  DT_STRING: "stringVal",
};
const ARRAYS = { DT_FLOAT: Float32Array, DT_INT32: Int32Array, DT_UINT8: Uint8Array, DT_INT64: BigInt64Array };

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const dimensions = (shape) => shape.map(BigInt);

/** The content of an `ArrayProto`, and the values that a caller reads. */
const arrayContent = ({ dtype, values }) =>
  dtype === "DT_STRING" ? values.map((text) => encoder.encode(text)) : Array.from(values);
const arrayValues = (content, { dtype }) =>
  dtype === "DT_STRING" ? content.map((bytes) => decoder.decode(bytes)) : new ARRAYS[dtype](content);

const array = (dtypes, { dtype, shape }, content) => ({
  dtype: dtypes[dtype],
  arrayShape: { dim: dimensions(shape) },
  [FIELDS[dtype]]: content,
});

/** The members of each format. TF is an example. */
export const FORMATS = {
  TF: {
    request(tensors) {
      const request = new TFRequest(SIGNATURE);
      for (const { name, shape, dtype, values } of tensors) request.addFeed(name, shape, dtype, values);
      return request;
    },
    read(bytes, tensors) {
      const response = new TFResponse(bytes);
      return tensors.map(({ name, dtype }) =>
        dtype === "DT_STRING" ? response.getStrings(name) : response.getValues(name, dtype),
      );
    },
    /** The content of a tensor in the generated code, and the values that a caller reads. */
    contentOf: arrayContent,
    valuesOf: arrayValues,
    requestMessage: (tensors, contents) =>
      create(tf.PredictRequestSchema, { signatureName: SIGNATURE, inputs: tfMap(tensors, contents) }),
    encode: (message) => toBinary(tf.PredictRequestSchema, message),
    /** Returns a response with these tensors. */
    response: (tensors, contents) =>
      toBinary(tf.PredictResponseSchema, create(tf.PredictResponseSchema, { outputs: tfMap(tensors, contents) })),
    contents(bytes, tensors) {
      const { outputs } = fromBinary(tf.PredictResponseSchema, bytes);
      return tensors.map(({ name, dtype }) => outputs[name][FIELDS[dtype]]);
    },
  },
  Torch: {
    request(tensors) {
      const request = new TorchRequest();
      for (const [index, { shape, dtype, values }] of tensors.entries()) request.addFeed(index, shape, dtype, values);
      return request;
    },
    read(bytes, tensors) {
      const response = new TorchResponse(bytes);
      return tensors.map(({ dtype }, index) =>
        dtype === "DT_STRING" ? response.getStrings(index) : response.getValues(index, dtype),
      );
    },
    contentOf: arrayContent,
    valuesOf: arrayValues,
    requestMessage: (tensors, contents) =>
      create(torch.PredictRequestSchema, { inputs: torchArrays(tensors, contents) }),
    encode: (message) => toBinary(torch.PredictRequestSchema, message),
    response: (tensors, contents) =>
      toBinary(
        torch.PredictResponseSchema,
        create(torch.PredictResponseSchema, { outputs: torchArrays(tensors, contents) }),
      ),
    contents(bytes, tensors) {
      const { outputs } = fromBinary(torch.PredictResponseSchema, bytes);
      return tensors.map(({ dtype }, index) => outputs[index][FIELDS[dtype]]);
    },
  },
  /** The format stores values as raw memory, so the generated code has bytes. */
  ONNX: {
    request(tensors) {
      const request = new OnnxRequest();
      for (const { name, shape, dtype, values } of tensors) request.addTensor(name, shape, dtype, values);
      return request;
    },
    read(bytes, tensors) {
      const response = new OnnxResponse(bytes);
      return tensors.map(({ name, dtype }) => response.getValues(name, dtype));
    },
    contentOf: ({ values }) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    // Copied, because typed arrays need aligned memory.
    valuesOf: (content, { dtype }) => new ARRAYS[dtype](new Uint8Array(content).buffer),
    requestMessage: onnxMessage,
    encode: (message) => toBinary(DataProtoSchema, message),
    response: (tensors, contents) => toBinary(DataProtoSchema, onnxMessage(tensors, contents)),
    contents: (bytes) => fromBinary(DataProtoSchema, bytes).tensors.map(({ rawData }) => rawData),
  },
};

function tfMap(tensors, contents) {
  return Object.fromEntries(tensors.map((tensor, i) => [tensor.name, array(tf.ArrayDataType, tensor, contents[i])]));
}

function torchArrays(tensors, contents) {
  return tensors.map((tensor, i) => array(torch.ArrayDataType, tensor, contents[i]));
}

function onnxMessage(tensors, contents) {
  return create(DataProtoSchema, {
    tensors: tensors.map(({ name, shape, dtype }, i) => ({
      name,
      dims: dimensions(shape),
      dataType: TensorProto_DataType[dtype.slice(3)],
      rawData: contents[i],
    })),
  });
}
