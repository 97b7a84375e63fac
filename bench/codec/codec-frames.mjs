// Frames of a queue, as in the response to a get. No public function writes frames, because a put sends only the data.

import { createHash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { QueueClient } from "eas-prediction";
import { DataFrameListProtoSchema } from "eas-prediction/proto/queue";
import { random, TOKEN } from "../data.mjs";

/** Returns a response of `count` frames with tags, and the ways to read it. */
export function decodingFrames({ count, bytes: length }, copying) {
  const next = random(12);
  const frames = Array.from({ length: count }, (_, i) => ({
    index: 1_700_000_000_000_000n + BigInt(i),
    tags: { requestId: `5f3a${i}-0c1d-4b7e-9f00-6a4d2b1c8e77`, task: "rank", model: "v2" },
    data: Uint8Array.from({ length }, () => next() * 256),
  }));
  const bytes = toBinary(DataFrameListProtoSchema, create(DataFrameListProtoSchema, { index: frames }));
  const generated = (body) => fromBinary(DataFrameListProtoSchema, body).index;
  const proof = (read) => {
    const hash = createHash("sha256");
    for (const { index, tags, data } of read) hash.update(`${index} ${JSON.stringify({ ...tags })}`).update(data);
    return hash.digest("hex");
  };

  const answer = { status: 200, headers: new Headers(), body: bytes, contentEncoding: undefined };
  const transport = { send: async () => answer, close: async () => {} };
  const client = new QueueClient({ endpoint: "http://127.0.0.1", queueName: "bench", token: TOKEN, transport });
  const get = () => client.get({ length: count });
  return {
    ours: {
      copy: { run: copying(bytes), proof: (copy) => proof(generated(copy)) },
      "ours: a get whose answer is there": { run: get, asynchronous: true, proof },
      "ours, and all tags": {
        run: async () => {
          const read = await get();
          for (const frame of read) frame.tags;
          return read;
        },
        asynchronous: true,
        proof,
      },
    },
    generated: { generated: { run: () => generated(bytes), proof } },
  };
}
