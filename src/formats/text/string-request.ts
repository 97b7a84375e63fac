import { EasDecodeError } from "../../errors.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { parseExactly } from "../../util/exact-json.js";
import { showAsText } from "../../util/inspect.js";
import { checkOptionNames, checkRequestOptions } from "../../util/option-names.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";

/** Options for `StringResponse.json`. */
export interface JsonReadOptions {
  /**
   * Whether integers beyond ±2^53 are parsed to bigints. Default false: such integers are rounded, as by `JSON.parse`.
   */
  readonly bigint?: boolean | undefined;
}

/**
 * A request with a text body, for custom processors and PMML models. The response is a `StringResponse`.
 *
 * @example
 * const response = await client.predict(new StringRequest('[{"age": 42}]'));
 */
export class StringRequest implements PredictRequest<StringResponse> {
  readonly compression: Compression | undefined;
  readonly #text: string;

  /**
   * Creates a request with the body `text`, sent as UTF-8. Default: an empty body. Throws a `TypeError` if `text` is
   * not a string.
   */
  constructor(text = "", options: RequestOptions = {}) {
    checkRequestOptions("StringRequest", options);
    this.compression = options.compression;
    showAsText(this);
    if (typeof text !== "string") {
      throw argumentTypeError(
        "ERR_EAS_ARG_REQUEST",
        `StringRequest accepts a string, not ${show(text)}: to send an object as JSON, pass it to predict itself`,
      );
    }
    this.#text = text;
  }

  /**
   * @internal The client checks this property instead of using `instanceof`, which fails if the client comes from
   * another copy of this package.
   */
  get isText(): boolean {
    return true;
  }

  /** Returns the text as UTF-8. */
  toBinary(): Bytes {
    return new TextEncoder().encode(this.#text);
  }

  /** Wraps a response body, which is not copied. */
  parseResponse(body: Bytes): StringResponse {
    return new StringResponse(body);
  }

  /** Returns the text. */
  toString(): string {
    return this.#text;
  }
}

/**
 * A response body that contains text or JSON.
 *
 * @example
 * const response = await client.predict("hello");
 * console.log(response.toString(), response.json<{ score: number }>().score);
 */
export class StringResponse {
  /** The response body. It belongs to the caller. */
  readonly bytes: Bytes;

  /** Wraps a response body, which is not copied. */
  constructor(bytes: Bytes) {
    this.bytes = bytes;
    showAsText(this);
  }

  /** Returns the body as text. Bytes that are not valid UTF-8 become U+FFFD. */
  toString(): string {
    return new TextDecoder().decode(this.bytes);
  }

  /** Returns the text for `JSON.stringify`. */
  toJSON(): string {
    return this.toString();
  }

  /**
   * Parses the body as JSON. The type `T` is not checked. Throws `EasDecodeError` if the body is not JSON; the error does
   * not contain the body.
   */
  json<T = unknown>(options: JsonReadOptions = {}): T {
    checkOptionNames("json", options, { bigint: 1 }, "a schema is an option of client.json");
    const text = this.toString();
    try {
      return (options.bigint ? parseExactly : JSON.parse)(text) as T;
    } catch {
      throw new EasDecodeError(`the response of ${this.bytes.length} bytes is not JSON`, { format: "json" });
    }
  }
}
