import { show } from "../../util/argument-errors.js";
import { type EncodedField, int32, message, packedSizes, text } from "../protobuf/encoded-field.js";
import type { Bytes, RequestOptions } from "../request.js";
import { checkTensor } from "../tensor/check-values.js";
import type { ContentOf, DType, OnnxDType } from "../tensor/dtype.js";
import { TensorRequest } from "../tensor/request.js";
import { checkFullName, listFeeds, toTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { OnnxResponse } from "./response.js";
import { encodeMemory, MEMORY, ONNX, type OnnxContentOf } from "./values.js";

/** Field numbers of `DataProto` and `TensorProto` in the official Python SDK's `onnx_processor_data` schema. */
const TENSORS = 1;
const NAME = 1;
const DIMS = 2;
const DATA_TYPE = 3;
const RAW_DATA = 5;

/**
 * A request with named tensors for the ONNX processor (HIE). `predict` resolves with an `OnnxResponse`.
 *
 * @example
 * const request = new OnnxRequest().addTensor("x", [1, 3], "DT_FLOAT", [0.1, 0.2, 0.3]);
 * const response = await client.predict(request);
 * response.getValues(0, "DT_FLOAT"); // Float32Array
 */
export class OnnxRequest extends TensorRequest<OnnxResponse> {
  static readonly DT_FLOAT = "DT_FLOAT";
  static readonly DT_DOUBLE = "DT_DOUBLE";
  static readonly DT_HALF = "DT_HALF";
  static readonly DT_INT8 = "DT_INT8";
  static readonly DT_INT16 = "DT_INT16";
  static readonly DT_INT32 = "DT_INT32";
  static readonly DT_INT64 = "DT_INT64";
  static readonly DT_UINT8 = "DT_UINT8";
  static readonly DT_UINT16 = "DT_UINT16";
  static readonly DT_UINT32 = "DT_UINT32";
  static readonly DT_UINT64 = "DT_UINT64";

  readonly #tensors = new Map<string, Tensor>();

  constructor(options: RequestOptions = {}) {
    super("OnnxRequest", options);
  }

  /**
   * Sets an input. An existing input with the same name is replaced and keeps its position. `content` is
   * one-dimensional, in C order. The array is not copied; its values are read when `predict` is called. For DT_HALF,
   * pass a `Float16Array`, or the bits of the values as a `Uint16Array`. Throws a `TypeError` or `RangeError` that
   * names the input if shape, dtype and content do not match.
   */
  addTensor<D extends OnnxDType>(
    inputName: string,
    shape: readonly number[],
    dtype: D,
    content: OnnxContentOf<D>,
  ): this;
  /** Sets an input to a tensor. */
  addTensor(inputName: string, tensor: Tensor): this;
  addTensor(inputName: string, first: readonly number[] | Tensor, dtype?: DType, content?: ContentOf<DType>): this {
    checkFullName("inputName", inputName);
    this.#tensors.set(inputName, toTensor(ONNX, first, dtype, content, `input ${show(inputName)}`));
    return this;
  }

  override parseResponse(body: Bytes): OnnxResponse {
    return new OnnxResponse(body);
  }

  /** Describes the inputs with dtype and shape, for logs. */
  override toString(): string {
    return `OnnxRequest { ${listFeeds(this.#tensors)} }`;
  }

  /** @internal */
  protected override fields(): EncodedField[] {
    return Array.from(this.#tensors, ([name, tensor]) => encodeTensor(name, tensor));
  }
}

function encodeTensor(name: string, tensor: Tensor): EncodedField {
  const dtype = checkTensor(ONNX, tensor, `input ${show(name)}`);
  return message(TENSORS, [
    text(NAME, name),
    packedSizes(DIMS, tensor.shape),
    int32(DATA_TYPE, MEMORY[dtype].number),
    encodeMemory(RAW_DATA, tensor.data, dtype),
  ]);
}
