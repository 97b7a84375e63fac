// Queues: the unchanged Python QueueClient in the flows of its documentation, and both clients on one queue. All
// checks run with indexes of 19 digits and with indexes from 1.
import { Peer } from "./peer.mjs";
import { Bench } from "./queue-bench.mjs";
import { exchange, operations, requests } from "./queue-crossed.mjs";
import { documentation } from "./queue-documentation.mjs";
import { cuts, watches } from "./queue-watches.mjs";

/** Milliseconds after which a check counts as hung. */
const CHECK_MS = 10_000;
const INDEX_SHAPES = ["time", "counter"];

const KINDS = { documentation, requests, exchange, operations, watches, cuts };

/** Checks by kind: names, and functions that reject on failure. */
export function queueChecks({ emulator, peer }, python) {
  let watching;
  let count = 0;
  // With a fixed clock, all but the first of the indexes created in one millisecond exceed the exact range of
  // numbers.
  const begun = Date.now();
  const now = () => begun;
  const run = async (entry, indexShape) => {
    const { options, holds } = typeof entry === "function" ? { holds: entry } : entry;
    watching ??= new Peer(python);
    const name = `test_group.qservice${++count}`;
    const bench = new Bench({ emulator, peer, watching }, name, { indexShape, now, ...options });
    const overdue = new AbortController();
    bench.signal = overdue.signal;
    const late = new Promise((_, reject) => {
      const timer = setTimeout(() => {
        overdue.abort();
        reject(new Error(`not done after ${CHECK_MS / 1000} s`));
      }, CHECK_MS);
      overdue.signal.addEventListener("abort", () => clearTimeout(timer));
    });
    try {
      await Promise.race([holds(bench).then(() => bench.close()), late]);
    } catch (error) {
      // Python may be waiting for frames that will not arrive.
      watching.process.kill("SIGKILL");
      watching = undefined;
      bench.closeOurs().catch(() => {});
      throw error;
    } finally {
      overdue.abort();
    }
  };
  const kinds = Object.entries(KINDS).map(([kind, checks]) => {
    const all = INDEX_SHAPES.flatMap((shape) =>
      Object.entries(checks).map(([name, entry]) => [`${name} (indexes: ${shape})`, () => run(entry, shape)]),
    );
    return [kind, all];
  });
  return { kinds: Object.fromEntries(kinds), end: () => watching?.end() };
}
