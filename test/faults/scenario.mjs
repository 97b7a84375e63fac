import { getEventListeners, setMaxListeners } from "node:events";
import {
  ENDPOINT_TYPE_DIRECT,
  ENDPOINT_TYPE_GATEWAY,
  isEasError,
  PredictClient,
  QueueClient,
} from "../../dist/index.js";
import { attempts, before, LoopClock, left, percentile, unhandled } from "./measure.mjs";

const TOKEN = "fault-token";
/** Milliseconds by which a deadline may be late, in addition to the current turn of the event loop. */
const LATE_MS = 50;
/** Maximum growth of the heap after a scenario. */
const HEAP_BYTES = 8 * 1024 * 1024;
const BACKOFF_MS = 50;
const BACKOFF_CAP_MS = 2_000;

let queues = 0;

/**
 * Sends calls under faults, and checks the invariants. Returns the row of the table.
 *
 * `kind` is "predict" or "queue": puts, gets with autoDelete, gets without it, and commits, round-robin.
 * `expect(row)` returns further problems.
 */
export async function runScenario(server, options) {
  const { name, mode, kind, calls, concurrency = 20, seed, plans = [], client: own = {}, call: callOptions } = options;
  const { mayBeCut = false, abortAfter, during, expect, endpoint, random = Math.random } = options;
  const queue = `q${++queues}`;
  const [gateway, ...instances] = server.ports;
  const items = instances.map((port) => ({ ip: "127.0.0.1", port, weight: 100 }));
  const discovery = options.discovery ?? { status: 200, items };
  await server.ask("begin", { seed, plans, queue, discovery });
  const ids = Array.from({ length: calls }, (_, i) => String(i + 1));
  const indexes = kind === "queue" ? await server.ask("fill", { queue, ids }) : [];

  attempts.clear();
  unhandled.length = 0;
  const problems = [];
  const start = before();
  const clock = new LoopClock();
  const shared = new AbortController();
  setMaxListeners(0, shared.signal);
  const settings = {
    endpoint: endpoint ?? `http://127.0.0.1:${gateway}`,
    token: TOKEN,
    endpointType: mode === "direct" ? ENDPOINT_TYPE_DIRECT : ENDPOINT_TYPE_GATEWAY,
    ...own,
  };
  const client =
    kind === "predict"
      ? new PredictClient({ ...settings, serviceName: "echo" })
      : new QueueClient({ ...settings, queueName: queue, logger: null });
  const operations = kind === "predict" ? PREDICT : QUEUE;
  /** Entries: id, operation, elapsed time, error or undefined, time of the abort or undefined, start time. */
  const outcomes = [];
  const ended = during?.({ server, instances, items });

  async function one(i) {
    const id = ids[i];
    const operation = operations[i % operations.length];
    const controller = abortAfter === undefined ? undefined : new AbortController();
    const reason = new Error(`abort of ${id}`);
    let abortedAt;
    const timer =
      controller &&
      setTimeout(() => {
        abortedAt = performance.now();
        controller.abort(reason);
      }, random() * abortAfter);
    const given = { headers: { "x-call": id }, signal: controller?.signal ?? shared.signal, ...callOptions };
    const begun = performance.now();
    let error;
    let settled;
    try {
      const answer = await operation.run(client, id, given, indexes[i]);
      settled = performance.now();
      const wrong = operation.check(answer, id, mayBeCut);
      if (wrong) problems.push(`call ${id}: ${wrong}`);
      operation.note?.(answer, id);
    } catch (thrown) {
      settled = performance.now();
      error = thrown;
      if (!isEasError(thrown) && thrown !== reason)
        problems.push(`call ${id} rejected with ${thrown?.stack ?? thrown}`);
    }
    clearTimeout(timer);
    if (controller && getEventListeners(controller.signal, "abort").length > 0)
      problems.push(`call ${id} left a listener`);
    outcomes.push({ id, operation, begun, settled, error, abortedAt });
  }

  let next = 0;
  const workers = Array.from({ length: Math.min(concurrency, calls) }, async () => {
    while (next < calls) await one(next++);
  });
  const hung = await unlessHung(Promise.all(workers), options.patience ?? 60_000);
  if (hung) problems.push(`${calls - outcomes.length} promises never settled`);
  const extra = await ended;
  await unlessHung(client.close(), 10_000).then((hangs) => hangs && problems.push("close() never resolved"));
  clock.stop();
  const listeners = getEventListeners(shared.signal, "abort").length;
  const report = await server.ask("report");
  const stored = kind === "queue" ? await server.ask("items", { queue }) : [];

  const facts = {
    received: new Map(report.received),
    refused: new Map(report.refused),
    settings: { ...DEFAULTS, ...own, ...callOptions },
  };
  if (options.hasLog !== false)
    problems.push(...sendingProblems(outcomes, facts), ...storeProblems(outcomes, stored, mayBeCut));
  const late = lateness(outcomes, facts.settings, clock, options, problems);
  const durations = outcomes.map(({ begun, settled }) => settled - begun);
  const row = {
    name,
    mode,
    kind,
    calls,
    answered: outcomes.filter(({ error }) => error === undefined).length,
    failed: failures(outcomes),
    retries: outcomes.reduce((sum, { id }) => sum + Math.max(0, (attempts.get(id) ?? 0) - 1), 0),
    p50: percentile(durations, 0.5),
    p99: percentile(durations, 0.99),
    late,
    loop: clock.longest,
    listeners,
    report,
    extra,
  };
  // The results of the calls belong to the test, and must not count as the client's heap.
  const errors = outcomes.map(({ error }) => error?.code ?? error?.name);
  if (expect) problems.push(...[expect(row, outcomes, errors)].flat().filter(Boolean));
  outcomes.length = durations.length = indexes.length = ids.length = 0;
  facts.received.clear();
  attempts.clear();
  Object.assign(row, await left(start, options.givenBackIn));
  row.report = undefined;
  if (row.sockets + row.timers + listeners > 0)
    problems.push(`left: ${row.sockets} sockets, ${listeners} listeners, ${row.timers} timers`);
  if (row.heap > HEAP_BYTES) problems.push(`the heap grew by ${Math.round(row.heap / 1024)} KiB`);
  for (const reason of unhandled) problems.push(`unhandled rejection: ${reason?.stack ?? reason}`);
  return { row, problems };
}

