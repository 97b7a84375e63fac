import { EasDecodeError } from "../errors.js";
import { LENGTH_DELIMITED, MAP_KEY, MAP_VALUE, VARINT } from "../formats/protobuf/wire.js";
import { readUint64, WireReader } from "../formats/protobuf/wire-reader.js";
import type { Bytes } from "../formats/request.js";
import { parseExactly, plainText } from "../util/exact-json.js";
import { showAsText } from "../util/inspect.js";
import type { QueueTags } from "./tags.js";
import { REQUEST_ID } from "./tags.js";
import { MAX_INDEX } from "./values.js";

/** Field numbers of the official Go SDK's `queue_service.proto` (github.com/pai-eas/eas-golang-sdk). */
const LIST = 1;
const INDEX = 1;
const TAGS = 2;
const DATA = 3;
const MESSAGE = 4;

/** Receives the calls of a frame's own methods: the client that got the frame, or the connection that pushed it. */
export interface FrameOwner {
  commit(index: bigint): Promise<void>;
  negative(index: bigint, code: string | undefined, reason: string | undefined): Promise<void>;
  release(index: bigint): void;
}

/** What is read when it is first asked for. */
interface FrameRest {
  readonly tags: QueueTags;
  readonly message: string;
}

/** A frame as it can be stored; see `DataFrame.toJSON`. */
export interface DataFrameJson {
  /** In decimal digits: JSON's numbers cannot hold it. */
  readonly index: string;
  readonly tags: QueueTags;
  /** In base64. */
  readonly data: string;
  readonly message: string;
}

/** An item of a queue, as it was received. */
export class DataFrame {
  /** Its position in the queue: up to 19 digits. */
  readonly index: bigint;
  /**
   * Its content; empty when only indexes were asked for. A view of what was received, which nobody else writes to, but
   * which is kept in memory as a whole: `slice()` makes a small one that stands alone.
   */
  readonly data: Bytes;
  // Not #private: a frame is made for each message, and those cost more to set up.
  /** A frame that a later connection pushes again belongs to that connection. @internal */
  owner: FrameOwner;
  /** A reader at the frame's beginning until someone asks. */
  private rest: FrameRest | WireReader;
  /** Whether something was said of it already. @internal */
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
   * The tags it was put with, and those of the service. Without a prototype, so that any name can be looked up. They are
   * read when they are first asked for: throws `EasDecodeError` when they are damaged.
   */
  get tags(): QueueTags {
    return this.readRest().tags;
  }

  /** What the service says of the item; empty as a rule. */
  get message(): string {
    return this.readRest().message;
  }

  /** The id that the service gave the item when it was put. */
  get requestId(): string | undefined {
    return this.tags[REQUEST_ID];
  }

  /** The content as text; bytes that are no UTF-8 become U+FFFD. */
  text(): string {
    return new TextDecoder().decode(this.data);
  }

  /**
   * The content read as JSON. Throws `EasDecodeError` when it is none; the error holds nothing of it. The type is the
   * caller's word.
   */
  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T;
    } catch {
      throw new EasDecodeError(`the item ${this.index} of ${this.data.length} bytes is not JSON`, { format: "json" });
    }
  }

  /**
   * Commits the item: the service deletes it. Commits of one turn of the event loop are sent together.
   *
   * Rejects when the client's retries are used up. A watcher then continues to retry the commit in the background, with
   * the delays of its `reconnect` option, until the service answers or the watcher closes, and does not hand the item out
   * again. So do not handle the item again after a rejection. Calling `commit()` again is allowed but not required;
   * `release()` and `negative()` cancel the background retries.
   */
  commit(): Promise<void> {
    this.isSettled = true;
    return this.owner.commit(this.index);
  }

  /**
   * Returns the item to the queue after a failure: the service gives it to a consumer again, and counts a failed try.
   * `code` is a word such as `"Shutdown"`, or digits, of at most 20 characters.
   *
   * Rejects when the client's retries are used up. A watcher retries it in the background if the service has certainly
   * not counted it. When that is unknown (the error's `maybeTaken` is true), a retry could count a second try, so the item
   * is released instead: the service pushes it again, after a reconnect at the latest.
   */
  negative(code?: string, reason?: string): Promise<void> {
    this.isSettled = true;
    return this.owner.negative(this.index, code, reason);
  }

  /** Releases the item without a request to the service. A watcher may receive it again after a reconnect. */
  release(): void {
    this.isSettled = true;
    this.owner.release(this.index);
  }

  /** The frame as JSON can hold it. */
  toJSON(): DataFrameJson {
    let binary = "";
    for (const byte of this.data) binary += String.fromCharCode(byte);
    return { index: String(this.index), tags: { ...this.tags }, data: btoa(binary), message: this.message };
  }

  /** For people: the index, the number of bytes and the tags. */
  toString(): string {
    const tags = Object.entries(this.tags).map(([key, value]) => `${key}: ${value}`);
    return `DataFrame ${this.index} (${this.data.length} bytes) { ${tags.join(", ")} }`;
  }

  private readRest(): FrameRest {
    if (this.rest instanceof WireReader) this.rest = readTagsAndMessage(this.rest);
    return this.rest;
  }
}

/** Reads one frame of a watch. Throws `EasDecodeError` when it is none. */
export function readFrame(bytes: Bytes, owner: FrameOwner): DataFrame {
  return readFrameFields(new WireReader(bytes, "queue"), owner);
}

/** The index of a frame that may be damaged behind it; undefined when it cannot be found. */
export function readIndex(bytes: Bytes): bigint | undefined {
  const reader = new WireReader(bytes, "queue");
  try {
    while (reader.tag()) {
      if (reader.field === INDEX && reader.wireType === VARINT) return readUint64(reader);
      reader.skip();
    }
  } catch {
    // As if it were not there.
  }
  return undefined;
}

/** The index of the first frame in the answer to a get, of which only the first bytes need to be there. */
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

/** Reads the answer to a get: protobuf, or JSON where a relay turned it into that. */
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

/** Only for who asks: texts cost more than all the rest of a frame. `frame` stays at its beginning. */
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
  // Go writes what is empty as null.
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
