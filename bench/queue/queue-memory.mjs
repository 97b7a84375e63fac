// Measures whether the memory of a long watch grows with its items: live bytes after every 10,000 items.

import { bar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { pacedQueueOf } from "./queue-items.mjs";

const BYTES = 1024;
const STEP = 10_000;
const STEPS = 10;
const WINDOW = 100;
const WAYS = ["autoCommit", "frame.commit()", "queue.commit()"];
/** Caches, compiled code and the sets of recent indexes grow in the first steps. */
const SETTLING = 2;

/** Returns a table of the heap by step and way, with the growth per item in bytes. */
export async function memory(name, origin, server) {
  const heaps = {};
  for (const way of WAYS) heaps[way] = await weigh(origin, server, way);
  const slopes = Object.fromEntries(WAYS.map((way) => [way, slope(heaps[way].slice(SETTLING))]));
  const rows = Array.from({ length: STEPS }, (_, i) => [
    ((i + 1) * STEP).toLocaleString("en"),
    ...WAYS.map((way) => (heaps[way][i] / 1e6).toFixed(3)),
  ]);
  rows.push(["bytes an item", ...WAYS.map((way) => slopes[way].toFixed(2))]);
  return {
    name,
    columns: ["items so far, MB alive", ...WAYS],
    rows,
    caption: `Heap and array buffers after a full collection; items of 1 KB, window ${WINDOW}. The slope is that from the ${SETTLING + 1}rd step on.`,
    heaps,
    slopes,
  };
}

async function weigh(origin, server, way) {
  const child = new Child("queue/queue-heap.mjs", { origin });
  try {
    await child.ask("start", { bytes: BYTES, count: STEP * STEPS, window: WINDOW, way });
    const heaps = [];
    for (let i = 0; i < STEPS; i++) {
      await server.ask("allow", { queue: pacedQueueOf(BYTES, STEP * STEPS), items: STEP });
      heaps.push(await child.ask("take", STEP));
    }
    await child.ask("end");
    return heaps;
  } finally {
    child.end();
  }
}

/** Returns the bytes per item, by least squares. */
function slope(heaps) {
  const middle = (heaps.length - 1) / 2;
  const mean = heaps.reduce((sum, bytes) => sum + bytes, 0) / heaps.length;
  const [over, under] = heaps.reduce(
    ([over, under], bytes, i) => [over + (i - middle) * (bytes - mean), under + (i - middle) ** 2],
    [0, 0],
  );
  return over / under / STEP;
}

/** Below one bigint per item: nothing is kept of a finished item. */
export function memoryBars({ name, slopes }) {
  const worst = Math.max(...Object.values(slopes));
  return [
    bar(`${name}: bytes that an item leaves`, "≤ 8", {
      median: worst,
      min: Math.min(...Object.values(slopes)),
      max: worst,
    }),
  ];
}
