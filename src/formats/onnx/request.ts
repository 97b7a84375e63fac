import { show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import {
  type EncodedField,
  inChunks,
  int32,
  message,
  packedSizes,
  serialized,
  text,
} from "../protobuf/encoded-field.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { type ContentOf, checkDTypeOf, type DType, type OnnxDType } from "../tensor/dtype.js";
import { checkFullName, listFeeds, toTensor } from "../tensor/request-inputs.js";
import { checkShape, type Tensor } from "../tensor/tensor.js";
import { OnnxResponse } from "./response.js";
import { encodeMemory, MEMORY, type OnnxContentOf } from "./values.js";

/** Field numbers of `DataProto` and `TensorProto` in the official Python SDK's `onnx_processor_data` schema. */
const TENSORS = 1;
const NAME = 1;
const DIMS = 2;
const DATA_TYPE = 3;
const RAW_DATA = 5;

/** A request of named tensors, for the ONNX (HIE) processor. Answers with an `OnnxResponse`. */
export class OnnxRequest implements PredictRequest<OnnxResponse> {
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

  readonly compression: Compression | undefined;
  readonly #tensors = new Map<string, Tensor>();

  constructor(options: RequestOptions = {}) {
    checkRequestOptions("OnnxRequest", options);
    this.compression = options.compression;
    showAsText(this);
  }

  /**
   * Sets an input; one of the same name is replaced, at its place. `content` is one-dimensional, in C order. It is not
   * copied: what it holds when `predict` is called is what is sent. A typed array of the dtype's own kind is sent as the
   * memory that it is; DT_HALF takes a `Float16Array` or its bits. Throws a `TypeError` or `RangeError` that names the
   * input when shape, dtype and content do not fit.
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
    const tensor = toTensor(MEMORY, first, dtype, content, `input ${show(inputName)}`);
    encodeTensor(inputName, tensor);
    this.#tensors.set(inputName, tensor);
    return this;
  }

  /** The serialized request. Checks all content again, since tensors refer to the caller's arrays. */
  toBinary(): Bytes {
    return serialized(this.#parts());
  }

  /** As `toBinary`, in pieces: large arrays of the dtype's own kind are among them as they are. */
  toChunks(): Bytes[] {
    return inChunks(this.#parts());
  }

  parseResponse(body: Bytes): OnnxResponse {
    return new OnnxResponse(body);
  }

  /** For people: inputs with dtype and shape. */
  toString(): string {
    return `OnnxRequest { ${listFeeds(this.#tensors)} }`;
  }

  #parts(): EncodedField[] {
    return Array.from(this.#tensors, ([name, tensor]) => encodeTensor(name, tensor));
  }
}

function encodeTensor(name: string, tensor: Tensor): EncodedField {
  const of = `input ${show(name)}`;
  const { shape, data } = tensor;
  const dtype = checkDTypeOf(MEMORY, tensor.dtype, of);
  checkShape(shape, data, dtype, of);
  return message(TENSORS, [
    text(NAME, name),
    packedSizes(DIMS, shape),
    int32(DATA_TYPE, MEMORY[dtype].number),
    encodeMemory(RAW_DATA, data, dtype, of),
  ]);
}
