// Watches whose connections break repeatedly. Each item is delivered at least once, and none is left after all
// commits.
import { getEventListeners } from "node:events";
import { ENDPOINT_TYPE_DIRECT, ENDPOINT_TYPE_GATEWAY, QueueClient } from "../../dist/index.js";
import { before, LoopClock, left, percentile, unhandled } from "./measure.mjs";

const PATIENCE_MS = 20_000;
let watched = 0;

/**
 * Milliseconds for which the server is suspended, and for which a handler blocks the event loop. A watch counts as
 * silent after 8 s.
 */
const STOP_MS = Number(process.env.FAULTS_STOP_MS ?? 12_000);
const BLOCK_MS = Number(process.env.FAULTS_BLOCK_MS ?? 9_000);

export function watches({ counts }) {
  const calls = counts.scripted * 5;
  const breaking = ["gateway", "direct"].map((mode) => ({
    name: "watch that breaks",
    mode,
    kind: "watch",
    calls,
    run: runWatch,
  }));
  const worker = { mode: "gateway", kind: "worker", calls, run: runWorker };
  return [
    ...breaking,
    {
      ...worker,
      name: "worker, 1013 after 5 upgrades",
      plan: { closesWatches: 5 },
      // Each connection that is closed immediately causes one more.
      check: ({ upgrades, runs }) => [
        upgrades !== 6 && `${upgrades} connections and not 6`,
        runs !== calls && `${runs} runs of ${calls} items`,
      ],
    },
    {
      ...worker,
      name: `worker, handler with ${BLOCK_MS} ms of CPU`,
      before(run) {
        if (run !== 3) return;
        const end = performance.now() + BLOCK_MS;
        while (performance.now() < end);
      },
      check: ({ upgrades, runs }) => [
        upgrades !== 1 && `${upgrades} connections and not 1`,
        runs !== calls && `${runs} runs of ${calls} items`,
      ],
    },
    {
      ...worker,
      name: `worker, server stopped for ${STOP_MS} ms`,
      during: (server) => server.stopFor(STOP_MS),
      patience: STOP_MS + 60_000,
      check: ({ upgrades, runs, causes, warnings }) => [
        // One connection every 5 s while the server does not respond, because a dial times out after 5 s.
        upgrades > 4 + STOP_MS / 2_500 && `${upgrades} connections`,
        runs > calls + 1 && `${runs} runs of ${calls} items`,
        causes.length === 0 && "onStatus reported no cause",
        warnings > new Set(causes).size && `${warnings} warnings of ${new Set(causes).size} causes`,
      ],
    },
  ];
}

/** Runs `consume` under one fault. Counts the requests at the server and the runs of handlers. */
async function runWorker(server, { name, mode, kind, calls, seed, plan = {}, before: act, during, check, patience }) {
  const queue = `watch-${++watched}`;
  const [gateway] = server.ports;
  await server.ask("begin", { seed, queue, plans: Array(5).fill(plan), discovery: { status: 200, items: [] } });
  const ids = Array.from({ length: calls }, (_, i) => String(i + 1));
  const half = calls >> 1;
  await server.ask("fill", { queue, ids: ids.slice(0, half) });
  unhandled.length = 0;
  const start = before();
  const clock = new LoopClock();
  const problems = [];
  const causes = [];
  const stop = new AbortController();
  const handled = new Map();
  let runs = 0;
  let warnings = 0;
  let enough;
  const halfHandled = new Promise((resolve) => {
    enough = resolve;
  });
  const client = new QueueClient({
    endpoint: `http://127.0.0.1:${gateway}`,
    queueName: queue,
    token: "fault-token",
    logger: { warn: () => warnings++ },
  });
  const giveUp = setTimeout(() => stop.abort(), patience ?? PATIENCE_MS + BLOCK_MS);
  const done = client.consume(
    (frame) => {
      runs++;
      act?.(runs);
      handled.set(frame.text(), (handled.get(frame.text()) ?? 0) + 1);
      if (handled.size === half) enough();
      if (handled.size === calls) stop.abort();
    },
    {
      signal: stop.signal,
      concurrency: 2,
      reconnect: { minDelay: 20, maxDelay: 500 },
      onStatus: ({ state, cause }) => state === "reconnecting" && causes.push(String(cause?.message)),
    },
  );
  // The fault begins while the worker handles items. More items are put after it.
  await Promise.race([done, halfHandled]);
  await during?.(server);
  await server.ask("fill", { queue, ids: ids.slice(half) });
  await done.catch((error) => problems.push(error.stack));
  clearTimeout(giveUp);
  await client.close();
  clock.stop();
  const { upgrades } = await server.ask("report");
  const stored = await server.ask("items", { queue });
  if (stored.length > 0) problems.push(`${stored.length} items are still stored`);
  if (handled.size < calls) problems.push(`${calls - handled.size} items were not delivered`);
  problems.push(...check({ upgrades, runs, causes, warnings }).filter(Boolean));
  const row = {
    name,
    mode,
    kind,
    calls,
    listeners: getEventListeners(stop.signal, "abort").length,
    answered: handled.size,
    failed: "",
    retries: causes.length,
    p50: 0,
    p99: 0,
    loop: clock.longest,
    extra: `${upgrades} connections, ${runs} runs, ${warnings} warnings`,
  };
  handled.clear();
  Object.assign(row, await left(start));
  if (row.sockets + row.timers + row.listeners > 0) {
    problems.push(`left: ${row.sockets} sockets, ${row.listeners} listeners, ${row.timers} timers`);
  }
  for (const reason of unhandled) problems.push(`unhandled rejection: ${reason?.stack ?? reason}`);
  return { row, problems };
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
  const giveUp = setTimeout(() => shared.abort(new Error("not all items were delivered in time")), PATIENCE_MS);
  const watcher = client.watch(0, 10, {
    reconnect: { minDelay: 10, maxDelay: 50 },
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
      if (frame.text() !== `item ${id}`) problems.push(`item ${frame.index} has the content of another item`);
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
  if (stored.length > 0) problems.push(`${stored.length} items are still stored`);
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
  if (row.answered < calls) problems.push(`${calls - row.answered} items were not delivered`);
  if (row.sockets + row.timers + listeners > 0) {
    problems.push(`left: ${row.sockets} sockets, ${listeners} listeners, ${row.timers} timers`);
  }
  for (const reason of unhandled) problems.push(`unhandled rejection: ${reason?.stack ?? reason}`);
  return { row, problems };
}
