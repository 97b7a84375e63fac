// One way to put items into the queue of bench/queue/queue-server.mjs.

import { equal } from "node:assert/strict";
import { QueueClient } from "eas-prediction";
import { Agent } from "undici";
import { Collector } from "../calls/collector.mjs";
import { serve, settings } from "../child.mjs";
import { kilobyte, TOKEN } from "../data.mjs";
import { queueOf, TAGS } from "./queue-items.mjs";
import { Tally } from "./tally.mjs";

const { name, origin, connections, serverPid } = settings();
const queueName = queueOf(1024, 0);
const { task_id } = TAGS;
const item = kilobyte(1);

/** Each returns `put()`, which resolves with the index of the item. */
const CONTENDERS = {
  put() {
    const client = new QueueClient({
      endpoint: origin,
      queueName,
      token: TOKEN,
      maxConnectionCount: connections,
      timeout: 20_000,
      uid: "consumer",
    });
    return async () => (await client.put(item, { tags: { task_id } })).index;
  },
  "Agent.dispatch"() {
    const agent = new Agent({ connections, headersTimeout: 0, bodyTimeout: 0 });
    const path = `/api/predict/${queueName}?task_id=${task_id}`;
    // biome-ignore format: one line for each header
    const headers = [
      "authorization", TOKEN,
      "x-eas-queueservice-redis-uid", "consumer",
      "x-eas-queueservice-redis-gid", "eas",
    ];
    const send = () =>
      new Promise((resolve, reject) => {
        agent.dispatch({ origin, path, method: "POST", headers, body: item }, new Collector(resolve, reject));
      });
    return async () => BigInt(Buffer.from(await send()).latin1Slice());
  },
};

const put = CONTENDERS[name]();

serve({
  /** Puts two items and checks that their indexes are consecutive. */
  async verify() {
    const first = await put();
    equal(await put(), first + 1n);
  },
  /** Keeps `inFlight` puts running until `count` have completed. */
  async sample({ inFlight, count }) {
    const tally = new Tally(Math.ceil(count / 5), count, serverPid);
    let over = false;
    const putter = async () => {
      while (!over) {
        await put();
        if (tally.add(item.length)) over = true;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, putter));
    return tally.result();
  },
});