const DEFAULTS = { timeout: 5_000, totalTimeout: 60_000, retryCount: 5, maxConnectionCount: 100 };

/** Returns whether a promise is pending after a number of milliseconds. Throws what it rejects with. */
async function unlessHung(promise, milliseconds) {
  let timer;
  const hung = new Promise((resolve) => {
    timer = setTimeout(() => resolve(true), milliseconds);
  });
  return await Promise.race([promise.then(() => false), hung]).finally(() => clearTimeout(timer));
}

const bodyOf = (id) => Buffer.from(`call ${id} ${"x".repeat(Number(id) % 97)}.`);

const PREDICT = [
  {
    kind: "predict",
    run: (client, id, given) => client.predict(bodyOf(id), given),
    check(answer, id, mayBeCut) {
      const text = Buffer.from(answer).toString();
      const own = bodyOf(id).toString();
      if (text === own || (mayBeCut && own.startsWith(text))) return undefined;
      return `an answer that is not its own: ${text.slice(0, 80)}`;
    },
  },
];

/** A get by index, so that an item of another call would be noticed. */
const getOperation = (kind, autoDelete) => ({
  kind,
  run: (client, id, given) => client.get({ ...given, autoDelete, timeout: 0, tags: { call: id } }),
  check(frames, id) {
    const texts = frames.map((frame) => frame.text());
    return texts.length === 1 && texts[0] === `item ${id}` ? undefined : `items that are not its own: ${texts}`;
  },
});

const QUEUE = [
  {
    kind: "put",
    run: (client, id, given) => client.put(`put ${id}`, { ...given, tags: { call: `put ${id}` } }),
    check: () => undefined,
    note: (answer, id) => putIndexes.set(id, String(answer.index)),
  },
  getOperation("take", true),
  getOperation("get", false),
  { kind: "commit", run: (client, _, given, index) => client.commit(BigInt(index), given), check: () => undefined },
];
const putIndexes = new Map();

const UNSAFE = { put: "maybeAccepted", take: "maybeTaken" };

