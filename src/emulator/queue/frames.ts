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

/** The media type by which clients ask for protobuf. */
export const PROTOBUF = "application/vnd.google.protobuf";

function frameOf({ index, tags, data }: EmulatorQueueItem, indexOnly = false): DataFrameProto {
  // The service leaves the message empty: only clients write it.
  return create(DataFrameProtoSchema, { index, tags: { ...tags }, data: indexOnly ? new Uint8Array(0) : data });
}

/** One message of a watch. */
export function encodeFrame(item: EmulatorQueueItem, indexOnly: boolean): Bytes {
  return toBinary(DataFrameProtoSchema, frameOf(item, indexOnly)) as Bytes;
}

/** What a get answers in protobuf. */
export function encodeFrames(items: readonly EmulatorQueueItem[]): Bytes {
  const list = create(DataFrameListProtoSchema, { index: items.map((item) => frameOf(item)) });
  return toBinary(DataFrameListProtoSchema, list) as Bytes;
}

/** What a get answers in JSON. The index is a bare number with all its digits: `JSON.stringify` has no way to write it. */
export function framesToJson(items: readonly EmulatorQueueItem[]): string {
  const frames = items.map(
    ({ index, tags, data }) =>
      `{"index":${index},"tags":${JSON.stringify(tags)},"data":${JSON.stringify(base64Encode(data))}}`,
  );
  return `[${frames.join(",")}]`;
}

/** Attributes in protobuf. */
export function encodeAttributes(attributes: Record<string, string>): Bytes {
  return toBinary(AttributesProtoSchema, create(AttributesProtoSchema, { attributes })) as Bytes;
}

/** A frame as an HTTP watch has it: behind its length in four bytes, big-endian. */
export function withLength(frame: Bytes): Bytes {
  const framed = new Uint8Array(4 + frame.length);
  new DataView(framed.buffer).setUint32(0, frame.length);
  framed.set(frame, 4);
  return framed;
}
