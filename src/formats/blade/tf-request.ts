import { show } from "../../util/argument-errors.js";
import type { Bytes, PredictRequest, RequestOptions } from "../request.js";
import type { BladeDType, ContentOf, DType } from "../tensor/dtype.js";
import type { Tensor } from "../tensor/tensor.js";
import { AbstractBladeRequest } from "./abstract-request.js";
import { type BladeScalarOf, toBladeTensor } from "./message.js";
import { BladeResponse } from "./response.js";

/**
 * A Blade request with the methods of a `TFRequest`: the batch size of each input is its first dimension, and outputs are
 * fetched without a type. In the official Python SDK it is `eas_prediction.blade_tf_request.TFRequest`.
 */
export class BladeTFRequest extends AbstractBladeRequest implements PredictRequest<BladeTFResponse> {
  /** `signatureName`: the model's signature. Default: none is sent. */
  constructor(signatureName?: string, options: RequestOptions = {}) {
    super("BladeTFRequest", signatureName, options);
  }

  /** Adds an input; each name once. The shape has at least one dimension. Otherwise as `BladeRequest.addFeed`. */
  addFeed<D extends BladeDType>(
    inputName: string,
    shape: readonly number[],
    dtype: D,
    content: ContentOf<D> | BladeScalarOf<D>,
  ): this;
  /** Adds a tensor as an input. */
  addFeed(inputName: string, tensor: Tensor): this;
  addFeed(
    inputName: string,
    first: readonly number[] | Tensor,
    dtype?: BladeDType,
    content?: ContentOf<DType> | BladeScalarOf<BladeDType>,
  ): this {
    const tensor = toBladeTensor(first, dtype, content, `input ${show(inputName)}`);
    this.message.feed(inputName, undefined, tensor, undefined);
    return this;
  }

  /** Asks for an output, each name once. */
  addFetch(outputName: string): this {
    this.message.fetch(outputName, undefined, undefined);
    return this;
  }

  parseResponse(body: Bytes): BladeTFResponse {
    return new BladeTFResponse(body);
  }
}

/** The outputs of a model that Blade has optimised; as `BladeResponse`. */
export class BladeTFResponse extends BladeResponse {}