/** Compares the server's log with the client's reports: requests sent twice, and properties of errors. */
function sendingProblems(outcomes, { received, refused }) {
  const problems = [];
  for (const { id, operation, error, abortedAt } of outcomes) {
    const flag = UNSAFE[operation.kind];
    const done = (received.get(id) ?? 0) - (refused.get(id) ?? 0);
    if (error === undefined && done === 0) problems.push(`call ${id} succeeded, but the server did not receive it`);
    if (flag === undefined) {
      if (error?.maybeAccepted || error?.maybeTaken)
        problems.push(`${operation.kind} ${id} reports ${flag} without a reason`);
      continue;
    }
    if (done > 1) problems.push(`${operation.kind} ${id} was sent ${done} times`);
    // An abort rejects with the caller's reason, which has no properties to check.
    if (error === undefined || abortedAt !== undefined) continue;
    if (done > 0 && !error[flag])
      problems.push(`${operation.kind} ${id} was processed, but the error does not report ${flag}`);
  }
  return problems;
}

/** Compares the queue's content with the client's results. */
function storeProblems(outcomes, stored, mayBeCut) {
  const problems = [];
  const byTag = new Map();
  for (const [index, tag] of stored) byTag.set(tag, [...(byTag.get(tag) ?? []), index]);
  for (const { id, operation, error } of outcomes) {
    if (operation.kind === "put") {
      const held = byTag.get(`put ${id}`) ?? [];
      if (held.length > 1) problems.push(`put ${id} is stored ${held.length} times`);
      if (error === undefined) {
        const reported = putIndexes.get(id);
        if (held[0] !== reported && !(mayBeCut && held[0]?.startsWith(reported)))
          problems.push(`put ${id} is at ${held[0]} instead of ${reported}`);
      } else if (held.length > 0 && error.code && !error.maybeAccepted)
        problems.push(`put ${id} is stored, but the error does not report maybeAccepted`);
    } else if ((operation.kind === "commit" || operation.kind === "take") && error === undefined && byTag.has(id)) {
      problems.push(`${operation.kind} ${id} succeeded, but its item is still stored`);
    }
  }
  putIndexes.clear();
  return problems;
}

/**
 * Returns the maximum delay past a deadline in milliseconds. Adds a problem if neither the allowance nor a busy
 * event loop explains it.
 */
function lateness(outcomes, settings, clock, options, problems) {
  const { timeout, totalTimeout, maxConnectionCount } = settings;
  const { concurrency = 20, firstList = 0, allAtOnce = false } = options;
  let latest = 0;
  for (const { id, operation, begun, settled, error, abortedAt } of outcomes) {
    const made = Math.max(1, attempts.get(id) ?? 1);
    let limit = totalTimeout;
    // With more calls than connections, the wait for a connection counts only against the timeout of the whole call.
    const others = firstList + (operation.kind === "put" ? timeout : 0);
    if (concurrency <= maxConnectionCount) limit = Math.min(limit, others + made * timeout + backoffs(made - 1));
    const due = Math.min(begun + limit, abortedAt ?? Number.POSITIVE_INFINITY);
    const late = settled - due;
    if (late > 0) latest = Math.max(latest, late);
    // A busy turn at any time of the call delays its timers.
    const busy = late > LATE_MS ? clock.busyIn(begun, settled, allAtOnce) : 0;
    if (late > LATE_MS + busy) {
      problems.push(
        `call ${id} ended ${Math.round(late)} ms after its deadline; the longest turn of the event loop was ${Math.round(busy)} ms`,
      );
    }
    if (error?.code === "ERR_EAS_TIMEOUT" && settled - begun < error.timeout - 1) {
      problems.push(`call ${id} ran out of ${error.timeout} ms after ${Math.round(settled - begun)}`);
    }
  }
  return latest;
}

function backoffs(retries) {
  let sum = 0;
  for (let retry = 0; retry < retries; retry++) sum += Math.min(BACKOFF_CAP_MS, BACKOFF_MS * 2 ** retry);
  return sum;
}

/** A summary such as `put NETWORK×3`. */
function failures(outcomes) {
  const counts = new Map();
  for (const { operation, error, abortedAt } of outcomes) {
    if (error === undefined) continue;
    const code = error.code?.replace("ERR_EAS_", "") ?? (abortedAt === undefined ? error.name : "aborted");
    const key = operation.kind === "predict" ? code : `${operation.kind} ${code}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([key, count]) => `${key}×${count}`).join(" ");
}
