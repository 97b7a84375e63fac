import { EasDecodeError } from "../errors.js";
import type { Bytes } from "../formats/request.js";
import { showAsText } from "../util/inspect.js";
import type { QueueTags } from "./values.js";
import { REQUEST_ID } from "./values.js";

/**
 * Executes `commit`, `negative` and `release` for a frame. A frame's owner is the client that received it or the
 * connection that delivered it.
 */
export interface FrameOwner {
  commit(index: bigint): Promise<void>;
  negative(index: bigint, code: string | undefined, reason: string | undefined): Promise<void>;
  release(index: bigint): void;
}

/** The frame fields that are decoded on first access. */
export interface FrameRest {
  readonly tags: QueueTags;
  readonly message: string;
}

/** The fields of a frame before their first access. */
export interface EncodedRest {
  /** Decodes the fields. Throws `EasDecodeError` if they are damaged. */
  decodeRest(): FrameRest;
}

/** The JSON form of a frame; see `DataFrame.toJSON`. */
export interface DataFrameJson {
  /** Decimal digits, because JSON numbers cannot represent the index exactly. */
  readonly index: string;
  readonly tags: QueueTags;
  /** The data in base64. */
  readonly data: string;
  readonly message: string;
}

/**
 * An item received from a queue.
 *
 * @example
 * const [frame] = await queue.get();
 * if (frame) console.log(frame.index, frame.tags, frame.text());
 */
export class DataFrame {
  /** The item's index in the queue, with up to 19 digits. */
  readonly index: bigint;
  /**
   * The item's data. Empty if the watch has `indexOnly`. The data is a view that keeps the whole received response in
   * memory; `slice()` returns an independent copy. The client does not modify the data.
   */
  readonly data: Bytes;
  // These fields are not #private because creating a frame with private fields is slower.
  /** The connection that most recently delivered the frame. @internal */
  owner: FrameOwner;
  private rest: FrameRest | EncodedRest;
  /** Whether the frame was committed, nacked or released. @internal */
  isSettled = false;

  /** @internal */
  constructor(index: bigint, data: Bytes, owner: FrameOwner, rest: FrameRest | EncodedRest) {
    this.index = index;
    this.data = data;
    this.owner = owner;
    this.rest = rest;
    showAsText(this);
  }

  /**
   * The item's tags, including those set by the service. The object has no prototype, so any name can be looked up
   * safely. The tags are decoded on first access, which throws `EasDecodeError` if they are damaged.
   */
  get tags(): QueueTags {
    return this.readRest().tags;
  }

  /** A message from the service about the item. Usually empty. */
  get message(): string {
    return this.readRest().message;
  }

  /** The item's request id, or undefined if there is none. */
  get requestId(): string | undefined {
    return this.tags[REQUEST_ID];
  }

  /** Returns the data as text. Invalid UTF-8 becomes U+FFFD. */
  text(): string {
    return new TextDecoder().decode(this.data);
  }

  /**
   * Returns the data parsed as JSON. Throws `EasDecodeError` for invalid JSON; the error does not contain the data. `T` is
   * not checked.
   */
  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T;
    } catch {
      throw new EasDecodeError(`the item ${this.index} of ${this.data.length} bytes is not JSON`, { format: "json" });
    }
  }

  /**
   * Commits the item, so that the service deletes it. Commits in the same event-loop turn share a request.
   *
   * Rejects when the client's retries are exhausted. A watcher then continues to retry the commit in the background,
   * with the delays of its `reconnect` option, until the service responds or the watcher closes. The watcher does not
   * deliver the item again, so do not handle it again after a rejection. Calling `commit()` again is allowed but not
   * required. `release()` and `negative()` cancel the background retries.
   */
  commit(): Promise<void> {
    this.isSettled = true;
    return this.owner.commit(this.index);
  }

  /**
   * Returns the item to the queue after a failure. The service delivers the item again and counts a failed attempt.
   * `code` is a name such as `"Shutdown"`, or digits, with at most 20 characters. Throws a `TypeError` for an invalid
   * code or reason.
   *
   * Rejects when the client's retries are exhausted. If the service cannot have counted the attempt, a watcher retries
   * the request in the background. If the service may have counted the attempt (the error's `maybeTaken` is true), a
   * retry could count it twice. In that case, the item is released, and the service delivers it again after the next
   * reconnect at the latest.
   */
  negative(code?: string, reason?: string): Promise<void> {
    this.isSettled = true;
    return this.owner.negative(this.index, code, reason);
  }

  /**
   * Releases the item without sending a request to the service. A watcher may receive the item again after a reconnect.
   */
  release(): void {
    this.isSettled = true;
    this.owner.release(this.index);
  }

  /** Returns the frame as plain data, for `JSON.stringify`. */
  toJSON(): DataFrameJson {
    let binary = "";
    for (const byte of this.data) binary += String.fromCharCode(byte);
    return { index: String(this.index), tags: { ...this.tags }, data: btoa(binary), message: this.message };
  }

  /** Returns the index, the number of bytes and the tags for logs. */
  toString(): string {
    const tags = Object.entries(this.tags).map(([key, value]) => `${key}: ${value}`);
    return `DataFrame ${this.index} (${this.data.length} bytes) { ${tags.join(", ")} }`;
  }

  private readRest(): FrameRest {
    if ("decodeRest" in this.rest) this.rest = this.rest.decodeRest();
    return this.rest;
  }
}
