// Measures time and memory of calls, for a given concurrency and size.

import { equal, ok } from "node:assert/strict";
import { PredictClient, TFRequest, TFResponse } from "eas-prediction";
import { dispatching } from "../calls/bare-dispatch.mjs";
import { serve, settings } from "../child.mjs";
import { HELD, INPUT, kilobyte, OUTPUT, SIGNATURE, SIZED_TENSOR, SMALL, TOKEN } from "../data.mjs";
import { collectGarbage } from "../measure.mjs";
import { atRest, collectAll, heapBytes, peakResident, resetPeak, resident } from "../memory/memory-use.mjs";

const { origin, connections, isBare = false } = settings();
const input = kilobyte(1);
const expected = kilobyte(2);
const floats = new Float32Array(2 ** 24).fill(0.5);

const clients = new Map();
function clientOf(serviceName) {
  if (!clients.has(serviceName)) {
    const options = { endpoint: origin, serviceName, token: TOKEN, maxConnectionCount: connections, timeout: 60_000 };
    clients.set(serviceName, new PredictClient({ ...options, auth: "token" }));
  }
  return clients.get(serviceName);
}

const dispatch = dispatching({ origin, connections, authorize: () => ["authorization", TOKEN] });
const smallCall = isBare ? () => dispatch(SMALL, input) : () => clientOf(SMALL).predict(input);

async function callsAtOnce(count) {
  const answers = await Promise.all(Array.from({ length: count }, smallCall));
  for (const answer of answers) equal(Buffer.compare(answer, expected), 0);
}

/** A call that sends a tensor, receives one of the same size, and reads its values. */
async function callOfSize(bytes) {
  const length = bytes / 4;
  const request = new TFRequest(SIGNATURE).addFeed(INPUT, [length], "DT_FLOAT", floats.subarray(0, length));
  const values = (
    await clientOf(`${SIZED_TENSOR}_${length}`).predict({
      toBinary: () => request.toBinary(),
      parseResponse: (body) => new TFResponse(body),
    })
  ).getValues(OUTPUT, "DT_FLOAT");
  ok(values.length === length && values[0] === 1 && values[length - 1] === 1);
}

/** Returns the milliseconds of one run of `work`, which is repeated for about the given time. */
async function timeOf(work, milliseconds) {
  collectGarbage();
  const start = performance.now();
  let count = 0;
  do {
    await work();
    count++;
  } while (performance.now() - start < milliseconds);
  return (performance.now() - start) / count;
}

/** Calls that the server holds, and the heap before them. */
let held = [];
let heapBefore = 0;

serve({
  timeOfCalls: ({ count, milliseconds }) => timeOf(() => callsAtOnce(count), milliseconds),
  timeOfSize: ({ bytes, milliseconds }) => timeOf(() => callOfSize(bytes), milliseconds),
  /** No connection exists yet, but the code of a call is loaded. */
  async beforeHeld() {
    await callsAtOnce(64);
    await Promise.all([...clients.values()].map((client) => client.close()));
    clients.clear();
    await atRest();
    collectAll();
    heapBefore = heapBytes();
  },
  hold(count) {
    held = Array.from({ length: count }, () => clientOf(HELD).predict(input));
  },
  /** Returns the bytes of the held calls, with their connections. */
  heldBytes() {
    collectAll();
    return heapBytes() - heapBefore;
  },
  async endHeld() {
    for (const answer of await Promise.all(held)) equal(Buffer.compare(answer, expected), 0);
    held = [];
  },
  /** Returns the peak of resident bytes, beyond the caller's own, in a call of a given size. */
  async peakOfSize({ bytes }) {
    await callOfSize(1024);
    collectAll();
    await atRest();
    resetPeak();
    const before = resident();
    await callOfSize(bytes);
    return peakResident() - before;
  },
});
