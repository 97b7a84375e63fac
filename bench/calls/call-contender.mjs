// One way to call the server.

import { deepStrictEqual, equal, ok } from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { TFRequest } from "eas-prediction";
import { PredictResponseSchema } from "eas-prediction/proto/tf";
import { serve, settings } from "../child.mjs";
import { CHECK, floats, INPUT, kilobyte, OUTPUT, SIGNATURE, SMALL, TENSOR_ELEMENTS } from "../data.mjs";
import { collectGarbage, cpuSeconds, summary } from "../measure.mjs";
import { authorization, ENCODING, WAYS } from "./call-ways.mjs";

const { name, signed, origin, connections, serverPid } = settings();
const call = WAYS[name]({ origin, connections, signed, authorize: authorization(signed) });
const encodes = ENCODING.includes(name);

const inputs = { [SMALL]: kilobyte(1) };

/** Created on first use, because not every process sends 8 MB. */
function inputOf(service) {
  if (inputs[service] === undefined) {
    const elements = TENSOR_ELEMENTS[service];
    const tensor = new TFRequest(SIGNATURE).addFeed(INPUT, [elements], "DT_FLOAT", floats(1, elements));
    inputs[service] = encodes ? tensor : tensor.toBinary();
  }
  return inputs[service];
}

/** Proves that requests and responses are correct before anything is timed. */
async function verify(service) {
  const input = inputOf(service);
  const answer = await call(service, input);
  if (service === SMALL) {
    deepStrictEqual(new Uint8Array(answer), kilobyte(2));
  } else {
    const values = encodes
      ? answer.getValues(OUTPUT, "DT_FLOAT")
      : new Float32Array(fromBinary(PredictResponseSchema, answer).outputs[OUTPUT].floatVal);
    deepStrictEqual(values, floats(2, TENSOR_ELEMENTS[service]));
  }
  // The report is not a tensor, so a contender that decodes responses must not decode it.
  const isRequest = encodes && service !== SMALL;
  const report = JSON.parse(new TextDecoder().decode(await call(CHECK, isRequest ? reportOf(input) : input)));
  equal(report.authorization, signed ? "signature" : "token");
  return report;
}

function reportOf(request) {
  return {
    toBinary: () => request.toBinary(),
    toChunks: () => request.toChunks(),
    parseResponse: (body) => body,
  };
}

/** Keeps `inFlight` calls running and counts those that complete within the sample. */
async function sample({ service, inFlight, milliseconds, leadIn, limit }) {
  const input = inputOf(service);
  const durations = [];
  let begun = 0;
  let ended = 0;
  let over = false;
  const caller = async () => {
    while (!over && begun < limit) {
      begun++;
      const start = performance.now();
      await call(service, input);
      durations.push(performance.now() - start);
      ended++;
    }
  };
  const state = () => ({ ended, at: performance.now(), own: process.cpuUsage(), server: cpuSeconds(serverPid) });
  collectGarbage();
  const callers = Promise.all(Array.from({ length: inFlight }, caller));
  // A failed call ends the sample at once.
  await Promise.race([callers, delay(leadIn)]);
  const from = state();
  // On a busy machine, a period may pass without a completed call.
  do await Promise.race([callers, delay(milliseconds)]);
  while (ended === from.ended);
  const to = state();
  ok(begun < limit, `${name} reached the limit of ${limit} calls: the sample is not whole`);
  over = true;
  await callers;
  const seconds = (to.at - from.at) / 1000;
  const own = to.own.user + to.own.system - (from.own.user + from.own.system);
  return {
    value: (to.ended - from.ended) / seconds,
    cpuMicroseconds: own / (to.ended - from.ended),
    clientCpu: own / 1e6 / seconds,
    serverCpu: (to.server - from.server) / seconds,
    latencyMicroseconds: 1000 * summary(durations.slice(from.ended, to.ended)).median,
  };
}

serve({ verify, sample });
