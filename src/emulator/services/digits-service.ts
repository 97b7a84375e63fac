import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Bytes } from "../../formats/request.js";
import {
  DataType as BladeDataType,
  RequestSchema as BladeRequestSchema,
  ResponseSchema as BladeResponseSchema,
} from "../../gen/eas/blade/blade_pb.js";
import {
  PredictRequestSchema as CaffeRequestSchema,
  PredictResponseSchema as CaffeResponseSchema,
} from "../../gen/eas/caffe/caffe_pb.js";
import { DataProtoSchema, TensorProto_DataType } from "../../gen/eas/onnx/onnx_pb.js";
import { ArrayDataType, PredictRequestSchema, PredictResponseSchema } from "../../gen/eas/tf/tf_pb.js";
import {
  ArrayDataType as TorchDataType,
  PredictRequestSchema as TorchRequestSchema,
  PredictResponseSchema as TorchResponseSchema,
} from "../../gen/eas/torch/torch_pb.js";
import { classifyDigits } from "../models/digits.js";
import { createResponse } from "../response.js";

const PIXELS = 64;
const CLASSES = 10;
const INPUT = "images";
/** The signature names that the model accepts; requests may omit the name. */
const SIGNATURES: readonly string[] = ["", "serving_default", "predict_images"];

interface Images {
  readonly isFloat: boolean;
  readonly dims: readonly bigint[];
  readonly values: ArrayLike<number>;
}

interface Classified {
  readonly scores: { readonly dims: bigint[]; readonly values: Float32Array };
  readonly labels: { readonly dims: bigint[]; readonly values: bigint[] };
}

/** Runs the model for a request in one format. Returns undefined if the body is in another format. */
type Format = (body: Bytes) => Bytes | undefined;

// Torch must be last, because its requests do not have input names that distinguish them from other formats.
const FORMATS: readonly Format[] = [predictTf, predictBlade, predictOnnx, predictCaffe, predictTorch];

/** Returns the model's inputs and outputs, in the form in which EAS's TensorFlow processor responds to a GET request. */
export function digitsSignature(): Response {
  const signature = {
    inputs: [{ name: INPUT, shape: [-1, PIXELS], type: "DT_FLOAT" }],
    outputs: [
      { name: "scores", shape: [-1, CLASSES], type: "DT_FLOAT" },
      { name: "labels", shape: [-1], type: "DT_INT64" },
    ],
    signature_name: "predict_images",
  };
  return createResponse(200, JSON.stringify(signature), { "content-type": "application/json" });
}

/** Classifies images with the digits model, in any of the supported request formats. */
export function classifyImages(body: Bytes): Bytes {
  for (const predict of FORMATS) {
    const response = predict(body);
    if (response !== undefined) return response;
  }
  throw new Error(`the body is not a TF, Torch, Blade, Caffe or ONNX request with an input "${INPUT}"`);
}

/** Parses a message; undefined if the bytes do not match this schema. */
function parse<D extends DescMessage>(schema: D, body: Bytes): MessageShape<D> | undefined {
  try {
    return fromBinary(schema, body);
  } catch {
    return undefined;
  }
}

function predictTf(body: Bytes): Bytes | undefined {
  const request = parse(PredictRequestSchema, body);
  if (request === undefined) return undefined;
  const { signatureName, inputs, outputFilter } = request;
  if (Object.keys(inputs).length === 0 || Object.values(inputs).some(({ dtype }) => dtype === 0)) return undefined;
  checkSignature(signatureName);
  if (!Object.hasOwn(inputs, INPUT)) throw new Error(`the input must be named "${INPUT}"`);
  const { dtype, arrayShape, floatVal } = inputs[INPUT] as (typeof inputs)[string];
  const { scores, labels } = classify({
    isFloat: dtype === ArrayDataType.DT_FLOAT,
    dims: arrayShape?.dim ?? [],
    values: floatVal,
  });
  const outputs = {
    scores: { dtype: ArrayDataType.DT_FLOAT, arrayShape: { dim: scores.dims }, floatVal: Array.from(scores.values) },
    labels: { dtype: ArrayDataType.DT_INT64, arrayShape: { dim: labels.dims }, int64Val: labels.values },
  };
  const selected = selectOutputs(outputs, outputFilter);
  return toBinary(PredictResponseSchema, create(PredictResponseSchema, { outputs: Object.fromEntries(selected) }));
}

function predictTorch(body: Bytes): Bytes | undefined {
  const request = parse(TorchRequestSchema, body);
  if (request === undefined) return undefined;
  const { inputs, outputFilter } = request;
  const [images] = inputs;
  if (images === undefined || inputs.length !== 1) throw new Error(`${inputs.length} inputs: the model takes one`);
  const { scores, labels } = classify({
    isFloat: images.dtype === TorchDataType.DT_FLOAT,
    dims: images.arrayShape?.dim ?? [],
    values: images.floatVal,
  });
  const outputs = [
    { dtype: TorchDataType.DT_FLOAT, arrayShape: { dim: scores.dims }, floatVal: Array.from(scores.values) },
    { dtype: TorchDataType.DT_INT64, arrayShape: { dim: labels.dims }, int64Val: labels.values },
  ];
  const unknown = outputFilter.find((index) => outputs[index] === undefined);
  if (unknown !== undefined) throw new Error(`unknown output ${unknown}: the outputs are 0 and 1`);
  const selected = outputFilter.length === 0 ? outputs : outputFilter.map((index) => outputs[index]!);
  return toBinary(TorchResponseSchema, create(TorchResponseSchema, { outputs: selected }));
}

