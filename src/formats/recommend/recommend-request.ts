import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import type { Bytes, Compression, RequestOptions } from "../request.js";
import { checkInt32 } from "../tensor/request-inputs.js";
import { itemIdText } from "./argument-checks.js";
import { type RecommendFormat, readFeed } from "./protobuf-reader.js";
import { RequestContent } from "./request-content.js";

/** Base class for requests to recommendation processors. */
export abstract class RecommendRequest {
  readonly compression: Compression | undefined;
  /** @internal */
  protected readonly content: RequestContent = new RequestContent();
  readonly #format: RecommendFormat;

  constructor(format: RecommendFormat, options: RequestOptions, names?: Readonly<Record<string, unknown>>) {
    checkRequestOptions(`${format}Request`, options, names);
    this.#format = format;
    this.compression = options.compression;
    showAsText(this);
  }

  /** Adds the id of an item to score. A number must be a safe integer. Numbers and bigints are sent as decimal text. */
  addItemId(id: string | number | bigint): this {
    this.content.addItemIds([itemIdText(id)]);
    return this;
  }

  /** Sets the number of neighbors that the service returns for item retrieval by vector search (Faiss). */
  setFaissNeighNum(neighbors: number): this {
    this.content.faissNeighNum = checkInt32("neighbors", neighbors, 0);
    return this;
  }

  /** Sets how much debugging information about features the response contains. Default 0: none. */
  setDebugLevel(debugLevel = 0): this {
    this.content.debugLevel = checkInt32("debugLevel", debugLevel);
    return this;
  }

  /**
   * Merges a serialized `PBRequest` into this request, as protobuf merges messages: item ids are appended, and features
   * and metadata with the same name are replaced. The bytes are copied. Unknown fields are forwarded. `debugLevel`
   * overrides the level in the message. If `debugLevel` is omitted, the level in the message is used, whereas the
   * official SDKs use 0. Throws a `RangeError` with the position if the bytes are invalid, and changes nothing in that
   * case.
   */
  addFeed(data: Uint8Array, debugLevel?: number): this {
    const level = debugLevel === undefined ? undefined : checkInt32("debugLevel", debugLevel);
    this.content.merge(readFeed(data, this.#format));
    if (level !== undefined) this.content.debugLevel = level;
    return this;
  }

  /**
   * Serializes the request. The service matches the values of context and item features to items by position.
   * Therefore, throws a `RangeError` if two features have different numbers of values, or if the number of values
   * differs from the number of items. A feature with one value is always accepted.
   */
  toBinary(): Bytes {
    return this.content.toBinary();
  }

  /** Returns all feature names and the number of other parts for logs. */
  toString(): string {
    return `${this.#format}Request { ${this.content} }`;
  }
}
