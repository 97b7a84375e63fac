import { checkOptionsObject, show } from "../errors.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { BladeMessage, type BladeNameOptions, type BladeScalarOf, toBladeTensor } from "./blade-message.js";
import { BladeResponse } from "./blade-response.js";
import type { BladeDType, ContentOf, DType } from "./dtype.js";
import { checkInt32, checkName, isTensor, listFeeds } from "./feeds.js";
import type { Tensor } from "./tensor.js";

type Content = ContentOf<DType> | BladeScalarOf<BladeDType>;

/** A request of named tensors with a batch size each, for the Blade processor. Answers with a `BladeResponse`. */
export class BladeRequest implements PredictRequest<BladeResponse> {
  static readonly DT_FLOAT = "DT_FLOAT";
  static readonly DT_INT32 = "DT_INT32";
  static readonly DT_INT64 = "DT_INT64";
  static readonly DT_STRING = "DT_STRING";

  readonly compression: Compression | undefined;
  #signatureName: string | undefined;
  readonly #message = new BladeMessage();

  /** `signatureName`: the model's signature. Default: none is sent. */
  constructor(signatureName?: string, options: RequestOptions = {}) {
    checkOptionsObject("BladeRequest", options);
    this.compression = options.compression;
    this.#signatureName = signatureName === undefined ? undefined : checkName("signatureName", signatureName);
  }

  /** Sets the model's signature. */
  setSignatureName(signatureName: string): this {
    this.#signatureName = checkName("signatureName", signatureName);
    return this;
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
    this.#message.feed(inputName, batchSize, tensor, isOptions ? dtypeOrOptions : options);
    return this;
  }

  /** Asks for an output, each name once. Without `dtype` its type is left to the model. */
  addFetch(outputName: string, dtype?: BladeDType, options?: BladeNameOptions): this {
    this.#message.fetch(outputName, dtype, options);
    return this;
  }

  /** The serialised request. Checks all content again, since feeds refer to the caller's arrays. */
  toBinary(): Bytes {
    return this.#message.serialised(this.#signatureName);
  }

  parseResponse(body: Bytes): BladeResponse {
    return new BladeResponse(body);
  }

  /** For people: signature, inputs with dtype and shape, and fetched outputs. */
  toString(): string {
    const { feeds, fetches } = this.#message;
    const inputs = listFeeds(Array.from(feeds, ([name, { tensor }]) => [name, tensor] as const));
    return `BladeRequest(${this.#signatureName ?? ""}) { ${inputs} } → ${[...fetches.keys()].join(", ") || "all outputs"}`;
  }
}
