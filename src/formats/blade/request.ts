import { show } from "../../util/argument-errors.js";
import type { Bytes, RequestOptions } from "../request.js";
import type { BladeDType, ContentOf, DType } from "../tensor/dtype.js";
import { checkInt32, isTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { AbstractBladeRequest } from "./abstract-request.js";
import { type BladeNameOptions, type BladeScalarOf, toBladeTensor } from "./message.js";
import { BladeResponse } from "./response.js";

type Content = ContentOf<DType> | BladeScalarOf<BladeDType>;

/**
 * A request with named tensors, each with a batch size, for the Blade processor. `predict` resolves with a `BladeResponse`.
 *
 * @example
 * const request = new BladeRequest().addFeed("x", 1, [1, 3], "DT_FLOAT", [0.1, 0.2, 0.3]).addFetch("y", "DT_FLOAT");
 * const response = await client.predict(request);
 * response.getValues("y", "DT_FLOAT"); // Float32Array
 */
export class BladeRequest extends AbstractBladeRequest<BladeResponse> {
  /** `signatureName` is the model's signature. Default: no signature is sent. */
  constructor(signatureName?: string, options: RequestOptions = {}) {
    super("BladeRequest", signatureName, options);
  }

  /**
   * Adds an input. Each name can be added only once. `batchSize` is the number of samples, at least 1. `content` is
   * one-dimensional, in C order, or a single value if the shape has one element. An array is not copied; its values are
   * read when `predict` is called. Throws a `TypeError` or `RangeError` that names the input if the arguments do not
   * match.
   */
  addFeed<D extends BladeDType>(
    inputName: string,
    batchSize: number,
    shape: readonly number[],
    dtype: D,
    content: ContentOf<D> | BladeScalarOf<D>,
    options?: BladeNameOptions,
  ): this;
  /** Adds a tensor as an input. */
  addFeed(inputName: string, batchSize: number, tensor: Tensor, options?: BladeNameOptions): this;
  addFeed(
    inputName: string,
    batchSize: number,
    first: readonly number[] | Tensor,
    dtypeOrOptions?: BladeDType | BladeNameOptions,
    content?: Content,
    options?: BladeNameOptions,
  ): this {
    const of = `input ${show(inputName)}`;
    checkInt32(`${of}: batchSize`, batchSize, 1);
    const isOptions = isTensor(first) && typeof dtypeOrOptions === "object";
    const tensor = toBladeTensor(first, isOptions ? undefined : (dtypeOrOptions as BladeDType), content, of);
    return this.feed(inputName, batchSize, tensor, isOptions ? dtypeOrOptions : options);
  }

  /** Requests an output. Each name can be added only once. If `dtype` is omitted, the model chooses the dtype. */
  addFetch(outputName: string, dtype?: BladeDType, options?: BladeNameOptions): this {
    return this.fetch(outputName, dtype, options);
  }

  override parseResponse(body: Bytes): BladeResponse {
    return new BladeResponse(body);
  }
}
