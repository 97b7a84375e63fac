import { argumentTypeError, show } from "../argument-errors.js";
import { EasDecodeError } from "../errors.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";
import { showAsText } from "../util/inspect.js";
import { checkRequestOptions } from "../util/option-names.js";

/** A request of plain text, for custom processors and PMML models. Answers with a `StringResponse`. */
export class StringRequest implements PredictRequest<StringResponse> {
  readonly compression: Compression | undefined;
  readonly #text: string;

  /** Holds `text`, sent as UTF-8. Default: an empty body. */
  constructor(text = "", options: RequestOptions = {}) {
    checkRequestOptions("StringRequest", options);
    this.compression = options.compression;
    showAsText(this);
    if (typeof text !== "string") {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        `StringRequest takes a string, not ${show(text)}; send JSON as JSON.stringify(value)`,
      );
    }
    this.#text = text;
  }

  /** The text as UTF-8. */
  toBinary(): Bytes {
    return new TextEncoder().encode(this.#text);
  }

  parseResponse(body: Bytes): StringResponse {
    return new StringResponse(body);
  }

  /** The text. */
  toString(): string {
    return this.#text;
  }
}

/** An answer of plain text or JSON. */
export class StringResponse {
  /** The body as it came; the receiver's own memory. */
  readonly bytes: Bytes;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
    showAsText(this);
  }

  /** The body as text; bytes that are no UTF-8 become U+FFFD. */
  toString(): string {
    return new TextDecoder().decode(this.bytes);
  }

  /** Returns the text, for `JSON.stringify`. */
  toJSON(): string {
    return this.toString();
  }

  /**
   * The body read as JSON. Throws `EasDecodeError` when it is none; the error holds nothing of the body, which `toString`
   * gives. The type is the caller's word.
   */
  json<T = unknown>(): T {
    const text = this.toString();
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new EasDecodeError(`the response of ${this.bytes.length} bytes is not JSON`, { format: "json" });
    }
  }
}
