// One way to read chat streams.

import { deepStrictEqual, equal } from "node:assert/strict";
import { serve, settings } from "../child.mjs";
import { collectGarbage, cpuSeconds, summary } from "../measure.mjs";
import { chunksOf } from "./stream-data.mjs";
import { WAYS } from "./stream-ways.mjs";

const { name, origin, serverPid } = settings();
const read = WAYS[name]({ origin });

/** Proves that each event is read correctly before anything is timed. */
async function verify({ service, count }) {
  const values = [];
  await read(service, (value) => values.push(value));
  deepStrictEqual(values, chunksOf(count));
}

/**
 * Reads `inFlight` streams concurrently, `times` in sequence. Returns the values per second, and the processor time
 * of each.
 */
async function sample({ service, count, inFlight, times }) {
  collectGarbage();
  const usageBefore = process.cpuUsage();
  const serverBefore = cpuSeconds(serverPid);
  const start = performance.now();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (let i = 0; i < times; i++) await readOne(service, count);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(usageBefore);
  const values = count * inFlight * times;
  return {
    value: values / seconds,
    cpuMicroseconds: (user + system) / values,
    clientCpu: (user + system) / 1e6 / seconds,
    serverCpu: (cpuSeconds(serverPid) - serverBefore) / seconds,
  };
}

async function readOne(service, count) {
  let values = 0;
  await read(service, () => values++);
  equal(values, count);
}

/** Returns the milliseconds from the call to the first value: the median of `times` streams in sequence. */
async function latency({ service, times }) {
  collectGarbage();
  const usageBefore = process.cpuUsage();
  const latencies = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    let first;
    await read(service, () => {
      first ??= performance.now() - start;
    });
    latencies.push(first);
  }
  const { user, system } = process.cpuUsage(usageBefore);
  return { value: summary(latencies).median, cpuMicroseconds: (user + system) / times };
}

serve({ verify, sample, latency });
