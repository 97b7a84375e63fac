import { show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { type EncodedField, inChunks, NOTHING, serialized, text } from "../protobuf/encoded-field.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { DTYPE_NUMBERS, encodeArray } from "../tensor/array-proto.js";
import type { ContentOf, DType, TFDType } from "../tensor/dtype.js";
import { checkName, listFeeds, toTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { encodeTensorMap } from "../tensor/tensor-map.js";
import { TFResponse } from "./response.js";

/** Field numbers of `PredictRequest` in the official SDKs' `tf_predict` schema. */
const SIGNATURE_NAME = 1;
const INPUTS = 2;
const OUTPUT_FILTER = 3;

/** A request of named tensors, for TensorFlow models. Answers with a `TFResponse`. */
export class TFRequest implements PredictRequest<TFResponse> {
  static readonly DT_FLOAT = "DT_FLOAT";
  static readonly DT_DOUBLE = "DT_DOUBLE";
  static readonly DT_INT8 = "DT_INT8";
  static readonly DT_INT16 = "DT_INT16";
  static readonly DT_INT32 = "DT_INT32";
  static readonly DT_INT64 = "DT_INT64";
  static readonly DT_UINT8 = "DT_UINT8";
  static readonly DT_UINT16 = "DT_UINT16";
  static readonly DT_QINT8 = "DT_QINT8";
  static readonly DT_QINT16 = "DT_QINT16";
  static readonly DT_QINT32 = "DT_QINT32";
  static readonly DT_QUINT8 = "DT_QUINT8";
  static readonly DT_QUINT16 = "DT_QUINT16";
  static readonly DT_HALF = "DT_HALF";
  static readonly DT_BFLOAT16 = "DT_BFLOAT16";
  static readonly DT_COMPLEX64 = "DT_COMPLEX64";
  static readonly DT_COMPLEX128 = "DT_COMPLEX128";
  static readonly DT_STRING = "DT_STRING";
  static readonly DT_BOOL = "DT_BOOL";
  /** So named on the page of the official Python SDK; it is `DT_BOOL`. */
  static readonly TF_BOOL = "DT_BOOL";

  readonly compression: Compression | undefined;
  #signatureName: string;
  readonly #feeds = new Map<string, Tensor>();
  readonly #fetches: string[] = [];

  /** `signatureName`: the model's signature. Default: none is sent, and the service takes its own default. */
  constructor(signatureName = "", options: RequestOptions = {}) {
    checkRequestOptions("TFRequest", options);
    this.compression = options.compression;
    showAsText(this);
    this.#signatureName = checkName("signatureName", signatureName);
  }

  /** Sets the model's signature. */
  setSignatureName(signatureName: string): this {
    this.#signatureName = checkName("signatureName", signatureName);
    return this;
  }

  /**
   * Sets an input; one of the same name is replaced. `content` is one-dimensional, in C order. It is not copied: what it
   * holds when `predict` is called is what is sent. Throws a `TypeError` or `RangeError` that names the input when shape,
   * dtype and content do not fit.
   */
  addFeed<D extends TFDType>(inputName: string, shape: readonly number[], dtype: D, content: ContentOf<D>): this;
  /** Sets an input to a tensor. */
  addFeed(inputName: string, tensor: Tensor): this;
  addFeed(inputName: string, first: readonly number[] | Tensor, dtype?: DType, content?: ContentOf<DType>): this {
    const of = `input ${show(checkName("inputName", inputName))}`;
    const tensor = toTensor(DTYPE_NUMBERS, first, dtype, content, of);
    encodeArray("tf", INPUTS, tensor, of);
    this.#feeds.set(inputName, tensor);
    return this;
  }

  /** Asks for an output. Without any, a SavedModel answers with all of them; frozen models need them named. */
  addFetch(outputName: string): this {
    this.#fetches.push(checkName("outputName", outputName));
    return this;
  }

  /** The serialized request. Checks all content again, since feeds refer to the caller's arrays. */
  toBinary(): Bytes {
    return serialized(this.#parts());
  }

  /** As `toBinary`, in pieces: large arrays of the dtype's own kind are among them as they are. */
  toChunks(): Bytes[] {
    return inChunks(this.#parts());
  }

  parseResponse(body: Bytes): TFResponse {
    return new TFResponse(body);
  }

  /** For people: signature, inputs with dtype and shape, and fetched outputs. */
  toString(): string {
    return `TFRequest(${this.#signatureName}) { ${listFeeds(this.#feeds)} } → ${this.#fetches.join(", ") || "all outputs"}`;
  }

  #parts(): EncodedField[] {
    return [
      this.#signatureName === "" ? NOTHING : text(SIGNATURE_NAME, this.#signatureName),
      encodeTensorMap(INPUTS, this.#feeds, "tf"),
      ...this.#fetches.map((name) => text(OUTPUT_FILTER, name)),
    ];
  }
}
