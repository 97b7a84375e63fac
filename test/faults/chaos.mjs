// Two groups of workers on one queue with many concurrent faults. The server's record decides, not the client's
// reports.
import { EasDecodeError, QueueClient } from "../../dist/index.js";
import { checkChaos } from "./chaos-checks.mjs";
import { before, LoopClock, left, unhandled } from "./measure.mjs";
import { startFaultServer } from "./server-process.mjs";

/** Milliseconds without progress after which a run fails. */
const STALL_MS = Number(process.env.FAULTS_STALL_MS ?? 60_000);
const MAX_BYTES = 10_000;
const IDLE_MS = 3_000;
const BLOCK_MS = Number(process.env.FAULTS_BLOCK_MS ?? 9_000);
const WINDOW = 8;

/**
 * Two consumers in each of two groups: over both transports, with `consume` and with `watch`. Half of them retry
 * within a call.
 */
const CONSUMERS = [
  { uid: "a1", gid: "a", transport: "websocket", method: "consume", retryCount: 5 },
  { uid: "a2", gid: "a", transport: "http", method: "watch", retryCount: 0 },
  { uid: "b1", gid: "b", transport: "http", method: "consume", retryCount: 0 },
  { uid: "b2", gid: "b", transport: "websocket", method: "watch", retryCount: 5 },
];

export function chaos({ counts }) {
  const calls = counts.chaos;
  return [{ name: "two groups under chaos", mode: "gateway", kind: "worker", calls, run: runChaos }];
}

/** The actions and reports of one consumer. */
class Worker {
  runs = [];
  failures = new Map();
  unreadable = [];
  statuses = [];
  warnings = [];
  #client;
  #stop = new AbortController();

  constructor({ uid, gid, transport, method, retryCount }, port, act) {
    Object.assign(this, { uid, gid, transport, method, act });
    this.#client = new QueueClient({
      endpoint: `http://127.0.0.1:${port}`,
      queueName: "chaos",
      token: "fault-token",
      uid,
      gid,
      retryCount,
      timeout: 1_000,
      maxResponseBytes: MAX_BYTES,
      logger: { warn: (message) => this.warnings.push(message) },
    });
  }

  start() {
    const options = {
      transport: this.transport,
      reconnect: { minDelay: 20, maxDelay: 500 },
      onStatus: (status) => this.statuses.push(status),
    };
    this.done = this.method === "consume" ? this.#consume(options) : this.#watch(options);
    this.done.then(
      () => {
        this.ended = { error: undefined };
      },
      (error) => {
        this.ended = { error };
      },
    );
  }

  async stop() {
    this.#stop.abort();
    await this.#watcher?.close();
    await this.done;
    await this.#client.close();
  }

  #watcher;

  #consume(options) {
    const { signal } = this.#stop;
    return this.#client.consume((frame) => this.#handle(frame), { ...options, signal, concurrency: 4, window: WINDOW });
  }

  /** A handler that acknowledges, and waits for every second response only. */
  async #watch(options) {
    this.#watcher = this.#client.watch(0, WINDOW, options);
    for (;;) {
      let result;
      try {
        result = await this.#watcher.next();
      } catch (error) {
        if (!(error instanceof EasDecodeError)) throw error;
        this.unreadable.push(error);
        continue;
      }
      if (result.done) return;
      const frame = result.value;
      const sent = this.#handle(frame).then(
        () => frame.commit(),
        () => frame.negative("Failed", "chaos"),
      );
      const settled = sent.catch(() => {});
      if (frame.index % 2n === 0n) await settled;
    }
  }

  async #handle(frame) {
    const text = frame.text();
    this.runs.push({ text, index: String(frame.index) });
    const fails = await this.act(text, this);
    if (!fails || this.failures.has(text)) return;
    this.failures.set(text, 1);
    throw new Error("the handler failed on purpose");
  }
}

