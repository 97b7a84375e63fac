import { EasDecodeError } from "../errors.js";
import { LENGTH_DELIMITED, MAP_KEY, MAP_VALUE, VARINT } from "../formats/protobuf/wire.js";
import { readUint64, WireReader } from "../formats/protobuf/wire-reader.js";
import type { Bytes } from "../formats/request.js";
import { parseExactly, plainText } from "../util/exact-json.js";
import { DataFrame, type EncodedRest, type FrameOwner, type FrameRest } from "./frame.js";
import { MAX_INDEX } from "./values.js";

/** Field numbers of the official Go SDK's `queue_service.proto` (github.com/pai-eas/eas-golang-sdk). */
const LIST = 1;
const INDEX = 1;
const TAGS = 2;
const DATA = 3;
const MESSAGE = 4;

/** Reads the protobuf form of frames. */
class FrameReader extends WireReader implements EncodedRest {
  constructor(bytes: Bytes, position = 0, end = bytes.length) {
    super(bytes, "queue");
    this.position = position;
    this.end = end;
  }

  /** Reads the frame at the current position. The frame keeps this reader for its tags and its message. */
  frame(owner: FrameOwner): DataFrame {
    const { bytes, position: start } = this;
    let index = 0n;
    let data: Bytes | undefined;
    while (this.tag()) {
      if (this.field === INDEX && this.wireType === VARINT) index = readUint64(this);
      else if (this.field === DATA && this.wireType === LENGTH_DELIMITED) {
        const dataEnd = this.delimitedEnd();
        data = bytes.subarray(this.position, dataEnd);
        this.position = dataEnd;
      } else this.skip();
    }
    this.position = start;
    return new DataFrame(index, data ?? bytes.subarray(0, 0), owner, this);
  }

  /** Called on first access, because decoding strings takes longer than decoding the rest of a frame. */
  decodeRest(): FrameRest {
    const tags = Object.create(null) as Record<string, string>;
    let message = "";
    const { position, end } = this;
    try {
      while (this.tag()) {
        if (this.wireType !== LENGTH_DELIMITED) this.skip();
        else if (this.field === MESSAGE) message = this.text();
        else if (this.field === TAGS) this.nested(() => this.#readTag(tags));
        else this.skip();
      }
    } finally {
      // A frame with damaged tags is decoded again on the next access.
      this.position = position;
      this.end = end;
    }
    return { tags, message };
  }

  #readTag(tags: Record<string, string>): void {
    let key = "";
    let value = "";
    while (this.tag()) {
      if (this.wireType !== LENGTH_DELIMITED) this.skip();
      else if (this.field === MAP_KEY) key = this.text();
      else if (this.field === MAP_VALUE) value = this.text();
      else this.skip();
    }
    tags[key] = value;
  }
}

/** Decodes one frame received by a watch. Throws `EasDecodeError` for invalid bytes. */
export function readFrame(bytes: Bytes, owner: FrameOwner): DataFrame {
  return new FrameReader(bytes).frame(owner);
}

/**
 * Returns the index of a frame, or undefined if the index cannot be found. The rest of the frame may be damaged or
 * missing.
 */
export function readIndex(bytes: Bytes): bigint | undefined {
  const reader = new FrameReader(bytes);
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
  const reader = new FrameReader(bytes);
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
  const reader = new FrameReader(body);
  while (reader.tag()) {
    if (reader.field === LIST && reader.wireType === LENGTH_DELIMITED) {
      const end = reader.delimitedEnd();
      frames.push(new FrameReader(body, reader.position, end).frame(owner));
      reader.position = end;
    } else {
      reader.skip();
    }
  }
  return frames;
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
