import { show } from "../../util/argument-errors.js";
import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { type EncodedField, inChunks, message, serialized, text } from "../protobuf/encoded-field.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { type ContentOf, checkDTypeOf } from "../tensor/dtype.js";
import { encodeValues } from "../tensor/encode-values.js";
import { checkUnused, isTensor, listFeeds, toTensor } from "../tensor/request-inputs.js";
import { encodeShape } from "../tensor/shape-proto.js";
import { checkShape, type Tensor } from "../tensor/tensor.js";
import { CaffeResponse } from "./response.js";

/** Field numbers of the official Java SDK's `caffe_predict` schema (github.com/pai-eas/eas-java-sdk). */
const INPUT_NAME = 1;
const INPUT_DATA = 2;
const OUTPUT_FILTER = 3;
const SHAPE = 1;
const DATA = 2;

/** The only dtype that Caffe has. */
const DTYPES = { DT_FLOAT: DATA } as const;

/** A request of named blobs of floats, for the Caffe processor. Answers with a `CaffeResponse`. */
export class CaffeRequest implements PredictRequest<CaffeResponse> {
  readonly compression: Compression | undefined;
  readonly #feeds = new Map<string, Tensor>();
  readonly #fetches = new Set<string>();

  constructor(options: RequestOptions = {}) {
    checkRequestOptions("CaffeRequest", options);
    this.compression = options.compression;
    showAsText(this);
  }

  /**
   * Adds an input; each name once. `content` is one-dimensional, in C order, and sent as 32-bit floats, the only type
   * that Caffe has. It is not copied: what it holds when `predict` is called is what is sent. Throws a `TypeError` or
   * `RangeError` that names the input when shape and content do not fit.
   */
  addFeed(inputName: string, shape: readonly number[], content: ContentOf<"DT_FLOAT">): this;
  /** Adds a tensor of floats as an input. */
  addFeed(inputName: string, tensor: Tensor): this;
  addFeed(inputName: string, first: readonly number[] | Tensor, content?: ContentOf<"DT_FLOAT">): this {
    checkUnused("inputName", inputName, this.#feeds);
    const tensor = toTensor(
      DTYPES,
      first,
      isTensor(first) ? undefined : "DT_FLOAT",
      content,
      `input ${show(inputName)}`,
    );
    encodeBlob(inputName, tensor);
    this.#feeds.set(inputName, tensor);
    return this;
  }

  /** Asks for an output, each name once. Without any, all outputs come. */
  addFetch(outputName: string): this {
    checkUnused("outputName", outputName, this.#fetches);
    this.#fetches.add(outputName);
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

  parseResponse(body: Bytes): CaffeResponse {
    return new CaffeResponse(body);
  }

  /** For people: inputs with their shape, and fetched outputs. */
  toString(): string {
    return `CaffeRequest { ${listFeeds(this.#feeds)} } → ${[...this.#fetches].join(", ") || "all outputs"}`;
  }

  #parts(): EncodedField[] {
    return [
      ...Array.from(this.#feeds.keys(), (name) => text(INPUT_NAME, name)),
      // Joined with the names by position.
      ...Array.from(this.#feeds, ([name, tensor]) => encodeBlob(name, tensor)),
      ...Array.from(this.#fetches, (name) => text(OUTPUT_FILTER, name)),
    ];
  }
}

function encodeBlob(name: string, tensor: Tensor): EncodedField {
  const of = `input ${show(name)}`;
  const { shape, data } = tensor;
  const dtype = checkDTypeOf(DTYPES, tensor.dtype, of);
  // Again, since a feed refers to the caller's arrays, which may have changed.
  checkShape(shape, data, dtype, of);
  return message(INPUT_DATA, [encodeShape(SHAPE, shape), encodeValues(DATA, data, dtype, of)]);
}