async function runChaos(_server, { name, mode, kind, calls, seed, random }) {
  const server = await startFaultServer("chaos-server.mjs");
  const problems = [];
  unhandled.length = 0;
  const start = before();
  const clock = new LoopClock();
  const plan = { faultRate: 0.2, cutBytes: 12_000 };
  await server.ask("begin", { seed, plan });
  const failing = new Set();
  const slow = new Set();
  let blocks = 0;
  const act = async (text) => {
    if (slow.has(text)) {
      slow.delete(text);
      blocks++;
      const end = performance.now() + BLOCK_MS;
      while (performance.now() < end);
    }
    await new Promise(setImmediate);
    return failing.has(text);
  };
  const workers = CONSUMERS.map((consumer) => new Worker(consumer, server.ports[0], act));
  for (const worker of workers) worker.start();
  const gids = [...new Set(CONSUMERS.map(({ gid }) => gid))];
  const handledBy = (gid) =>
    new Set(workers.filter((worker) => worker.gid === gid).flatMap(({ runs }) => runs.map(({ text }) => text)));

  /** Waits until `isDone(status)`, as long as there is progress. */
  async function until(what, isDone) {
    let last = "";
    let since = performance.now();
    for (;;) {
      const status = await server.ask("status");
      if (process.env.FAULTS_TRACE)
        console.log(
          what,
          JSON.stringify(status),
          workers.map(({ runs }) => runs.length),
        );
      if (isDone(status)) return;
      for (const { uid, ended } of workers) {
        if (ended) throw new Error(`${uid}: the watch ended before ${what}`, { cause: ended.error });
      }
      const { ends: _, ...progress } = status;
      const now = JSON.stringify([progress, workers.map(({ runs }) => runs.length)]);
      if (now !== last) since = performance.now();
      last = now;
      if (performance.now() - since > STALL_MS)
        throw new Error(`no progress before ${what}: ${JSON.stringify(status)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  const joined = (what) => until(`all have joined ${what}`, ({ consumers }) => consumers.length === CONSUMERS.length);
  /** Puts distinct items, of which some fail once and some are too large. */
  async function fill(generation, wave, length, tooLarge) {
    const texts = Array.from({ length }, (_, i) => `${generation}:${wave}:${i}:${"x".repeat(20 + (i % 97))}`);
    for (const text of texts) if (random() < 0.03) failing.add(text);
    const all = [...texts];
    for (let i = 0; i < tooLarge; i++) all.splice(Math.floor(random() * all.length), 0, 2 * MAX_BYTES);
    await server.ask("fill", { texts: all });
    return texts;
  }
  const handled = (what, texts, share = 1) =>
    until(what, () =>
      gids.every((gid) => {
        const seen = handledBy(gid);
        return texts.filter((text) => seen.has(text)).length >= share * texts.length;
      }),
    );

  const required = [];
  const note = (what) => {
    if (process.env.FAULTS_VERBOSE) console.log(`${what} ${Math.round(performance.now() - startedAt)}`);
  };
  const startedAt = performance.now();
  try {
    await joined("the queue");
    // The queue is deleted while items wait, are handled, and are committed.
    const first = await fill(1, 1, calls / 4, 2);
    await handled("the first queue is half done", first, 0.6);
    await server.ask("recreate");
    await joined("the recreated queue");
    note("recreated");
    const second = await fill(2, 2, calls / 2, 0);
    required.push(...second);
    await handled("the second wave is handled", second);
    await until("the second wave is committed", ({ left }) => left === 0);
    note("committed");
    await server.ask("plan", { faultRate: 0.2, idleMs: IDLE_MS });
    // Two refusals each, because clients once mistook two ends in a row for the end of the queue.
    await until("the proxy has ended idle watches", ({ ends }) =>
      CONSUMERS.every(({ uid }) => (new Map(ends).get(`${uid} idle`) ?? 0) >= 2),
    );
    note("idle");
    const refusals = { websocket: [1013, 1013, 1013, 1013, 1013, 404, 401], http: [503, 404, 401, 400, "end", 503] };
    await server.ask(
      "refuse",
      Object.fromEntries(CONSUMERS.map(({ uid, transport }) => [uid, [...refusals[transport]]])),
    );
    await until("all refusals are used up", ({ refusals }) => refusals === 0);
    await joined("after the refusals");
    note("refused");
    await server.ask("plan", { ...plan, idleMs: IDLE_MS });
    const third = await fill(2, 3, calls / 2, 3);
    required.push(...third);
    slow.add(third[Math.floor(third.length / 2)]);
    await handled("the third wave is handled", third);
    note("handled");
    await until("all is committed", ({ left }) => left === 0);
    note("committed");
  } catch (error) {
    problems.push(`${error.stack}${error.cause ? `\n    ${error.cause?.stack ?? error.cause}` : ""}`);
  }
  for (const worker of workers) {
    await worker.stop().catch((error) => problems.push(`${worker.uid}: ${error.stack}`));
  }
  clock.stop();
  const report = await server.ask("report");
  await server.end();
  problems.push(...checkChaos({ report, workers, required, window: WINDOW, blocks }));
  const ends = report.ends.reduce((sum, [, times]) => sum + times, 0);
  const opened = report.opened.reduce((sum, [, times]) => sum + times, 0);
  const runs = workers.reduce((sum, worker) => sum + worker.runs.length, 0);
  const faults = report.faulted.reduce((sum, [, times]) => sum + times, 0);
  const warnings = workers.reduce((sum, worker) => sum + worker.warnings.length, 0);
  if (process.env.FAULTS_VERBOSE) {
    for (const { uid, warnings: all, statuses } of workers) {
      console.log(
        uid,
        statuses.length,
        JSON.stringify(
          all.filter((each) => !/on purpose/.test(each)),
          null,
          1,
        ),
      );
    }
    console.log(JSON.stringify([report.opened, report.ends, report.named, report.faulted]));
  }
  const row = {
    name,
    mode,
    kind,
    calls,
    answered: Math.min(
      ...gids.map((gid) => handledBy(gid)).map((seen) => required.filter((text) => seen.has(text)).length),
    ),
    retries: ends,
    loop: clock.longest,
    extra: `${opened} connections, ${runs} runs, ${faults} faulted acknowledgments, ${blocks} blocks, ${warnings} warnings`,
  };
  for (const worker of workers) worker.runs.length = worker.statuses.length = worker.warnings.length = 0;
  workers.length = required.length = 0;
  report.generations.length = 0;
  Object.assign(row, await left(start));
  if (row.sockets + row.timers > 0) problems.push(`left: ${row.sockets} sockets, ${row.timers} timers`);
  for (const reason of unhandled) problems.push(`unhandled rejection: ${reason?.stack ?? reason}`);
  return { row, problems };
}
