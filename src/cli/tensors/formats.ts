import {
  BladeTFRequest,
  CaffeRequest,
  type DType,
  type NamedTensorResponse,
  OnnxRequest,
  type OnnxResponse,
  type PredictRequest,
  type Tensor,
  TFRequest,
  TorchRequest,
  type TorchResponse,
  toFloat16,
  type ValuesOf,
} from "eas-prediction";
import { usageError } from "../exit-codes.js";
import type { NamedTensor } from "./tensor-spec.js";

/** The formats of tensor requests. */
export const TENSOR_FORMATS = ["tf", "torch", "onnx", "blade", "caffe"] as const;
export type TensorFormat = (typeof TENSOR_FORMATS)[number];

/** An output of a model. Outputs without a name have their position as the name. */
export interface Output {
  readonly name: string;
  readonly tensor: Tensor<DType, ValuesOf<DType>>;
}

/** A request in one format, and the function that reads the outputs of its response. */
export interface TensorCall {
  readonly request: PredictRequest<TensorJson>;
  readonly outputs: (response: TensorJson) => Output[];
}

/** A response with tensors, as JSON. */
export interface TensorJson {
  toJSON(): Record<string, unknown>;
}

interface Model {
  readonly signature: string | undefined;
  readonly inputs: readonly NamedTensor[];
  readonly fetches: readonly string[];
}

/** Creates a request. Throws a usage error for options that the format does not support. */
export function createTensorCall(format: TensorFormat, model: Model): TensorCall {
  if (model.signature !== undefined && format !== "tf" && format !== "blade") {
    throw usageError(`--signature needs --format tf or blade: the format ${format} has no signatures`);
  }
  return BUILDERS[format](model);
}

const BUILDERS: Readonly<Record<TensorFormat, (model: Model) => TensorCall>> = {
  tf({ signature, inputs, fetches }) {
    const request = new TFRequest(signature);
    for (const { name, tensor } of inputs) request.addFeed(name, tensor);
    for (const name of fetches) request.addFetch(name);
    return { request, outputs: (response) => namedOutputs(response as unknown as NamedTensorResponse) };
  },
  blade({ signature, inputs, fetches }) {
    const request = new BladeTFRequest(signature);
    for (const { name, tensor } of inputs) request.addFeed(name, tensor);
    for (const name of fetches) request.addFetch(name);
    return { request, outputs: (response) => namedOutputs(response as unknown as NamedTensorResponse) };
  },
  caffe({ inputs, fetches }) {
    const request = new CaffeRequest();
    for (const { name, tensor } of inputs) request.addFeed(name, tensor);
    for (const name of fetches) request.addFetch(name);
    return { request, outputs: (response) => namedOutputs(response as unknown as NamedTensorResponse) };
  },
  torch({ inputs, fetches }) {
    const request = new TorchRequest();
    for (const { name, tensor } of inputs) {
      if (/^\d+$/.test(name)) request.addFeed(Number(name), tensor);
      else request.addFeedMap(name, tensor);
    }
    for (const name of fetches) {
      if (!/^-?\d+$/.test(name)) {
        throw usageError(`--fetch ${name}: the format torch identifies outputs by position, such as 0`);
      }
      request.addFetch(Number(name));
    }
    return {
      request,
      outputs: (response) => {
        const torch = response as unknown as TorchResponse;
        const byPosition = Array.from({ length: torch.outputCount }, (_, i) => ({
          name: String(i),
          tensor: torch.getTensor(i),
        }));
        return [...byPosition, ...torch.outputNames.map((name) => ({ name, tensor: torch.getTensorMap(name) }))];
      },
    };
  },
  onnx({ inputs, fetches }) {
    if (fetches.length > 0) throw usageError("--fetch: the format onnx returns all outputs. Choose one with --select");
    const request = new OnnxRequest();
    for (const { name, tensor } of inputs) request.addTensor(name, halfBits(tensor));
    return {
      request,
      outputs: (response) => {
        const onnx = response as unknown as OnnxResponse;
        return onnx.outputNames.map((name, i) => ({ name, tensor: onnx.getTensor(i) }));
      },
    };
  },
};

function namedOutputs(response: NamedTensorResponse): Output[] {
  return response.outputNames.map((name) => ({ name, tensor: response.getTensor(name) }));
}

/** The other formats send DT_HALF values as floats; ONNX sends their bits. */
function halfBits(tensor: Tensor): Tensor {
  const { dtype, shape, data } = tensor;
  return dtype === "DT_HALF" ? { dtype, shape, data: toFloat16(data as Float32Array) } : tensor;
}
