import { EasDecodeError } from "../../errors.js";
import { argumentTypeError, show } from "../../util/argument-errors.js";
import { parseExactly } from "../../util/exact-json.js";
import { showAsText } from "../../util/inspect.js";
import { checkOptionNames, checkRequestOptions } from "../../util/option-names.js";
import type { JsonReadOptions } from "../json/read-options.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../request.js";

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
        `StringRequest takes a string, not ${show(text)}; pass an object to predict itself, which sends it as JSON`,
      );
    }
    this.#text = text;
  }

  /** @internal For a client of another copy of this package, which does not know this class. */
  get isText(): boolean {
    return true;
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
   * Returns the body, parsed of JSON. With `{ bigint: true }` integers beyond 2^53 become bigints. The caller states the type.
   * Throws `EasDecodeError` for a body that is not JSON. The error contains nothing of the body, which `toString` returns.
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
