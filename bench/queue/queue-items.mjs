// The items and queue names of bench/queue/queue-server.mjs, for the server and for those that verify received items.

import { create, toBinary } from "@bufbuild/protobuf";
import { DataFrameProtoSchema } from "eas-prediction/proto/queue";
import { random } from "../data.mjs";

/**
 * Index of the first item. Like real indexes, it is a time in milliseconds, shifted by 22 bits: 19 digits, of which
 * the last nine count items.
 */
export const FIRST = 6_925_387_844_000_000_000n;
/** The common prefix of all indexes. */
export const FIRST_DIGITS = String(FIRST).slice(0, 10);
/** Offset of the nine bytes of the index in a frame, after its tag. */
export const INDEX_AT = 1;

/** Tags as the service and a user of asynchronous inference set them. */
export const TAGS = { requestId: "0b7f3c1e-5d0a-4f0e-9a38-6a1f6b9f2c4d", task_id: "job_000001" };

/** Binary data, the same for all items of a size. */
export function itemData(bytes) {
  const next = random(bytes);
  return Uint8Array.from({ length: bytes }, () => next() * 256);
}

/** Returns the first item, serialized. */
export function firstFrame(bytes) {
  return toBinary(
    DataFrameProtoSchema,
    create(DataFrameProtoSchema, { index: FIRST, tags: TAGS, data: itemData(bytes) }),
  );
}

/** Returns the name of a queue with `count` items of `bytes` of data. */
export const queueOf = (bytes, count) => `items_${bytes}_${count}`;

/** Returns the name of a queue that releases items only on request. */
export const pacedQueueOf = (bytes, count) => `paced_${bytes}_${count}`;

/** Parses the name of a queue. */
export function readQueue(name) {
  const [, kind, bytes, count] = /^(items|paced)_(\d+)_(\d+)$/.exec(name);
  return { bytes: Number(bytes), count: Number(count), isPaced: kind === "paced" };
}
