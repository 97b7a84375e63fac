import { show } from "../../util/argument-errors.js";
import { type EncodedField, NOTHING, text } from "../protobuf/encoded-field.js";
import type { Bytes, RequestOptions } from "../request.js";
import { encodeTensorMap, TF } from "../tensor/array-proto.js";
import type { ContentOf, DType, TFDType } from "../tensor/dtype.js";
import { TensorRequest } from "../tensor/request.js";
import { checkName, listFeeds, toTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { TFResponse } from "./response.js";

/** Field numbers of `PredictRequest` in the official SDKs' `tf_predict` schema. */
const SIGNATURE_NAME = 1;
const INPUTS = 2;
const OUTPUT_FILTER = 3;

/**
 * A request with named tensors for a TensorFlow model. `predict` resolves with a `TFResponse`.
 *
 * @example
 * const request = new TFRequest("predict_images")
 *   .addFeed("images", [1, 784], "DT_FLOAT", new Float32Array(784))
 *   .addFetch("scores");
 * const response = await client.predict(request);
 * response.getValues("scores", "DT_FLOAT"); // Float32Array
 */
export class TFRequest extends TensorRequest<TFResponse> {
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
  /** `DT_BOOL`, under the name used in the official Python SDK's documentation. */
  static readonly TF_BOOL = "DT_BOOL";

  #signatureName: string;
  readonly #feeds = new Map<string, Tensor>();
  readonly #fetches: string[] = [];

  /** `signatureName` is the model's signature. Default: no signature is sent, and the service uses its default. */
  constructor(signatureName = "", options: RequestOptions = {}) {
    super("TFRequest", options);
    this.#signatureName = checkName("signatureName", signatureName);
  }

  /** Sets the model's signature. */
  setSignatureName(signatureName: string): this {
    this.#signatureName = checkName("signatureName", signatureName);
    return this;
  }

  /**
   * Sets an input. Replaces any input with the same name. `content` is one-dimensional, in C order. The array is not
   * copied; its values are read when `predict` is called. Throws a `TypeError` or `RangeError` that names the input if
   * shape, dtype and content do not match.
   */
  addFeed<D extends TFDType>(inputName: string, shape: readonly number[], dtype: D, content: ContentOf<D>): this;
  /** Sets an input to a tensor. */
  addFeed(inputName: string, tensor: Tensor): this;
  addFeed(inputName: string, first: readonly number[] | Tensor, dtype?: DType, content?: ContentOf<DType>): this {
    const of = `input ${show(checkName("inputName", inputName))}`;
    this.#feeds.set(inputName, toTensor(TF, first, dtype, content, of));
    return this;
  }

  /**
   * Requests an output. If no output is requested, a SavedModel returns all outputs. A frozen model requires at least
   * one.
   */
  addFetch(outputName: string): this {
    this.#fetches.push(checkName("outputName", outputName));
    return this;
  }

  override parseResponse(body: Bytes): TFResponse {
    return new TFResponse(body);
  }

  /** Describes the signature, the inputs with dtype and shape, and the requested outputs, for logs. */
  override toString(): string {
    return `TFRequest(${this.#signatureName}) { ${listFeeds(this.#feeds)} } → ${this.#fetches.join(", ") || "all outputs"}`;
  }

  /** @internal */
  protected override fields(): EncodedField[] {
    return [
      this.#signatureName === "" ? NOTHING : text(SIGNATURE_NAME, this.#signatureName),
      encodeTensorMap(TF, INPUTS, this.#feeds),
      ...this.#fetches.map((name) => text(OUTPUT_FILTER, name)),
    ];
  }
}
