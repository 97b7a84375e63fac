// Measures a watch as its window grows: time per committed frame, and memory of a window of uncommitted frames.

import { deepStrictEqual } from "node:assert/strict";
import { Child } from "../child.mjs";
import { summary } from "../measure.mjs";
import { pacedQueueOf, queueOf } from "../queue/queue-items.mjs";

const BYTES = 1024;
/** Windows, and the number of frames in a sample. With a window of one, each frame waits for the previous commit. */
const SAMPLES = { 1: 600, 10: 5000, 100: 30_000, 1000: 60_000, 10000: 80_000 };
const ROUNDS = 7;
const WARM_UP = 8;

/** Returns points of { window, microsecondsPerFrame, heapBytes }. */
export async function windows() {
  const children = [];
  const start = (file, settings) => {
    const child = new Child(file, settings);
    children.push(child);
    return child;
  };
  try {
    const server = start("queue/queue-server.mjs");
    const settings = { origin: await server.ask("listen"), serverPid: server.pid };
    const contender = start("queue/queue-contender.mjs", { ...settings, name: "frame.commit()" });
    const sample = async (window, count) => {
      const { value } = await contender.ask("sample", { bytes: BYTES, count, window, autoCommit: false });
      const { sent, committed, wrong } = await server.ask("watched", queueOf(BYTES, count));
      deepStrictEqual({ sent, committed, wrong }, { sent: count, committed: count, wrong: 0 });
      return 1e6 / value;
    };
    const all = Object.entries(SAMPLES).map(([window, count]) => ({ window: Number(window), count, times: [] }));
    for (let i = 0; i < WARM_UP; i++) await sample(1000, SAMPLES[1000]);
    for (let i = 0; i < ROUNDS; i++) {
      for (const { window, count, times } of all) times.push(await sample(window, count));
    }
    const points = [];
    for (const { window, times } of all) {
      points.push({
        window,
        microsecondsPerFrame: summary(times).median,
        heapBytes: await held(server, start("queue/queue-heap.mjs", settings), window),
      });
    }
    return points;
  } finally {
    for (const child of children) child.end();
  }
}

/** Returns the bytes of a full window. */
async function held(server, child, window) {
  const order = { bytes: BYTES, count: 3 * window, window, way: "frame.commit()" };
  const queue = pacedQueueOf(BYTES, order.count);
  await child.ask("start", order);
  const take = async (way) => {
    await server.ask("allow", { queue, items: window });
    return child.ask(way, window);
  };
  // A run before the measurement loads code and fills caches.
  await take("hold");
  const bytes = -(await take("take")) + (await take("hold"));
  await child.ask("end");
  return bytes;
}