function predictBlade(body: Bytes): Bytes | undefined {
  const request = parse(BladeRequestSchema, body);
  const input = request?.inputs.find(({ nameInDlModel }) => nameInDlModel === INPUT);
  if (request === undefined || input === undefined) return undefined;
  checkSignature(request.tfSignatureName);
  if (BigInt(input.batchsize) !== input.shape?.dim[0]) {
    throw new Error(`batch size ${input.batchsize}: it must be the first dimension of [${input.shape?.dim ?? ""}]`);
  }
  const { scores, labels } = classify({ isFloat: true, dims: input.shape.dim, values: input.floatVal });
  const { batchsize } = input;
  const outputs = {
    scores: { ...named("scores"), batchsize, shape: { dim: scores.dims }, floatVal: Array.from(scores.values) },
    labels: { ...named("labels"), batchsize, shape: { dim: labels.dims }, int64Val: labels.values },
  };
  const types = { scores: BladeDataType.DT_FLOAT, labels: BladeDataType.DT_INT64 };
  for (const { nameInDlModel, dataType } of request.outputInfo) {
    const type = Object.hasOwn(types, nameInDlModel) ? types[nameInDlModel as "scores"] : undefined;
    if (dataType !== BladeDataType.DT_UNKNOWN && type !== undefined && dataType !== type) {
      throw new Error(`output "${nameInDlModel}" has the type ${type}, not ${dataType}`);
    }
  }
  const selected = selectOutputs(
    outputs,
    request.outputInfo.map(({ nameInDlModel }) => nameInDlModel),
  );
  return toBinary(BladeResponseSchema, create(BladeResponseSchema, { outputs: selected.map(([, output]) => output) }));
}

function named(name: string): { bladeBlobName: string; nameInDlModel: string } {
  return { bladeBlobName: name, nameInDlModel: name };
}

function predictOnnx(body: Bytes): Bytes | undefined {
  const request = parse(DataProtoSchema, body);
  const input = request?.tensors.find(({ name }) => name === INPUT);
  if (input === undefined) return undefined;
  const { dataType, dims, rawData } = input;
  if (rawData.length % 4 !== 0) throw new Error(`${rawData.length} bytes: the images must be FLOAT`);
  const { scores, labels } = classify({
    isFloat: dataType === TensorProto_DataType.FLOAT,
    dims,
    values: floatsOf(rawData),
  });
  return toBinary(
    DataProtoSchema,
    create(DataProtoSchema, {
      tensors: [
        {
          name: "scores",
          dims: scores.dims,
          dataType: TensorProto_DataType.FLOAT,
          rawData: new Uint8Array(scores.values.buffer),
        },
        {
          name: "labels",
          dims: labels.dims,
          dataType: TensorProto_DataType.INT64,
          rawData: new Uint8Array(BigInt64Array.from(labels.values).buffer),
        },
      ],
    }),
  );
}

function floatsOf(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
}

function predictCaffe(body: Bytes): Bytes | undefined {
  const request = parse(CaffeRequestSchema, body);
  const index = request?.inputName.indexOf(INPUT) ?? -1;
  if (request === undefined || index === -1) return undefined;
  const input = request.inputData[index];
  const { scores, labels } = classify({ isFloat: true, dims: input?.shape?.dim ?? [], values: input?.data ?? [] });
  const outputs = {
    scores: { shape: { dim: scores.dims }, data: Array.from(scores.values) },
    labels: { shape: { dim: labels.dims }, data: labels.values.map(Number) },
  };
  const selected = selectOutputs(outputs, request.outputFilter);
  return toBinary(
    CaffeResponseSchema,
    create(CaffeResponseSchema, {
      outputName: selected.map(([name]) => name),
      outputData: selected.map(([, output]) => output),
    }),
  );
}

function checkSignature(signatureName: string): void {
  if (!SIGNATURES.includes(signatureName)) throw new Error(`unknown signature "${signatureName}"`);
}

/** Selects the requested outputs, or all outputs if the request has no filter. */
function selectOutputs<S, L>(
  outputs: { readonly scores: S; readonly labels: L },
  filter: readonly string[],
): [string, S | L][] {
  const unknown = filter.find((name) => !Object.hasOwn(outputs, name));
  if (unknown !== undefined) throw new Error(`unknown output "${unknown}": the outputs are scores and labels`);
  return Object.entries<S | L>(outputs).filter(([name]) => filter.length === 0 || filter.includes(name));
}

function classify({ isFloat, dims: bigDims, values }: Images): Classified {
  const dims = bigDims.map(Number);
  if (!isFloat) throw new Error("the images must be DT_FLOAT");
  if (dims.length !== 2 || dims[1] !== PIXELS || (dims[0] as number) * PIXELS !== values.length) {
    throw new Error(`shape [${dims.join(", ")}] with ${values.length} values: the images must be [n, ${PIXELS}]`);
  }
  const count = dims[0] as number;
  const scores = classifyDigits(Float32Array.from(values), count);
  const labels = Array.from({ length: count }, (_, image) => {
    const row = scores.subarray(image * CLASSES, (image + 1) * CLASSES);
    return BigInt(row.indexOf(Math.max(...row)));
  });
  return {
    scores: { dims: [BigInt(count), BigInt(CLASSES)], values: scores },
    labels: { dims: [BigInt(count)], values: labels },
  };
}
