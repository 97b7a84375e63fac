import { show } from "../../util/argument-errors.js";
import type { Bytes, RequestOptions } from "../request.js";
import type { BladeDType, ContentOf, DType } from "../tensor/dtype.js";
import type { Tensor } from "../tensor/tensor.js";
import { AbstractBladeRequest } from "./abstract-request.js";
import { type BladeScalarOf, toBladeTensor } from "./message.js";
import { BladeResponse } from "./response.js";

/**
 * A Blade request with the methods of a `TFRequest`. The batch size of each input is its first dimension, and outputs
 * are requested without a dtype. Corresponds to `eas_prediction.blade_tf_request.TFRequest` in the official Python SDK.
 */
export class BladeTFRequest extends AbstractBladeRequest<BladeTFResponse> {
  /** `signatureName` is the model's signature. Default: no signature is sent. */
  constructor(signatureName?: string, options: RequestOptions = {}) {
    super("BladeTFRequest", signatureName, options);
  }

  /**
   * Adds an input. Each name can be added only once. The shape must have at least one dimension. For `content`, see
   * `BladeRequest.addFeed`.
   */
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
    return this.feed(inputName, undefined, tensor);
  }

  /** Requests an output. Each name can be added only once. */
  addFetch(outputName: string): this {
    return this.fetch(outputName);
  }

  override parseResponse(body: Bytes): BladeTFResponse {
    return new BladeTFResponse(body);
  }
}

/** The response to a `BladeTFRequest`, with the methods of a `BladeResponse`. */
export class BladeTFResponse extends BladeResponse {}
