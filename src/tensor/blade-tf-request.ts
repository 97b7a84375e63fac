import { checkOptionsObject, show } from "../errors.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { BladeMessage, type BladeScalarOf, toBladeTensor } from "./blade-message.js";
import { BladeResponse } from "./blade-response.js";
import type { BladeDType, ContentOf, DType } from "./dtype.js";
import { checkName, listFeeds } from "./feeds.js";
import type { Tensor } from "./tensor.js";

/**
 * A Blade request with the methods of a `TFRequest`: the batch size of each input is its first dimension, and outputs are
 * fetched without a type. In the official Python SDK it is `eas_prediction.blade_tf_request.TFRequest`.
 */
export class BladeTFRequest implements PredictRequest<BladeTFResponse> {
  static readonly DT_FLOAT = "DT_FLOAT";
  static readonly DT_INT32 = "DT_INT32";
  static readonly DT_INT64 = "DT_INT64";
  static readonly DT_STRING = "DT_STRING";

  readonly compression: Compression | undefined;
  #signatureName: string | undefined;
  readonly #message = new BladeMessage();

  /** `signatureName`: the model's signature. Default: none is sent. */
  constructor(signatureName?: string, options: RequestOptions = {}) {
    checkOptionsObject("BladeTFRequest", options);
    this.compression = options.compression;
    this.#signatureName = signatureName === undefined ? undefined : checkName("signatureName", signatureName);
  }

  /** Sets the model's signature. */
  setSignatureName(signatureName: string): this {
    this.#signatureName = checkName("signatureName", signatureName);
    return this;
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
    this.#message.feed(inputName, undefined, tensor, undefined);
    return this;
  }

  /** Asks for an output, each name once. */
  addFetch(outputName: string): this {
    this.#message.fetch(outputName, undefined, undefined);
    return this;
  }

  /** The serialised request. Checks all content again, since feeds refer to the caller's arrays. */
  toBinary(): Bytes {
    return this.#message.serialised(this.#signatureName);
  }

  parseResponse(body: Bytes): BladeTFResponse {
    return new BladeTFResponse(body);
  }

  /** For people: signature, inputs with dtype and shape, and fetched outputs. */
  toString(): string {
    const { feeds, fetches } = this.#message;
    const inputs = listFeeds(Array.from(feeds, ([name, { tensor }]) => [name, tensor] as const));
    return `BladeTFRequest(${this.#signatureName ?? ""}) { ${inputs} } → ${[...fetches.keys()].join(", ") || "all outputs"}`;
  }
}

/** The outputs of a model that Blade has optimised; as `BladeResponse`. */
export class BladeTFResponse extends BladeResponse {}
