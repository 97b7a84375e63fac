// One way to watch the queue of bench/queue-server.mjs, or to commit what a watch brings.

import { deepStrictEqual, equal } from "node:assert/strict";
import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { QueueClient } from "eas-prediction";
import { DataFrameProtoSchema } from "eas-prediction/proto/queue";
import { WebSocket } from "ws";
import { serve, settings } from "../child.mjs";
import { TOKEN } from "../data.mjs";
import { FIRST, itemData, queueOf, TAGS } from "./queue-items.mjs";
import { Tally } from "./tally.mjs";

/**
 * Each watches `queue` with a window of so many items until `take` says of one that it was the last. What `take` gets is
 * what a user of this way has: bytes, a decoded message or a frame.
 */
const CONTENDERS = {
  "bare ws": ({ queue, window, autoCommit }, take) => receive(queue, window, autoCommit, take),
  "ws + generated decode": ({ queue, window, autoCommit }, take) =>
    receive(queue, window, autoCommit, (data) => take(fromBinary(DataFrameProtoSchema, data))),
  watch: ({ queue, window, autoCommit }, take) =>
    watch(queue, window, autoCommit, async (watcher) => {
      for await (const frame of watcher) if (take(frame)) return;
    }),
  /** As one who looks at the tags of each item. */
  "watch, tags read": ({ queue, window, autoCommit }, take) =>
    watch(queue, window, autoCommit, async (watcher) => {
      for await (const frame of watcher) {
        if (frame.tags.task_id === undefined) throw new Error("no tag");
        if (take(frame)) return;
      }
    }),
  /** Commits as items come, and waits for none of them: those of one turn go out together. */
  "frame.commit()": ({ queue, window }, take) =>
    watch(queue, window, false, (watcher) => committing(watcher, (frame) => frame.commit(), take)),
  "queue.commit(), one PUT each": ({ queue, window }, take) =>
    watch(queue, window, false, (watcher, client) => committing(watcher, (frame) => client.commit(frame.index), take)),
  "queue.commit(), one PUT each, awaited": ({ queue, window }, take) =>
    watch(queue, window, false, async (watcher, client) => {
      for await (const frame of watcher) {
        await client.commit(frame.index);
        if (take(frame)) return;
      }
    }),
};

const { name, origin, serverPid } = settings();
const contender = CONTENDERS[name];

function receive(queue, window, autoCommit, take) {
  return new Promise((resolve, reject) => {
    const query = `_watch_=true&_index_=0&_window_=${window}&_index_only_=false&_auto_commit_=${autoCommit}`;
    const socket = new WebSocket(`${origin.replace("http", "ws")}/api/predict/${queue}?${query}`, {
      headers: { authorization: TOKEN },
      perMessageDeflate: false,
    });
    socket.on("error", reject);
    socket.on("close", resolve);
    socket.on("message", (data) => {
      if (take(data)) socket.close();
    });
  });
}

async function watch(queueName, window, autoCommit, take) {
  const client = new QueueClient({ endpoint: origin, queueName, token: TOKEN, timeout: 20_000 });
  await take(client.watch(0, window, { autoCommit, reconnect: false }), client);
  await client.close();
}

/** Resolves when all commits were answered. */
function committing(watcher, commit, take) {
  return new Promise((resolve, reject) => {
    const run = async () => {
      for await (const frame of watcher) {
        commit(frame).then(() => {
          if (take(frame)) resolve(watcher.close());
        }, reject);
      }
    };
    run().catch(reject);
  });
}

/** Proves that all items come, each once, in their order and with all that is in them. */
async function verify({ bytes, count, window, autoCommit }) {
  const sum = createHash("md5").update(itemData(bytes)).digest("hex");
  const seen = [];
  const order = { queue: queueOf(bytes, count), window, autoCommit };
  await contender(order, (item) => {
    const frame = Buffer.isBuffer(item) ? fromBinary(DataFrameProtoSchema, item) : item;
    equal(createHash("md5").update(frame.data).digest("hex"), sum);
    deepStrictEqual({ ...frame.tags }, TAGS);
    seen.push(frame.index);
    return seen.length === count;
  });
  // Commits are answered in their own order.
  seen.sort((a, b) => (a < b ? -1 : 1));
  deepStrictEqual(
    seen,
    Array.from({ length: count }, (_, i) => FIRST + BigInt(i)),
  );
}

/** Takes `count` items, the first of them as a lead-in. */
async function sample({ bytes, count, window, autoCommit }) {
  const tally = new Tally(Math.ceil(count / 5), count, serverPid);
  const order = { queue: queueOf(bytes, count), window, autoCommit };
  await contender(order, (item) => tally.add(item.data === undefined ? item.length : item.data.length));
  equal(tally.count, count);
  return tally.result();
}

serve({ verify, sample });
