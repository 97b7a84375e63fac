// One operation that takes memory. It runs once, in a process that has made one small call before.

import { deepStrictEqual, equal, ok } from "node:assert/strict";
import { hash } from "node:crypto";
import { getHeapStatistics } from "node:v8";
import { PredictClient, TFRequest, TFResponse } from "eas-prediction";
import { dispatching } from "../calls/bare-dispatch.mjs";
import { serve, settings } from "../child.mjs";
import { CHECK, INPUT, kilobyte, OUTPUT, SIGNATURE, SIZED, SIZED_TENSOR, SMALL, TOKEN } from "../data.mjs";
import { atRest, collectAll, peakResident, resetPeak, resident } from "./memory-use.mjs";

const FLOATS = 2 ** 24;
const BYTES = 4 * FLOATS;
const CALLS = 10_000;

const { name, client: kind, auth, origin, isAtOnce = false, zeroCopy = false } = settings();
const options = { endpoint: origin, token: TOKEN, auth, zeroCopy, timeout: 60_000 };
const clients = new Map();
const dispatch = dispatching({ origin, connections: 100, authorize: () => ["authorization", TOKEN] });

/** Returns the complete response of a service to bytes or a request object. */
function call(service, input) {
  if (kind === "Agent.dispatch") return dispatch(service, input);
  if (!clients.has(service)) clients.set(service, new PredictClient({ ...options, serviceName: service }));
  return clients.get(service).predict(input);
}

/** The last result of `toBinary`. */
let encoded = 0;

/** Each creates the caller's data and returns the measured operation, which reports its number of bytes. */
const TASKS = {
  request() {
    const request = new TFRequest(SIGNATURE).addFeed(INPUT, [FLOATS], "DT_FLOAT", new Float32Array(FLOATS).fill(0.5));
    const expected = hash("md5", request.toBinary(), "hex");
    return async () => {
      const { md5 } = await call(CHECK, reporting(request));
      equal(md5, expected);
      return encoded;
    };
  },
  "ready bytes"() {
    const bytes = new Uint8Array(BYTES).fill(1);
    const expected = hash("md5", bytes, "hex");
    return async () => {
      const { md5 } = JSON.parse(new TextDecoder().decode(await call(CHECK, bytes)));
      equal(md5, expected);
      return BYTES;
    };
  },
  "response, bytes": () => async () => {
    const body = await call(`${SIZED}_${BYTES}`, kilobyte(1));
    ok(body.length === BYTES && body.every((byte) => byte === 1));
    return BYTES;
  },
  "response, values": () => async () => {
    const parseResponse = (body) => {
      encoded = body.length;
      return new TFResponse(body);
    };
    const response = await call(`${SIZED_TENSOR}_${FLOATS}`, { toBinary: () => kilobyte(1), parseResponse });
    const values = response.getValues(OUTPUT, "DT_FLOAT");
    ok(values.length === FLOATS && values.every((value) => value === 1));
    return encoded;
  },
  calls() {
    const input = kilobyte(1);
    const expected = kilobyte(2);
    return async () => {
      const calls = Array.from({ length: CALLS }, () => call(SMALL, input));
      lookAtHeap();
      for (const answer of await Promise.all(calls)) equal(Buffer.compare(answer, expected), 0);
      return CALLS * input.length;
    };
  },
};

/** A request to which the server responds with a report of it. */
function reporting(request) {
  return {
    toBinary() {
      const bytes = request.toBinary();
      encoded = bytes.length;
      return bytes;
    },
    toChunks() {
      const pieces = request.toChunks();
      encoded = pieces.reduce((sum, { length }) => sum + length, 0);
      return pieces;
    },
    parseResponse: (body) => JSON.parse(new TextDecoder().decode(body)),
  };
}

let mostHeap = 0;
function lookAtHeap() {
  mostHeap = Math.max(mostHeap, getHeapStatistics().used_heap_size);
}

serve({
  /** Returns the additional bytes: the peak of resident memory, and the peak of objects. */
  async measure() {
    const task = TASKS[name]();
    deepStrictEqual(new Uint8Array(await call(SMALL, kilobyte(1))), kilobyte(2));
    collectAll();
    if (!isAtOnce) await atRest();
    resetPeak();
    const before = resident();
    const heapBefore = getHeapStatistics().used_heap_size;
    const timer = setInterval(lookAtHeap, 5);
    const size = await task();
    lookAtHeap();
    const peak = peakResident() - before;
    clearInterval(timer);
    return { size, peak, heap: mostHeap - heapBefore };
  },
});
