// The items that bench/queue-server.mjs sends, and the names of its queues: known to it and to those who check what came.

import { create, toBinary } from "@bufbuild/protobuf";
import { DataFrameProtoSchema } from "eas-prediction/proto/queue";
import { random } from "../data.mjs";

/** Of the first item. As real ones are, milliseconds shifted by 22 bits: 19 digits, of which the last nine count items. */
export const FIRST = 6_925_387_844_000_000_000n;
/** What all indexes begin with. */
export const FIRST_DIGITS = String(FIRST).slice(0, 10);
/** Where the nine bytes of the index are in a frame: behind its tag. */
export const INDEX_AT = 1;

/** As the service and a user of asynchronous inference give them. */
export const TAGS = { requestId: "0b7f3c1e-5d0a-4f0e-9a38-6a1f6b9f2c4d", task_id: "job_000001" };

/** No text, and the same for all items of a size. */
export function itemData(bytes) {
  const next = random(bytes);
  return Uint8Array.from({ length: bytes }, () => next() * 256);
}

/** The first item as the service serializes it. */
export function firstFrame(bytes) {
  return toBinary(
    DataFrameProtoSchema,
    create(DataFrameProtoSchema, { index: FIRST, tags: TAGS, data: itemData(bytes) }),
  );
}

/** A queue with `count` items of `bytes` of data. */
export const queueOf = (bytes, count) => `items_${bytes}_${count}`;

/** The same, of which no item goes before it is allowed to. */
export const pacedQueueOf = (bytes, count) => `paced_${bytes}_${count}`;

/** What the name of a queue says. */
export function readQueue(name) {
  const [, kind, bytes, count] = /^(items|paced)_(\d+)_(\d+)$/.exec(name);
  return { bytes: Number(bytes), count: Number(count), isPaced: kind === "paced" };
}
