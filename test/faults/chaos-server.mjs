// A process with a queue of two groups, which can be deleted and recreated, and a proxy before it that injects faults.
import { startEmulator } from "../../dist/emulator.js";
import { ChaosProxy } from "./chaos-proxy.mjs";
import { randomOf } from "./random.mjs";

const QUEUE = "chaos";
const TOKEN = "fault-token";
const OPTIONS = {
  indexShape: "counter",
  maxDeliveries: Number.POSITIVE_INFINITY,
  // A group remains live while its consumers reconnect.
  groupGrace: 600_000,
  historyLength: 1_000_000,
};

const emulator = await startEmulator({ token: TOKEN });
let random = randomOf(1);
const proxy = new ChaosProxy(Number(new URL(emulator.endpoint).port), () => random());
const port = await proxy.listen();
/** All queues so far: the view of each, and the text of each item by index. */
let queues = [];

const current = () => queues.at(-1);

function addQueue() {
  queues.push({ view: emulator.addQueue(QUEUE, OPTIONS).input, texts: new Map() });
  proxy.generation = queues.length;
}

const COMMANDS = {
  begin({ seed, plan }) {
    random = randomOf(seed);
    queues = [];
    proxy.plan = plan;
    for (const map of [proxy.named, proxy.faulted, proxy.abandoned, proxy.ends, proxy.opened, proxy.refusals])
      map.clear();
    addQueue();
  },
  plan(plan) {
    proxy.plan = plan;
  },
  /** Refuses the next watches of each client, and breaks all watches, so that clients reconnect. */
  refuse(refusals) {
    for (const [uid, all] of Object.entries(refusals)) proxy.refusals.set(uid, all);
    proxy.endAll("cut");
  },
  /** Deletes the queue and recreates it, so that indexes begin at 1. */
  recreate() {
    addQueue();
  },
  /** Puts items. A numeric text represents an item of that many bytes. */
  fill({ texts }) {
    const { view, texts: kept } = current();
    for (const text of texts) {
      const index = view.put(typeof text === "number" ? "x".repeat(text) : text);
      kept.set(String(index), typeof text === "number" ? null : text);
    }
  },
  status() {
    const { view, texts } = current();
    return {
      consumers: [...view.pending.keys()],
      left: view.items.filter(({ index }) => texts.get(String(index)) !== null).length,
      commits: view.commits.length,
      ends: [...proxy.ends],
      refusals: [...proxy.refusals.values()].flat().length,
    };
  },
  report() {
    const generations = queues.map(({ view, texts }) => ({
      texts: [...texts],
      pushes: view.pushes.map(({ index, gid, uid, connection }) => [String(index), gid, uid, connection]),
      commits: view.commits.map(({ index, gid }) => [String(index), gid]),
      negatives: view.negatives.map(({ index, gid, uid, code }) => [String(index), gid, uid, code]),
    }));
    const maps = ["named", "faulted", "abandoned", "ends", "opened"].map((name) => [name, [...proxy[name]]]);
    return { generations, ...Object.fromEntries(maps) };
  },
  async end() {
    await proxy.close();
    await emulator.close();
  },
};

process.on("message", async ({ at, command, given }) => {
  process.send({ at, result: await COMMANDS[command](given) }, () => {
    if (command === "end") process.disconnect();
  });
});
process.on("disconnect", () => process.exit(0));
process.send({ at: 0, result: [port] });
