// A watch that pauses on request, so that its heap can be measured.

import { equal } from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { QueueClient } from "eas-prediction";
import { serve, settings } from "../child.mjs";
import { TOKEN } from "../data.mjs";
import { FIRST, pacedQueueOf } from "./queue-items.mjs";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

const { origin } = settings();

/** Handles an item. Returns a promise for its end. */
const ENDS = {
  autoCommit: () => undefined,
  "frame.commit()": (frame) => frame.commit(),
  "queue.commit()": (frame) => client.commit(frame.index),
};

let client;
let watcher;
let expected;
let end;

serve({
  /** Starts a watch of a paced queue. Resolves when it is open. */
  async start({ bytes, count, window, way }) {
    client = new QueueClient({
      endpoint: origin,
      queueName: pacedQueueOf(bytes, count),
      token: TOKEN,
      timeout: 20_000,
    });
    expected = FIRST;
    end = ENDS[way];
    await new Promise((resolve) => {
      watcher = client.watch(0, window, { autoCommit: way === "autoCommit", reconnect: false, onStatus: resolve });
    });
  },
  /** Takes a number of items. Resolves with the heap size when all are handled. */
  async take(items) {
    const ended = [];
    for (let i = 0; i < items; i++) ended.push(end(await next()));
    await Promise.all(ended);
    return heap();
  },
  /** Takes a number of items and measures the heap while they are held, as slow handlers do. */
  async hold(items) {
    const held = [];
    for (let i = 0; i < items; i++) held.push(await next());
    const bytes = await heap();
    await Promise.all(held.map((frame) => frame.commit()));
    return bytes;
  },
  end: () => client.close(),
});

/** Returns the next frame, which must be the next item. */
async function next() {
  const { value: frame } = await watcher.next();
  equal(frame.index, expected++);
  return frame;
}

/** Returns the live bytes after pending work has ended. */
async function heap() {
  // A turn of the event loop, in which pending references are released.
  await new Promise(setImmediate);
  gc();
  gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
