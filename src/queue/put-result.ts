import { listFacts, showAsText } from "../util/inspect.js";

/** The JSON form of a put result. */
export interface PutResultJson {
  /** Decimal digits, because JSON numbers cannot represent the index exactly. */
  readonly index: string;
  readonly requestId?: string | undefined;
}

/**
 * The result of `QueueClient.put`. The official Python SDK returns a tuple instead of this object.
 *
 * @example
 * const { index, requestId } = await queue.put(data);
 */
export interface PutResult {
  /** The item's index in the queue. */
  readonly index: bigint;
  /**
   * The item's request id. Undefined in a web page if the put did not set an id and the service does not expose the
   * response header (CORS).
   */
  readonly requestId: string | undefined;
  /** Returns the result as plain data, for `JSON.stringify`, with the index as decimal text. */
  toJSON(): PutResultJson;
}

/** The implementation of `PutResult`. */
export class StoredItem implements PutResult {
  readonly index: bigint;
  readonly requestId: string | undefined;

  constructor(index: bigint, requestId: string | undefined) {
    this.index = index;
    this.requestId = requestId;
    showAsText(this);
  }

  toJSON(): PutResultJson {
    return { ...this, index: String(this.index) };
  }

  toString(): string {
    return listFacts("PutResult", { index: this.index, requestId: this.requestId });
  }
}
