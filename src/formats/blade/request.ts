import { show } from "../../util/argument-errors.js";
import type { Bytes, PredictRequest, RequestOptions } from "../request.js";
import type { BladeDType, ContentOf, DType } from "../tensor/dtype.js";
import { checkInt32, isTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { AbstractBladeRequest } from "./abstract-request.js";
import { type BladeNameOptions, type BladeScalarOf, toBladeTensor } from "./message.js";
import { BladeResponse } from "./response.js";

type Content = ContentOf<DType> | BladeScalarOf<BladeDType>;

/** A request of named tensors with a batch size each, for the Blade processor. Answers with a `BladeResponse`. */
export class BladeRequest extends AbstractBladeRequest implements PredictRequest<BladeResponse> {
  /** `signatureName`: the model's signature. Default: none is sent. */
  constructor(signatureName?: string, options: RequestOptions = {}) {
    super("BladeRequest", signatureName, options);
  }

  /**
   * Adds an input; each name once. `batchSize` is the number of samples, at least 1. `content` is one-dimensional, in C
   * order, or a single value for a shape of one element. It is not copied: what it holds when `predict` is called is
   * what is sent. Throws a `TypeError` or `RangeError` that names the input when something does not fit.
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
    this.message.feed(inputName, batchSize, tensor, isOptions ? dtypeOrOptions : options);
    return this;
  }

  /** Asks for an output, each name once. Without `dtype` its type is left to the model. */
  addFetch(outputName: string, dtype?: BladeDType, options?: BladeNameOptions): this {
    this.message.fetch(outputName, dtype, options);
    return this;
  }

  parseResponse(body: Bytes): BladeResponse {
    return new BladeResponse(body);
  }
}
