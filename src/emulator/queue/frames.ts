import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import type { Bytes } from "../../formats/request.js";
import {
  AttributesProtoSchema,
  DataFrameListProtoSchema,
  type DataFrameProto,
  DataFrameProtoSchema,
} from "../../gen/eas/queue/queue_pb.js";
import type { EmulatorQueueItem } from "./consumers.js";

/** Media type with which clients request protobuf. */
export const PROTOBUF = "application/vnd.google.protobuf";

function frameOf({ index, tags, data }: EmulatorQueueItem, indexOnly = false): DataFrameProto {
  // Leave the `message` field empty, because only clients set it.
  return create(DataFrameProtoSchema, { index, tags: { ...tags }, data: indexOnly ? new Uint8Array(0) : data });
}

/** Encodes one watch message. */
export function encodeFrame(item: EmulatorQueueItem, indexOnly: boolean): Bytes {
  return toBinary(DataFrameProtoSchema, frameOf(item, indexOnly)) as Bytes;
}

/** Encodes the protobuf response to a get request. */
export function encodeFrames(items: readonly EmulatorQueueItem[]): Bytes {
  const list = create(DataFrameListProtoSchema, { index: items.map((item) => frameOf(item)) });
  return toBinary(DataFrameListProtoSchema, list) as Bytes;
}

/**
 * Encodes the JSON response to a get request. Does not use `JSON.stringify`, which cannot write the index, a number
 * with up to 19 digits.
 */
export function framesToJson(items: readonly EmulatorQueueItem[]): string {
  const frames = items.map(
    ({ index, tags, data }) =>
      `{"index":${index},"tags":${JSON.stringify(tags)},"data":${JSON.stringify(base64Encode(data))}}`,
  );
  return `[${frames.join(",")}]`;
}

/** Encodes attributes in protobuf. */
export function encodeAttributes(attributes: Record<string, string>): Bytes {
  return toBinary(AttributesProtoSchema, create(AttributesProtoSchema, { attributes })) as Bytes;
}

/** Prepends the length of a frame in four bytes, big-endian, as an HTTP watch requires. */
export function withLength(frame: Bytes): Bytes {
  const framed = new Uint8Array(4 + frame.length);
  new DataView(framed.buffer).setUint32(0, frame.length);
  framed.set(frame, 4);
  return framed;
}
