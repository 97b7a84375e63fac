// One way to call the server.

import { deepStrictEqual, equal, ok } from "node:assert/strict";
import { createHmac, hash } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { PredictClient, TFRequest } from "eas-prediction";
import { PredictResponseSchema } from "eas-prediction/proto/tf";
import { Agent, request } from "undici";
import { dispatching } from "./bare-dispatch.mjs";
import { serve, settings } from "./child.mjs";
import { CHECK, floats, INPUT, kilobyte, OUTPUT, SHAPE, SIGNATURE, SMALL, TENSOR, TOKEN } from "./data.mjs";
import { collectGarbage, cpuSeconds } from "./measure.mjs";

const CONTENT_TYPE = "application/octet-stream";

/** Each makes `call(service, input)`, which gives the answer's body, or fails if the status is not 200. */
const CONTENDERS = {
  "Agent.dispatch": (settings) => dispatching(settings),
  /** With its body in fresh memory, as it is for all who have numbers and no bytes: copied, which no encoder can undercut. */
  "Agent.dispatch, fresh body": (settings) => dispatching(settings, (body) => new Uint8Array(body)),
  "undici.request": ({ origin, connections, authorize }) => {
    const dispatcher = new Agent({ connections, headersTimeout: 0, bodyTimeout: 0 });
    return async (service, body) => {
      const response = await request(`${origin}/api/predict/${service}`, {
        dispatcher,
        method: "POST",
        headers: authorize(service, body),
        body,
      });
      equal(response.statusCode, 200);
      return new Uint8Array(await response.body.arrayBuffer());
    };
  },
  "node:http": ({ origin, connections, authorize }) => {
    const { host, hostname, port } = new URL(origin);
    const agent = new HttpAgent({ keepAlive: true, maxSockets: connections, noDelay: true });
    return (service, body) =>
      new Promise((resolve, reject) => {
        // Given as a list, they are all the headers that there are.
        const headers = ["host", host, ...authorize(service, body), "content-length", String(body.length)];
        const outgoing = httpRequest(
          { agent, hostname, port, path: `/api/predict/${service}`, method: "POST", headers },
          (response) => {
            if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
            const whole = new Uint8Array(Number(response.headers["content-length"]));
            let length = 0;
            response.on("data", (chunk) => {
              whole.set(chunk, length);
              length += chunk.length;
            });
            response.on("end", () => resolve(whole));
            response.on("error", reject);
          },
        );
        outgoing.on("error", reject);
        outgoing.end(body);
      });
  },
  /** A tensor is encoded anew by each call, as every call of a user's does, and its answer is read into a `TFResponse`. */
  predict: ({ origin, connections, signed }) => {
    const clients = clientsOf(origin, connections, signed);
    return (service, input) => clients(service).predict(input);
  },
  /** The call alone: what is sent is bytes already, and what comes is left as it is. */
  "predict, ready bytes": ({ origin, connections, signed }) => {
    const clients = clientsOf(origin, connections, signed);
    return (service, bytes) => clients(service).predict({ toBinary: () => bytes, parseResponse: (body) => body });
  },
};

function clientsOf(endpoint, maxConnectionCount, signed) {
  const clients = new Map();
  return (serviceName) => {
    if (!clients.has(serviceName)) {
      const auth = signed ? "signature" : "token";
      clients.set(
        serviceName,
        new PredictClient({ endpoint, serviceName, token: TOKEN, auth, maxConnectionCount, timeout: 20_000 }),
      );
    }
    return clients.get(serviceName);
  };
}

/** The headers that the SDK sends, in the form that undici and node:http take without a look at each. */
function authorization(signed) {
  if (!signed) {
    const headers = ["content-type", CONTENT_TYPE, "authorization", TOKEN];
    return () => headers;
  }
  let second = -1;
  let date = "";
  return (service, body) => {
    const now = Date.now();
    if (Math.floor(now / 1000) !== second) {
      second = Math.floor(now / 1000);
      date = new Date(now).toUTCString();
    }
    const md5 = hash("md5", body, "hex");
    const text = `POST\n${md5}\n${CONTENT_TYPE}\n${date}\n/api/predict/${service}`;
    const signature = createHmac("sha1", TOKEN).update(text).digest("base64");
    // biome-ignore format: one line for each header
    return [
      "content-type", CONTENT_TYPE,
      "content-md5", md5,
      "date", date,
      "authorization", `EAS ${signature}`,
    ];
  };
}

const { name, signed, origin, connections, serverPid } = settings();
const call = CONTENDERS[name]({ origin, connections, signed, authorize: authorization(signed) });
const tensor = new TFRequest(SIGNATURE).addFeed(INPUT, SHAPE, "DT_FLOAT", floats(1));
const INPUTS = { [SMALL]: kilobyte(1), [TENSOR]: name === "predict" ? tensor : tensor.toBinary() };

/** Proves that right bytes go out and right bytes come back, before anything is timed. */
async function verify(service) {
  const answer = await call(service, INPUTS[service]);
  if (service === SMALL) {
    deepStrictEqual(new Uint8Array(answer), kilobyte(2));
  } else {
    const values =
      name === "predict"
        ? answer.getValues(OUTPUT, "DT_FLOAT")
        : new Float32Array(fromBinary(PredictResponseSchema, answer).outputs[OUTPUT].floatVal);
    deepStrictEqual(values, floats(2));
  }
  // The report is no tensor: where the call encodes one, its answer must not be read as one.
  const input = name === "predict" && service === TENSOR ? reportOf(tensor) : INPUTS[service];
  const report = JSON.parse(new TextDecoder().decode(await call(CHECK, input)));
  equal(report.authorization, signed ? "signature" : "token");
  return report;
}

function reportOf(request) {
  return { toBinary: () => request.toBinary(), parseResponse: (body) => body };
}

/** Keeps `inFlight` calls under way and counts those that end between two moments, when all is running. */
async function sample({ service, inFlight, milliseconds, leadIn, limit }) {
  const input = INPUTS[service];
  let begun = 0;
  let ended = 0;
  let over = false;
  const caller = async () => {
    while (!over && begun < limit) {
      begun++;
      await call(service, input);
      ended++;
    }
  };
  const state = () => ({ ended, at: performance.now(), own: process.cpuUsage(), server: cpuSeconds(serverPid) });
  collectGarbage();
  const callers = Promise.all(Array.from({ length: inFlight }, caller));
  // A failed call ends the sample at once.
  await Promise.race([callers, delay(leadIn)]);
  const from = state();
  await Promise.race([callers, delay(milliseconds)]);
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
  };
}

serve({ verify, sample });
