import { show } from "../../util/argument-errors.js";
import { checkRequestOptions } from "../../util/option-names.js";
import type { EncodedField } from "../protobuf/encoded-field.js";
import type { RequestOptions } from "../request.js";
import type { BladeDType } from "../tensor/dtype.js";
import { TensorRequest } from "../tensor/request.js";
import { checkName, checkUnused, listFeeds } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  type BladeFeed,
  type BladeFetch,
  type BladeNameOptions,
  checkBatchSize,
  encodeFeed,
  encodeFetch,
  encodeSignature,
  outputDType,
} from "./message.js";

/** Base class for Blade requests. */
export abstract class AbstractBladeRequest<R> extends TensorRequest<R> {
  static readonly DT_FLOAT = "DT_FLOAT";
  static readonly DT_INT32 = "DT_INT32";
  static readonly DT_INT64 = "DT_INT64";
  static readonly DT_STRING = "DT_STRING";

  readonly #name: string;
  readonly #feeds = new Map<string, BladeFeed>();
  readonly #fetches = new Map<string, BladeFetch>();
  #signatureName: string | undefined;

  /** `name` is the class name used in error messages and logs. */
  constructor(name: string, signatureName: string | undefined, options: RequestOptions) {
    super(name, options);
    this.#name = name;
    this.#signatureName = signatureName === undefined ? undefined : checkName("signatureName", signatureName);
  }

  /** Sets the model's signature. */
  setSignatureName(signatureName: string): this {
    this.#signatureName = checkName("signatureName", signatureName);
    return this;
  }

  /** Describes the signature, the inputs with dtype and shape, and the requested outputs for logs. */
  override toString(): string {
    const inputs = listFeeds(Array.from(this.#feeds, ([name, { tensor }]) => [name, tensor] as const));
    return `${this.#name}(${this.#signatureName ?? ""}) { ${inputs} } → ${[...this.#fetches.keys()].join(", ") || "all outputs"}`;
  }

  /** Adds an input with a checked tensor. `batchSize` defaults to the first dimension of the shape. @internal */
  protected feed(inputName: string, batchSize: number | undefined, tensor: Tensor, options?: BladeNameOptions): this {
    checkUnused("inputName", inputName, this.#feeds);
    if (batchSize === undefined) checkBatchSize(tensor.shape, `input ${show(inputName)}`);
    this.#feeds.set(inputName, { blobName: blobNameOf(inputName, options), batchSize, tensor });
    return this;
  }

  /** Requests an output. @internal */
  protected fetch(outputName: string, dtype?: BladeDType, options?: BladeNameOptions): this {
    checkUnused("outputName", outputName, this.#fetches);
    const number = outputDType(dtype, `output ${show(outputName)}`);
    this.#fetches.set(outputName, { blobName: blobNameOf(outputName, options), dtype: number });
    return this;
  }

  /** @internal */
  protected override fields(): EncodedField[] {
    return [
      encodeSignature(this.#signatureName),
      ...Array.from(this.#feeds, ([name, feed]) => encodeFeed(name, feed)),
      ...Array.from(this.#fetches, ([name, fetch]) => encodeFetch(name, fetch)),
    ];
  }
}

function blobNameOf(name: string, options: BladeNameOptions = {}): string | null {
  checkRequestOptions("the last argument", options, { bladeBlobName: 1 });
  const { bladeBlobName = name } = options;
  return bladeBlobName === null ? null : checkName(`bladeBlobName of ${show(name)}`, bladeBlobName);
}
