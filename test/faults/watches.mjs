// Watches whose connections break again and again: each item comes at least once, and none is left when all are committed.
import { getEventListeners } from "node:events";
import { ENDPOINT_TYPE_DIRECT, ENDPOINT_TYPE_GATEWAY, QueueClient } from "../../dist/index.js";
import { before, LoopClock, left, percentile, unhandled } from "./measure.mjs";

const PATIENCE_MS = 20_000;
let watched = 0;

export function watches({ counts }) {
  return ["gateway", "direct"].map((mode) => ({
    name: "watch that breaks",
    mode,
    kind: "watch",
    calls: counts.scripted * 5,
    run: runWatch,
  }));
}

async function runWatch(server, { name, mode, kind, calls, seed }) {
  const queue = `watch-${++watched}`;
  const [gateway, first] = server.ports;
  await server.ask("begin", {
    seed,
    queue,
    plans: Array(5).fill({ watchBytes: 2_000 }),
    discovery: { status: 200, items: [{ ip: "127.0.0.1", port: first }] },
  });
  const ids = Array.from({ length: calls }, (_, i) => String(i + 1));
  const indexes = await server.ask("fill", { queue, ids });
  const idOf = new Map(indexes.map((index, i) => [index, ids[i]]));
  unhandled.length = 0;
  const start = before();
  const clock = new LoopClock();
  const client = new QueueClient({
    endpoint: `http://127.0.0.1:${gateway}`,
    queueName: queue,
    token: "fault-token",
    endpointType: mode === "direct" ? ENDPOINT_TYPE_DIRECT : ENDPOINT_TYPE_GATEWAY,
    logger: null,
  });
  const problems = [];
  const shared = new AbortController();
  const gaps = [];
  const seen = new Set();
  let deliveries = 0;
  let reconnects = 0;
  const giveUp = setTimeout(() => shared.abort(new Error("the items did not all come in time")), PATIENCE_MS);
  const watcher = client.watch(0, 10, {
    reconnect: { leastDelay: 10, mostDelay: 50 },
    signal: shared.signal,
    onStatus: ({ state }) => {
      if (state === "reconnecting") reconnects++;
    },
  });
  try {
    let at = performance.now();
    for await (const frame of watcher) {
      gaps.push(performance.now() - at);
      at = performance.now();
      const id = idOf.get(String(frame.index));
      if (frame.text() !== `item ${id}`) problems.push(`item ${frame.index} has the content of another`);
      deliveries++;
      seen.add(id);
      await frame.commit();
      if (seen.size === calls) break;
    }
  } catch (error) {
    problems.push(error.stack);
  }
  clearTimeout(giveUp);
  await client.close();
  clock.stop();
  const stored = await server.ask("items", { queue });
  if (stored.length > 0) problems.push(`${stored.length} items are still there`);
  if (reconnects === 0) problems.push("the watch never broke");
  const listeners = getEventListeners(shared.signal, "abort").length;
  const row = {
    name,
    mode,
    kind,
    calls,
    listeners,
    answered: seen.size,
    failed: "",
    retries: reconnects,
    p50: percentile(gaps, 0.5),
    p99: percentile(gaps, 0.99),
    loop: clock.longest,
    extra: `${deliveries} deliveries`,
  };
  gaps.length = indexes.length = ids.length = 0;
  seen.clear();
  idOf.clear();
  Object.assign(row, await left(start));
  if (row.answered < calls) problems.push(`${calls - row.answered} items never came`);
  if (row.sockets + row.timers + listeners > 0) {
    problems.push(`left: ${row.sockets} sockets, ${listeners} listeners, ${row.timers} timers`);
  }
  for (const reason of unhandled) problems.push(`unhandled rejection: ${reason?.stack ?? reason}`);
  return { row, problems };
}
