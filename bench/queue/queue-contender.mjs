// One way to watch the queue of bench/queue/queue-server.mjs, or to commit its items.

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
 * Each watches `queue` with a given window until `take` returns true for the last item. `take` receives what a user
 * of this way has: bytes, a decoded message or a frame.
 */
const CONTENDERS = {
  "bare ws": ({ queue, window, autoCommit }, take) => receive(queue, window, autoCommit, take),
  "ws + generated decode": ({ queue, window, autoCommit }, take) =>
    receive(queue, window, autoCommit, (data) => take(fromBinary(DataFrameProtoSchema, data))),
  watch: ({ queue, window, autoCommit }, take) =>
    watch(queue, window, autoCommit, async (watcher) => {
      for await (const frame of watcher) if (take(frame)) return;
    }),
  /** Reads the tags of each item. */
  "watch, tags read": ({ queue, window, autoCommit }, take) =>
    watch(queue, window, autoCommit, async (watcher) => {
      for await (const frame of watcher) {
        if (frame.tags.task_id === undefined) throw new Error("no tag");
        if (take(frame)) return;
      }
    }),
  /** Commits each item without waiting. Commits of one turn of the event loop are sent together. */
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

/** Resolves when all commits have completed. */
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

/** Proves that all items arrive once, in order and complete. */
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
  // Commits complete in the order in which they were sent.
  seen.sort((a, b) => (a < b ? -1 : 1));
  deepStrictEqual(
    seen,
    Array.from({ length: count }, (_, i) => FIRST + BigInt(i)),
  );
}

/** Takes `count` items, of which the first `leadIn` are not measured. */
async function sample({ bytes, count, window, autoCommit }) {
  const tally = new Tally(Math.ceil(count / 5), count, serverPid);
  const order = { queue: queueOf(bytes, count), window, autoCommit };
  await contender(order, (item) => tally.add(item.data === undefined ? item.length : item.data.length));
  equal(tally.count, count);
  return tally.result();
}

serve({ verify, sample });
