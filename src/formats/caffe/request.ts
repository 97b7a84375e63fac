import { show } from "../../util/argument-errors.js";
import { type EncodedField, message, text } from "../protobuf/encoded-field.js";
import type { Bytes, RequestOptions } from "../request.js";
import { encodeShape } from "../tensor/array-proto.js";
import { checkTensor, formatOf } from "../tensor/check-values.js";
import type { ContentOf } from "../tensor/dtype.js";
import { encodeValues } from "../tensor/encode-values.js";
import { TensorRequest } from "../tensor/request.js";
import { checkUnused, isTensor, listFeeds, toTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { CaffeResponse } from "./response.js";

/** Field numbers of the official Java SDK's `caffe_predict` schema (github.com/pai-eas/eas-java-sdk). */
const INPUT_NAME = 1;
const INPUT_DATA = 2;
const OUTPUT_FILTER = 3;
const SHAPE = 1;
const DATA = 2;

const CAFFE = /* @__PURE__ */ formatOf({ DT_FLOAT: DATA });

/**
 * A request with named tensors of 32-bit floats for the Caffe processor. `predict` resolves with a `CaffeResponse`.
 *
 * @example
 * const request = new CaffeRequest().addFeed("data", [1, 3], [0.1, 0.2, 0.3]).addFetch("prob");
 * const response = await client.predict(request);
 * response.getValues("prob", "DT_FLOAT"); // Float32Array
 */
export class CaffeRequest extends TensorRequest<CaffeResponse> {
  readonly #feeds = new Map<string, Tensor>();
  readonly #fetches = new Set<string>();

  constructor(options: RequestOptions = {}) {
    super("CaffeRequest", options);
  }

  /**
   * Adds an input. Each name can be added only once. `content` is one-dimensional, in C order, and is sent as 32-bit
   * floats, the only dtype that Caffe supports. The array is not copied; its values are read when `predict` is called.
   * Throws a `TypeError` or `RangeError` that names the input if shape and content do not match.
   */
  addFeed(inputName: string, shape: readonly number[], content: ContentOf<"DT_FLOAT">): this;
  /** Adds a tensor of floats as an input. */
  addFeed(inputName: string, tensor: Tensor): this;
  addFeed(inputName: string, first: readonly number[] | Tensor, content?: ContentOf<"DT_FLOAT">): this {
    checkUnused("inputName", inputName, this.#feeds);
    const dtype = isTensor(first) ? undefined : "DT_FLOAT";
    this.#feeds.set(inputName, toTensor(CAFFE, first, dtype, content, `input ${show(inputName)}`));
    return this;
  }

  /**
   * Requests an output. Each name can be added only once. If no output is requested, the service returns all outputs.
   */
  addFetch(outputName: string): this {
    checkUnused("outputName", outputName, this.#fetches);
    this.#fetches.add(outputName);
    return this;
  }

  override parseResponse(body: Bytes): CaffeResponse {
    return new CaffeResponse(body);
  }

  /** Describes the inputs with their shapes and the requested outputs for logs. */
  override toString(): string {
    return `CaffeRequest { ${listFeeds(this.#feeds)} } → ${[...this.#fetches].join(", ") || "all outputs"}`;
  }

  /** @internal */
  protected override fields(): EncodedField[] {
    return [
      ...Array.from(this.#feeds.keys(), (name) => text(INPUT_NAME, name)),
      // Names and tensors must be in the same order, because the service matches them by position.
      ...Array.from(this.#feeds, ([name, tensor]) => encodeBlob(name, tensor)),
      ...Array.from(this.#fetches, (name) => text(OUTPUT_FILTER, name)),
    ];
  }
}

function encodeBlob(name: string, tensor: Tensor): EncodedField {
  const dtype = checkTensor(CAFFE, tensor, `input ${show(name)}`);
  return message(INPUT_DATA, [encodeShape(SHAPE, tensor.shape), encodeValues(DATA, tensor.data, dtype)]);
}
