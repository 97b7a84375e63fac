// Watches, commits and puts of a queue over loopback, against the layers below and the official Python SDK. The
// service and each contender are separate processes. One contender runs at a time.

import { deepStrictEqual, equal } from "node:assert/strict";
import { createHash } from "node:crypto";
import { bar, ratioBar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { kilobyte, TOKEN } from "../data.mjs";
import { measure, ratio } from "../measure.mjs";
import { pythonSdks } from "../python/environment.mjs";
import { PythonChild } from "../python/python-child.mjs";
import { FIRST, itemData, queueOf, TAGS } from "./queue-items.mjs";
import { memory, memoryBars } from "./queue-memory.mjs";

const WS = "bare ws";
const DECODE = "ws + generated decode";
const PYTHON = "Python SDK, C++";
const COALESCED = "frame.commit()";
const EACH = "queue.commit(), one PUT each";
const EACH_AWAITED = "queue.commit(), one PUT each, awaited";
const [NODE_WATCH, NODE_PUT] = ["queue/queue-contender.mjs", "queue/queue-put-contender.mjs"];

/**
 * Items in a sample of each contender, enough for a tenth of a second. The window has the same size, because a watch
 * without commits receives no more.
 */
const WATCHES = [
  {
    name: "watch 1 KB",
    bytes: 1024,
    autoCommit: false,
    rounds: 14,
    counts: { [WS]: 80_000, [DECODE]: 30_000, watch: 60_000, "watch, tags read": 40_000, python: 12_000 },
  },
  {
    name: "watch 1 KB, autoCommit",
    bytes: 1024,
    autoCommit: true,
    rounds: 14,
    counts: { [WS]: 80_000, [DECODE]: 30_000, watch: 60_000, python: 12_000 },
  },
  {
    name: "watch 100 B",
    bytes: 100,
    autoCommit: false,
    rounds: 8,
    counts: { [WS]: 80_000, [DECODE]: 30_000, watch: 60_000, python: 12_000 },
  },
  {
    name: "watch 100 KB",
    bytes: 102_400,
    autoCommit: false,
    rounds: 8,
    counts: { [WS]: 1500, [DECODE]: 1500, watch: 1500, python: 600 },
  },
];

const COMMIT = {
  name: "commit 1 KB",
  bytes: 1024,
  autoCommit: false,
  commits: true,
  window: 1000,
  rounds: 10,
  counts: { [COALESCED]: 40_000, [EACH]: 3500, [EACH_AWAITED]: 700, python: 400 },
};

const PUTS = [
  {
    name: "put 1 KB, 64 in flight",
    inFlight: 64,
    rounds: 10,
    counts: { "Agent.dispatch": 4000, put: 4000, python: 400 },
  },
  { name: "put 1 KB, 1 in flight", inFlight: 1, rounds: 10, counts: { "Agent.dispatch": 800, put: 800, python: 400 } },
];

const MEMORY = "memory: watch of 100,000 frames";
/**
 * Warm-up samples of each contender: before its first table, in which the engine compiles its code, and before the
 * others.
 */
const [FIRST_WARM_UP, WARM_UP] = [12, 2];
const VERIFIED = { items: 300, large: 20 };

/** Measures the cases whose name is `wanted`. */
export async function run(wanted, report, { short = false } = {}) {
  const bench = new QueueBench(short ? [] : undefined);
  const results = [];
  try {
    for (const one of [...WATCHES, COMMIT, ...PUTS].filter(({ name }) => wanted(name))) {
      results.push(await bench.measure(short ? { ...one, rounds: 5 } : one));
      report(results.at(-1));
    }
    if (wanted(MEMORY)) {
      await bench.listen();
      results.push(await memory(MEMORY, bench.origin, bench.server));
      report(results.at(-1));
    }
    return results;
  } finally {
    bench.end();
  }
}

/** The processes. Each is started on first use. */
class QueueBench {
  #children = new Map();
  #pythons;

  /** `pythons`: an empty list, or undefined for all that are installed. */
  constructor(pythons) {
    this.#pythons = pythons;
  }

  async listen() {
    if (this.server !== undefined) return;
    this.server = new Child("queue/queue-server.mjs");
    this.origin = await this.server.ask("listen");
  }

  async measure({ name, rounds, counts, ...order }) {
    await this.listen();
    const contenders = [];
    for (const [contender, count] of Object.entries(counts)) {
      for (const one of contender === "python" ? this.#python() : [this.#node(contender, order)]) {
        const { name: asked, child, isNew } = one;
        const isPython = contender === "python";
        await this.#verify(child, order, isPython);
        // Pure Python takes several times as long.
        const items = asked.endsWith("pip") ? Math.ceil(count / 4) : count;
        const sample = () => this.#sample(child, order, isPython, items);
        contenders.push({ name: asked, sample });
        if (!isPython) for (let i = 0; i < (isNew ? FIRST_WARM_UP : WARM_UP); i++) await sample();
      }
    }
    const processes = [process.pid, this.server.pid, ...[...this.#children.values()].map(({ child }) => child.pid)];
    const measured = await measure({
      name,
      unit: order.inFlight ? "puts/s" : order.commits ? "commits/s" : "frames/s",
      ceiling: [Object.keys(counts)[order.commits ? 1 : 0]],
      contenders,
      rounds,
      // A sample takes a quarter of a second, including its overhead.
      budget: rounds * contenders.length * 250,
      processes,
    });
    const versions = this.#python().map(({ name, versions }) => [name, versions]);
    return { ...measured, versions: Object.fromEntries(versions) };
  }

  #node(name, { inFlight }) {
    const file = inFlight ? NODE_PUT : NODE_WATCH;
    const isNew = !this.#children.has(name);
    if (isNew) {
      const settings = { name, origin: this.origin, connections: 64, serverPid: this.server.pid };
      this.#children.set(name, { child: new Child(file, settings) });
    }
    return { name, isNew, child: this.#children.get(name).child };
  }

  #python() {
    this.#pythons ??= pythonSdks().map(({ name, python, versions }) => {
      const child = new PythonChild(python, "queue_items", {
        origin: this.origin,
        token: TOKEN,
        serverPid: this.server.pid,
        item: Buffer.from(kilobyte(1)).toString("hex"),
        tags: TAGS,
        first: String(FIRST),
      });
      this.#children.set(name, { child });
      return { name, child, versions, isNew: true };
    });
    return this.#pythons;
  }

  /** Proves that a contender receives, commits or puts correctly before it is timed. */
  async #verify(child, order, isPython) {
    if (order.inFlight) return this.#verifyPut(child, isPython);
    const count = order.bytes > 10_000 ? VERIFIED.large : VERIFIED.items;
    const window = Math.min(order.window ?? count, count);
    const md5 = createHash("md5").update(itemData(order.bytes)).digest("hex");
    await child.ask("verify", { ...order, count, window, md5, commits: order.commits === true });
    await this.#checkCommits(order, count);
  }

  async #verifyPut(child, isPython) {
    const before = await this.server.ask("put");
    await child.ask(isPython ? "verifyPut" : "verify");
    const { count, bytes, query, names, md5 } = await this.server.ask("put");
    equal(count - before.count, 2);
    equal(bytes - before.bytes, 2048);
    equal(query, `task_id=${TAGS.task_id}`);
    equal(md5, createHash("md5").update(kilobyte(1)).digest("hex"));
    // The Python SDK sends unnecessary headers. This SDK and the bare client must send the same headers.
    const sent = names.filter((name) => name !== "connection").sort();
    if (!isPython) {
      this.putHeaders ??= sent;
      deepStrictEqual(sent, this.putHeaders);
    }
  }

  async #sample(child, order, isPython, count) {
    if (order.inFlight) return child.ask(isPython ? "samplePut" : "sample", { ...order, count });
    const window = Math.min(order.window ?? count, count);
    const result = await child.ask("sample", { ...order, count, window, commits: order.commits === true });
    await this.#checkCommits(order, count);
    return result;
  }

  /** Checks that each item arrived once, and no other. */
  async #checkCommits({ bytes, commits }, count) {
    const { sent, committed, wrong } = await this.server.ask("watched", queueOf(bytes, count));
    deepStrictEqual({ sent, committed, wrong }, { sent: count, committed: commits ? count : 0, wrong: 0 });
  }

  end() {
    for (const { child } of this.#children.values()) child.end();
    this.server?.end();
  }
}

export function bars(groups) {
  return groups.flatMap((group) => {
    const { name, contenders = [] } = group;
    const hasPython = contenders.some(({ name }) => name === PYTHON);
    if (name.startsWith("watch 1 KB")) {
      const python = hasPython ? [ratioBar(group, "times the Python SDK", "≥ 3.5", "watch", PYTHON)] : [];
      return [
        ratioBar(group, "watch / bare ws", "≥ 0.5", "watch", WS),
        ratioBar(group, "watch / ws + generated decode", "≥ 1.5", "watch", DECODE),
        ...python,
      ];
    }
    if (name === COMMIT.name) {
      const note = `${ratio(group, COALESCED, EACH).median} times one PUT each that is not awaited`;
      return [bar(`${name}: coalesced / one PUT each`, "≥ 20", ratio(group, COALESCED, EACH_AWAITED), note)];
    }
    return name === MEMORY ? memoryBars(group) : [];
  });
}
