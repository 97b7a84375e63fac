import { EasDecodeError } from "../errors.js";
import { LENGTH_DELIMITED, MAP_KEY, MAP_VALUE, VARINT } from "../formats/protobuf/wire.js";
import { readUint64, WireReader } from "../formats/protobuf/wire-reader.js";
import type { Bytes } from "../formats/request.js";
import { parseExactly, plainText } from "../util/exact-json.js";
import { showAsText } from "../util/inspect.js";
import type { QueueTags } from "./values.js";
import { MAX_INDEX, REQUEST_ID } from "./values.js";

/** Field numbers of the official Go SDK's `queue_service.proto` (github.com/pai-eas/eas-golang-sdk). */
const LIST = 1;
const INDEX = 1;
const TAGS = 2;
const DATA = 3;
const MESSAGE = 4;

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
  /** A reader positioned at the start of the frame until the fields are decoded, then the decoded fields. */
  private rest: FrameRest | WireReader;
  /** Whether the frame was committed, nacked or released. @internal */
  isSettled = false;

  /** @internal */
  constructor(index: bigint, data: Bytes, owner: FrameOwner, rest: FrameRest | WireReader) {
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
    if (this.rest instanceof WireReader) this.rest = readTagsAndMessage(this.rest);
    return this.rest;
  }
}

/** Decodes one frame received by a watch. Throws `EasDecodeError` for invalid bytes. */
export function readFrame(bytes: Bytes, owner: FrameOwner): DataFrame {
  return readFrameFields(new WireReader(bytes, "queue"), owner);
}

/**
 * Returns the index of a frame, or undefined if the index cannot be found. The rest of the frame may be damaged or
 * missing.
 */
export function readIndex(bytes: Bytes): bigint | undefined {
  const reader = new WireReader(bytes, "queue");
  try {
    while (reader.tag()) {
      if (reader.field === INDEX && reader.wireType === VARINT) return readUint64(reader);
      reader.skip();
    }
  } catch {
    // Damaged bytes before the index: there is no index.
  }
  return undefined;
}

/** Returns the index of the first frame in the response to a get. Requires only the start of the response. */
export function readFirstIndex(bytes: Bytes): bigint | undefined {
  const reader = new WireReader(bytes, "queue");
  try {
    if (!reader.tag() || reader.field !== LIST || reader.wireType !== LENGTH_DELIMITED) return undefined;
    reader.varint();
    return readIndex(bytes.subarray(reader.position));
  } catch {
    return undefined;
  }
}

/**
 * Decodes the response to a get: protobuf, or JSON from relays that convert it. Throws `EasDecodeError` for invalid data.
 */
export function readFrames(body: Bytes, contentType: string | null, owner: FrameOwner): DataFrame[] {
  if (body.length > 0 && contentType?.includes("json")) return readJsonFrames(body, owner);
  const frames: DataFrame[] = [];
  const reader = new WireReader(body, "queue");
  while (reader.tag()) {
    if (reader.field === LIST && reader.wireType === LENGTH_DELIMITED) {
      const end = reader.delimitedEnd();
      frames.push(readFrameFields(readerOf(body, reader.position, end), owner));
      reader.position = end;
    } else {
      reader.skip();
    }
  }
  return frames;
}

function readFrameFields(reader: WireReader, owner: FrameOwner): DataFrame {
  const { bytes, position: start } = reader;
  let index = 0n;
  let data: Bytes | undefined;
  while (reader.tag()) {
    if (reader.field === INDEX && reader.wireType === VARINT) index = readUint64(reader);
    else if (reader.field === DATA && reader.wireType === LENGTH_DELIMITED) {
      const dataEnd = reader.delimitedEnd();
      data = bytes.subarray(reader.position, dataEnd);
      reader.position = dataEnd;
    } else reader.skip();
  }
  reader.position = start;
  return new DataFrame(index, data ?? bytes.subarray(0, 0), owner, reader);
}

function readerOf(bytes: Bytes, position: number, end: number): WireReader {
  const reader = new WireReader(bytes, "queue");
  reader.position = position;
  reader.end = end;
  return reader;
}

/**
 * Decodes the tags and the message. Called on first access, because decoding strings takes longer than decoding the
 * rest of a frame.
 */
function readTagsAndMessage(frame: WireReader): FrameRest {
  const tags = Object.create(null) as Record<string, string>;
  let message = "";
  const reader = readerOf(frame.bytes, frame.position, frame.end);
  while (reader.tag()) {
    if (reader.wireType !== LENGTH_DELIMITED) reader.skip();
    else if (reader.field === MESSAGE) message = reader.text();
    else if (reader.field === TAGS) {
      reader.nested(() => {
        let key = "";
        let value = "";
        while (reader.tag()) {
          if (reader.wireType !== LENGTH_DELIMITED) reader.skip();
          else if (reader.field === MAP_KEY) key = reader.text();
          else if (reader.field === MAP_VALUE) value = reader.text();
          else reader.skip();
        }
        tags[key] = value;
      });
    } else reader.skip();
  }
  return { tags, message };
}

function readJsonFrames(body: Bytes, owner: FrameOwner): DataFrame[] {
  let list: unknown;
  try {
    list = parseExactly(new TextDecoder().decode(body));
  } catch {
    throw notFrames("it is not JSON");
  }
  if (!Array.isArray(list)) throw notFrames("it is not an array");
  return list.map((item: unknown, i) => readJsonFrame(item, i, owner));
}

function readJsonFrame(item: unknown, element: number, owner: FrameOwner): DataFrame {
  const { index, tags, data, message } = (item ?? {}) as Record<string, unknown>;
  const number = typeof index === "bigint" || Number.isSafeInteger(index) ? BigInt(index as bigint | number) : -1n;
  if (number < 0n || number > MAX_INDEX) throw notFrames(`element ${element} has no index`);
  // Go encodes empty maps and slices as null.
  if (typeof (tags ?? {}) !== "object" || typeof (data ?? "") !== "string") {
    throw notFrames(`element ${element} has tags or data of the wrong type`);
  }
  const texts = Object.create(null) as Record<string, string>;
  for (const [key, value] of Object.entries(tags ?? {})) texts[key] = textOf(value, element);
  const rest = { tags: texts, message: textOf(message ?? "", element) };
  return new DataFrame(number, fromBase64((data ?? "") as string, element), owner, rest);
}

function textOf(value: unknown, element: number): string {
  const text = plainText(value);
  if (text === undefined) throw notFrames(`element ${element} has a tag or message that is not a string`);
  return text;
}

function fromBase64(text: string, element: number): Bytes {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw notFrames(`the data of element ${element} is not base64`);
  }
}

function notFrames(why: string): EasDecodeError {
  return new EasDecodeError(`the response is not a list of items: ${why}`, { format: "queue" });
}
