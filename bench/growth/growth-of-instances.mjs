// Measures the choice among many instances of a service. A custom transport responds at once, because ten thousand
// real servers are not available. So only the client's work is measured.

import { equal } from "node:assert/strict";
import { ENDPOINT_TYPE_DIRECT, PredictClient } from "eas-prediction";
import { serve } from "../child.mjs";
import { kilobyte } from "../data.mjs";
import { collectGarbage } from "../measure.mjs";
import { collectAll, heapBytes } from "../memory/memory-use.mjs";

const input = kilobyte(1);
const ANSWER = { status: 200, headers: new Headers(), contentEncoding: undefined, body: kilobyte(2) };
const UNWELL = { ...ANSWER, status: 500 };

function instances(count) {
  const weight = (i) => 50 + (i % 3) * 50;
  return Array.from({ length: count }, (_, i) => ({
    host: `10.0.${i >> 8}.${i & 255}`,
    port: 8080,
    weight: weight(i),
  }));
}

/**
 * Returns a client of `count` instances, of which the first `dead` respond with 500. `onCall` receives the target of
 * each call.
 */
function clientOf(count, { dead = 0, balancer = "weighted-round-robin", onCall = () => {} } = {}) {
  const list = instances(count);
  const unwell = new Set(list.slice(0, dead).map(({ host, port }) => `http://${host}:${port}`));
  const transport = {
    async send({ origin }) {
      onCall(origin);
      return unwell.has(origin) ? UNWELL : ANSWER;
    },
    async close() {},
  };
  return new PredictClient({
    serviceName: "many",
    endpointType: ENDPOINT_TYPE_DIRECT,
    endpointSource: () => list,
    discovery: { interval: 3_600_000 },
    balancer,
    transport,
    retryCount: 0,
  });
}

/** Returns the milliseconds that `work` takes. */
async function timeOf(work) {
  collectGarbage();
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function calls(client, count) {
  for (let i = 0; i < count; i++) await client.predict(input);
}

const CALLS = 4_000;
/** Consecutive failures after which an instance is ejected. */
const FAILURES = 5;

serve({
  /** Time until the first call completes, including reading the list of instances. */
  async list({ count }) {
    const client = clientOf(count);
    const time = await timeOf(() => client.predict(input));
    await client.close();
    return time;
  },
  /** Time of one call. */
  async choose({ count, balancer }) {
    const called = new Set();
    let onCall = (origin) => called.add(origin);
    const client = clientOf(count, { balancer, onCall: (origin) => onCall(origin) });
    // Every instance is called before, so that no first call is timed.
    while (called.size < count) await client.predict(input);
    let answered = 0;
    onCall = () => answered++;
    const time = await timeOf(() => calls(client, CALLS));
    equal(answered, CALLS);
    await client.close();
    return time / CALLS;
  },
  /** Memory of the list, and of the state of each called instance. */
  async heap({ count }) {
    collectAll();
    const before = heapBytes();
    let called = new Set();
    const client = clientOf(count, { onCall: (origin) => called?.add(origin) });
    while (called.size < count) await client.predict(input);
    called = undefined;
    collectAll();
    const bytes = heapBytes() - before;
    await client.close();
    return bytes;
  },
  /** Time until the failing half is ejected. */
  async outage({ count }) {
    const dead = Math.floor(count / 2);
    const client = clientOf(count, { dead });
    let failed = 0;
    const time = await timeOf(async () => {
      while (failed < dead * FAILURES) await client.predict(input).catch(() => failed++);
    });
    // Ejected instances stay out for at least 1 s. On a busy machine that time is over, and a probe may reach one of
    // them.
    for (let i = 0; i < 10; i++) await client.predict(input).catch(() => {});
    await client.close();
    return time;
  },
});
