import { listFacts, showAsText } from "../util/inspect.js";

/** A put result as JSON can hold it. */
export interface PutResultJson {
  /** In decimal digits: JSON's numbers cannot hold it. */
  readonly index: string;
  readonly requestId?: string | undefined;
}

/**
 * An item that was put. It is an object and not a pair as in the official Python SDK:
 * `const { index, requestId } = await queue.put(data)`.
 */
export interface PutResult {
  /** Its position in the queue. */
  readonly index: bigint;
  /**
   * The item's request id. Undefined in a page that did not give one, when the service does not expose the header to it
   * (CORS).
   */
  readonly requestId: string | undefined;
  /** Returns the result as plain data, for `JSON.stringify`, with the index as decimal text. */
  toJSON(): PutResultJson;
}

/** The result of a put. Prints as text, and can be written as JSON. */
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
