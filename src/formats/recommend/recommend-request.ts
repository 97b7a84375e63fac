import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import type { Bytes, Compression, RequestOptions } from "../request.js";
import { checkInt32 } from "../tensor/request-inputs.js";
import { itemIdText } from "./argument-checks.js";
import { type RecommendFormat, readFeed } from "./protobuf-reader.js";
import { RequestContent } from "./request-content.js";

/** What the requests of both recommendation processors have in common. */
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

  /** Adds an item to score. A number must be a safe integer; it goes as its decimal text, as a bigint does. */
  addItemId(id: string | number | bigint): this {
    this.content.addItemIds([itemIdText(id)]);
    return this;
  }

  /** Sets how many neighbours the service returns when it recalls items by vector search (Faiss). */
  setFaissNeighNum(neighbours: number): this {
    this.content.faissNeighNum = checkInt32("neighbours", neighbours, 0);
    return this;
  }

  /** Sets how much the answer tells about the features. Default 0, for normal use. */
  setDebugLevel(debugLevel = 0): this {
    this.content.debugLevel = checkInt32("debugLevel", debugLevel);
    return this;
  }

  /**
   * Adds all that a serialized `PBRequest` holds, which is copied, as protobuf merges messages: item ids are added,
   * features and meta data of the same name are replaced. Fields that this SDK does not know are sent on. A `debugLevel`
   * stands above the message's own; the official SDKs set it to 0 when it is left out. Throws a `RangeError` that says at
   * which byte, and changes nothing, when the bytes are no such message.
   */
  addFeed(data: Uint8Array, debugLevel?: number): this {
    const level = debugLevel === undefined ? undefined : checkInt32("debugLevel", debugLevel);
    this.content.merge(readFeed(data, this.#format));
    if (level !== undefined) this.content.debugLevel = level;
    return this;
  }

  /**
   * The serialized request. Throws a `RangeError` when context or item features have more than one value, but neither
   * as many as each other nor as there are items, since the service joins them by position.
   */
  toBinary(): Bytes {
    return this.content.toBinary();
  }

  /** For people: the names of all features, and how much there is of the rest. */
  toString(): string {
    return `${this.#format}Request { ${this.content} }`;
  }
}
