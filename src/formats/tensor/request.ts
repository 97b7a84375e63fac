import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { type EncodedField, inChunks, serialized } from "../protobuf/encoded-field.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";

/** Base class of the requests that consist of tensors. `R` is the class of the response. */
export abstract class TensorRequest<R> implements PredictRequest<R> {
  /** Compression of this request's body. If undefined, the client's `compression` is used. */
  readonly compression: Compression | undefined;

  /** `name` is the name of the class, for error messages. */
  constructor(name: string, options: RequestOptions) {
    checkRequestOptions(name, options);
    this.compression = options.compression;
    showAsText(this);
  }

  /**
   * Serializes the request. Throws a `TypeError` or `RangeError` if the caller has changed an array after adding it,
   * and its values no longer fit.
   */
  toBinary(): Bytes {
    return serialized(this.fields());
  }

  /**
   * Serializes the request to chunks. Typed arrays of at least 64 KiB that match the dtype are not copied: their memory
   * becomes part of the chunks. Throws as `toBinary` does.
   */
  toChunks(): Bytes[] {
    return inChunks(this.fields());
  }

  /**
   * Parses the body of a response. The result keeps a reference to `body`. Throws `EasDecodeError` if `body` is
   * invalid.
   */
  abstract parseResponse(body: Bytes): R;

  /** Describes the request without its values, for logs. */
  abstract toString(): string;

  /** Checks the tensors again and returns the fields of the message. @internal */
  protected abstract fields(): EncodedField[];
}
