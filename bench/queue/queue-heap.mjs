// A watch that stops when it is told to, so that its heap can be weighed.

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

/** What becomes of an item: a promise for its end. */
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
  /** Begins a watch of a paced queue, and resolves when it is open. */
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
  /** Takes so many items, and resolves with the bytes of the heap when all are done with. */
  async take(items) {
    const ended = [];
    for (let i = 0; i < items; i++) ended.push(end(await next()));
    await Promise.all(ended);
    return heap();
  },
  /** Takes so many items and weighs the heap while they are held, as slow handlers do. */
  async hold(items) {
    const held = [];
    for (let i = 0; i < items; i++) held.push(await next());
    const bytes = await heap();
    await Promise.all(held.map((frame) => frame.commit()));
    return bytes;
  },
  end: () => client.close(),
});

/** The next frame, which must be the next item. */
async function next() {
  const { value: frame } = await watcher.next();
  equal(frame.index, expected++);
  return frame;
}

/** Bytes that are alive, when what is under way has ended. */
async function heap() {
  // A turn for what waits to be let go of.
  await new Promise(setImmediate);
  gc();
  gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
