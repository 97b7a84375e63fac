import { argumentRangeError, show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import {
  type EncodedField,
  inChunks,
  int32,
  message,
  NOTHING,
  packedInt32s,
  serialized,
} from "../protobuf/encoded-field.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { DTYPE_NUMBERS, encodeArray } from "../tensor/array-proto.js";
import type { ContentOf, DType, TorchDType } from "../tensor/dtype.js";
import { checkInt32, checkName, listFeeds, toTensor } from "../tensor/request-inputs.js";
import type { Tensor } from "../tensor/tensor.js";
import { encodeTensorMap } from "../tensor/tensor-map.js";
import { TorchResponse } from "./response.js";

/** Field numbers of `PredictRequest` in the official SDKs' `pytorch_predict` schema. */
const INPUTS = 1;
const OUTPUT_FILTER = 2;
const MAP_INPUTS = 3;
const DEBUG_LEVEL = 100;

/** More inputs than any model has: an index far off would fill the request with empty tensors. */
const MAX_INDEX = 9_999;

/** A request of tensors by position or by name, for PyTorch models. Answers with a `TorchResponse`. */
export class TorchRequest implements PredictRequest<TorchResponse> {
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

  readonly compression: Compression | undefined;
  readonly #feeds = new Map<number, Tensor>();
  readonly #namedFeeds = new Map<string, Tensor>();
  readonly #fetches: number[] = [];
  #debugLevel = 0;

  constructor(options: RequestOptions = {}) {
    checkRequestOptions("TorchRequest", options);
    this.compression = options.compression;
    showAsText(this);
  }

  /**
   * Sets the input at a position, from 0; one at the same position is replaced. Positions that are left out before the
   * last are sent as empty tensors, as the official SDKs do. Otherwise as `TFRequest.addFeed`.
   */
  addFeed<D extends TorchDType>(index: number, shape: readonly number[], dtype: D, content: ContentOf<D>): this;
  addFeed(index: number, tensor: Tensor): this;
  addFeed(index: number, first: readonly number[] | Tensor, dtype?: DType, content?: ContentOf<DType>): this {
    if (!Number.isInteger(index) || index < 0 || index > MAX_INDEX) {
      throw argumentRangeError(
        "ERR_EAS_ARG_FEED",
        `index is ${show(index)}: it must be the input's position, an integer from 0 to ${MAX_INDEX}`,
      );
    }
    this.#feeds.set(index, checkedTensor(first, dtype, content, `input ${index}`));
    return this;
  }

  /** Sets an input by name; one of the same name is replaced. Otherwise as `addFeed`. */
  addFeedMap<D extends TorchDType>(inputName: string, shape: readonly number[], dtype: D, content: ContentOf<D>): this;
  addFeedMap(inputName: string, tensor: Tensor): this;
  addFeedMap(inputName: string, first: readonly number[] | Tensor, dtype?: DType, content?: ContentOf<DType>): this {
    checkName("inputName", inputName);
    this.#namedFeeds.set(inputName, checkedTensor(first, dtype, content, `input ${show(inputName)}`));
    return this;
  }

  /** Asks for the output at a position. Without any, all outputs come. */
  addFetch(outputIndex: number): this {
    this.#fetches.push(checkInt32("outputIndex", outputIndex));
    return this;
  }

  /** Sets how much the service tells about its work. Default 0. */
  setDebugLevel(debugLevel = 0): this {
    this.#debugLevel = checkInt32("debugLevel", debugLevel);
    return this;
  }

  /** The serialized request. Checks all content again, since feeds refer to the caller's arrays. */
  toBinary(): Bytes {
    return serialized(this.#parts());
  }

  /** As `toBinary`, in pieces: large arrays of the dtype's own kind are among them as they are. */
  toChunks(): Bytes[] {
    return inChunks(this.#parts());
  }

  parseResponse(body: Bytes): TorchResponse {
    return new TorchResponse(body);
  }

  /** For people: inputs with dtype and shape, and fetched outputs. */
  toString(): string {
    return `TorchRequest { ${listFeeds([...this.#feeds, ...this.#namedFeeds])} } → ${this.#fetches.join(", ") || "all outputs"}`;
  }

  #parts(): EncodedField[] {
    const inputs = Array.from({ length: Math.max(-1, ...this.#feeds.keys()) + 1 }, (_, index) => {
      const tensor = this.#feeds.get(index);
      return tensor === undefined ? message(INPUTS, []) : encodeArray("torch", INPUTS, tensor, `input ${index}`);
    });
    return [
      ...inputs,
      packedInt32s(OUTPUT_FILTER, this.#fetches),
      encodeTensorMap(MAP_INPUTS, this.#namedFeeds, "torch"),
      this.#debugLevel === 0 ? NOTHING : int32(DEBUG_LEVEL, this.#debugLevel),
    ];
  }
}

function checkedTensor(
  first: readonly number[] | Tensor,
  dtype: DType | undefined,
  content: ContentOf<DType> | undefined,
  of: string,
): Tensor {
  const tensor = toTensor(DTYPE_NUMBERS, first, dtype, content, of);
  encodeArray("torch", INPUTS, tensor, of);
  return tensor;
}
