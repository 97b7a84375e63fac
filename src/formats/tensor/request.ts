import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { type EncodedField, inChunks, serialized } from "../protobuf/encoded-field.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";

/** Base class for requests that consist of tensors. `R` is the response class. */
export abstract class TensorRequest<R> implements PredictRequest<R> {
  /** Compression of this request's body. If undefined, the client's `compression` is used. */
  readonly compression: Compression | undefined;

  /** `name` is the class name used in error messages. */
  constructor(name: string, options: RequestOptions) {
    checkRequestOptions(name, options);
    this.compression = options.compression;
    showAsText(this);
  }

  /**
   * Serializes the request. Throws a `TypeError` or `RangeError` if the caller changed an array after adding it and its
   * values no longer fit the dtype or shape.
   */
  toBinary(): Bytes {
    return serialized(this.fields());
  }

  /**
   * Serializes the request to chunks. Typed arrays of at least 64 KiB that match the dtype are not copied; their memory
   * becomes part of the chunks. Throws the same errors as `toBinary`.
   */
  toChunks(): Bytes[] {
    return inChunks(this.fields());
  }

  /** Parses a response body. The result keeps a reference to `body`. Throws `EasDecodeError` if `body` is invalid. */
  abstract parseResponse(body: Bytes): R;

  /** Describes the request without its values, for logs. */
  abstract toString(): string;

  /** Checks the tensors again and returns the message fields. @internal */
  protected abstract fields(): EncodedField[];
}
