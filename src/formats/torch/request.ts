import { argumentRangeError, show } from "../../util/argument-errors.js";
import { type EncodedField, int32, message, NOTHING, packedInt32s } from "../protobuf/encoded-field.js";
import type { Bytes, RequestOptions } from "../request.js";
import { encodeArray, encodeTensorMap, TORCH } from "../tensor/array-proto.js";
import type { ContentOf, DType, TorchDType } from "../tensor/dtype.js";
import { TensorRequest } from "../tensor/request.js";
import { checkInt32, checkName, listFeeds, toTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { TorchResponse } from "./response.js";

/** Field numbers of `PredictRequest` in the official SDKs' `pytorch_predict` schema. */
const INPUTS = 1;
const OUTPUT_FILTER = 2;
const MAP_INPUTS = 3;
const DEBUG_LEVEL = 100;

/**
 * Maximum input position, greater than in any real model. A much larger position would fill the request with empty
 * tensors.
 */
const MAX_INDEX = 9_999;

/**
 * A request with tensors by position or by name for a PyTorch model. `predict` resolves with a `TorchResponse`.
 *
 * @example
 * const request = new TorchRequest().addFeed(0, [1, 3], "DT_FLOAT", [0.1, 0.2, 0.3]);
 * const response = await client.predict(request);
 * response.getValues(0, "DT_FLOAT"); // Float32Array
 */
export class TorchRequest extends TensorRequest<TorchResponse> {
  static readonly DT_FLOAT = "DT_FLOAT";
  static readonly DT_DOUBLE = "DT_DOUBLE";
  static readonly DT_INT8 = "DT_INT8";
  static readonly DT_INT16 = "DT_INT16";
  static readonly DT_INT32 = "DT_INT32";
  static readonly DT_INT64 = "DT_INT64";
  static readonly DT_UINT8 = "DT_UINT8";
  static readonly DT_UINT16 = "DT_UINT16";
  static readonly DT_HALF = "DT_HALF";
  static readonly DT_BFLOAT16 = "DT_BFLOAT16";
  static readonly DT_STRING = "DT_STRING";

  readonly #feeds = new Map<number, Tensor>();
  readonly #namedFeeds = new Map<string, Tensor>();
  readonly #fetches: number[] = [];
  #debugLevel = 0;

  constructor(options: RequestOptions = {}) {
    super("TorchRequest", options);
  }

  /**
   * Sets the input at a position from 0 to 9,999. Replaces any input at the same position. Unset positions before the
   * last one are sent as empty tensors, as in the official SDKs. `content` is one-dimensional, in C order. The array is
   * not copied; its values are read when `predict` is called. Throws a `TypeError` or `RangeError` that names the input
   * if shape, dtype and content do not match.
   */
  addFeed<D extends TorchDType>(index: number, shape: readonly number[], dtype: D, content: ContentOf<D>): this;
  /** Sets the input at a position to a tensor. */
  addFeed(index: number, tensor: Tensor): this;
  addFeed(index: number, first: readonly number[] | Tensor, dtype?: DType, content?: ContentOf<DType>): this {
    if (!Number.isInteger(index) || index < 0 || index > MAX_INDEX) {
      throw argumentRangeError(
        "ERR_EAS_ARG_FEED",
        `index is ${show(index)}: it must be the input's position, an integer from 0 to ${MAX_INDEX}`,
      );
    }
    this.#feeds.set(index, toTensor(TORCH, first, dtype, content, `input ${index}`));
    return this;
  }

  /** Sets an input by name. Replaces any input with the same name. For `content`, see `addFeed`. */
  addFeedMap<D extends TorchDType>(inputName: string, shape: readonly number[], dtype: D, content: ContentOf<D>): this;
  /** Sets an input by name to a tensor. */
  addFeedMap(inputName: string, tensor: Tensor): this;
  addFeedMap(inputName: string, first: readonly number[] | Tensor, dtype?: DType, content?: ContentOf<DType>): this {
    const of = `input ${show(checkName("inputName", inputName))}`;
    this.#namedFeeds.set(inputName, toTensor(TORCH, first, dtype, content, of));
    return this;
  }

  /** Requests the output at a position. If no output is requested, the service returns all outputs. */
  addFetch(outputIndex: number): this {
    this.#fetches.push(checkInt32("outputIndex", outputIndex));
    return this;
  }

  /** Sets how much debugging information the response contains. Default 0: none. */
  setDebugLevel(debugLevel = 0): this {
    this.#debugLevel = checkInt32("debugLevel", debugLevel);
    return this;
  }

  override parseResponse(body: Bytes): TorchResponse {
    return new TorchResponse(body);
  }

  /** Describes the inputs with dtype and shape, and the requested outputs, for logs. */
  override toString(): string {
    return `TorchRequest { ${listFeeds([...this.#feeds, ...this.#namedFeeds])} } → ${this.#fetches.join(", ") || "all outputs"}`;
  }

  /** @internal */
  protected override fields(): EncodedField[] {
    const inputs = Array.from({ length: Math.max(-1, ...this.#feeds.keys()) + 1 }, (_, index) => {
      const tensor = this.#feeds.get(index);
      return tensor === undefined ? message(INPUTS, []) : encodeArray(TORCH, INPUTS, tensor, `input ${index}`);
    });
    return [
      ...inputs,
      packedInt32s(OUTPUT_FILTER, this.#fetches),
      encodeTensorMap(TORCH, MAP_INPUTS, this.#namedFeeds),
      this.#debugLevel === 0 ? NOTHING : int32(DEBUG_LEVEL, this.#debugLevel),
    ];
  }
}
