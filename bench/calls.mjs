// `predict` against the bare clients that it could be built on, over loopback: 1 KB and 600 KB, one and 64 in flight, with a
// token and signed. The server and every contender are processes of their own; only one contender runs at a time.

import { deepStrictEqual, equal } from "node:assert/strict";
import { bar, ratioBar } from "./bars.mjs";
import { Child } from "./child.mjs";
import { SMALL, TENSOR } from "./data.mjs";
import { measure, summary } from "./measure.mjs";

/** Of every contender; as many as calls are in flight at the most. */
const CONNECTIONS = 64;
const BARE = ["undici.request", "node:http", "Agent.dispatch"];
/** What the short form compares with. */
const BAREST = ["Agent.dispatch"];
const READY = "predict, ready bytes";
const FRESH = "Agent.dispatch, fresh body";
/** Only of a tensor: they tell apart what encoding costs and what the call does. */
const BREAKDOWN = [READY, FRESH];
/** The most calls of one sample: a bound, far above what any of them reaches. */
const LIMIT = 200_000;

// Short samples in many rounds: the machine's speed changes within seconds, and what is compared should share it. The
// first case has the long warm-up, in which the engine compiles what all of them run.
const CASES = [
  { name: "1 KB, 64 in flight", service: SMALL, inFlight: 64, milliseconds: 120, leadIn: 30, warmUp: 2000, rounds: 24 },
  { name: "1 KB, 1 in flight", service: SMALL, inFlight: 1, milliseconds: 100, leadIn: 15, warmUp: 400, rounds: 14 },
  {
    name: "600 KB, 64 in flight",
    service: TENSOR,
    inFlight: 64,
    milliseconds: 200,
    leadIn: 100,
    warmUp: 800,
    rounds: 12,
  },
  { name: "600 KB, 1 in flight", service: TENSOR, inFlight: 1, milliseconds: 120, leadIn: 15, warmUp: 400, rounds: 14 },
];

const signedName = (name) => `${name}, signed`;

/** All figures of the calls whose name is `wanted`, in requests a second; `short` has fewer rounds and contenders. */
export async function run(wanted, report, { short = false } = {}) {
  const cases = CASES.filter(({ name }) => wanted(name));
  if (cases.length === 0) return [];
  const bare = short ? BAREST : BARE;
  const children = [];
  try {
    const server = new Child("server.mjs");
    children.push(server);
    const origin = await server.ask("listen");
    const contenders = [];
    for (const signed of short ? [false] : [false, true]) {
      for (const name of [...bare, "predict", ...(short ? [] : BREAKDOWN)]) {
        if (signed && name === FRESH) continue;
        const child = new Child("call-contender.mjs", {
          name,
          signed,
          origin,
          connections: CONNECTIONS,
          serverPid: server.pid,
        });
        children.push(child);
        contenders.push({ name, signed, child });
      }
    }
    const processes = [process.pid, ...children.map(({ pid }) => pid)];
    const results = [];
    for (const { name, service, ...order } of cases) {
      const { rounds, warmUp } = short ? { rounds: 5, warmUp: order.warmUp / 4 } : order;
      await verify(contenders, service);
      const taking = contenders
        .filter(({ name }) => service === TENSOR || !BREAKDOWN.includes(name))
        .map(({ name, signed, child }) => ({
          name: signed ? signedName(name) : name,
          // No client can sign for nothing.
          ceiling: signed ? bare.map(signedName) : bare,
          sample: (milliseconds = order.milliseconds) =>
            child.ask("sample", { ...order, service, milliseconds, limit: LIMIT }),
        }));
      for (const { sample } of taking) await sample(warmUp);
      const budget = 1.15 * rounds * taking.length * (order.milliseconds + order.leadIn);
      const measured = await measure({
        name,
        unit: "requests/s",
        ceiling: bare,
        contenders: taking,
        rounds,
        budget,
        processes,
      });
      results.push(measured);
      report(measured);
    }
    return results;
  } finally {
    for (const child of children) child.end();
  }
}

/** Checks every contender's answer, and that all send the same. */
async function verify(contenders, service) {
  const sent = [];
  for (const { signed, child } of contenders) {
    const { headers, md5 } = await child.ask("verify", service);
    sent.push({
      signed,
      md5,
      names: Object.keys(headers)
        .filter((name) => name !== "connection")
        .sort(),
    });
  }
  for (const signed of new Set(sent.map(({ signed }) => signed))) {
    const [first, ...others] = sent.filter((one) => one.signed === signed);
    for (const other of others) deepStrictEqual(other, first, "all send the same headers and the same body");
  }
  equal(new Set(sent.map(({ md5 }) => md5)).size, 1);
}

/** Signed calls a second of the official Python SDK, measured on another machine. */
const PYTHON = 3255;

export function bars(groups) {
  return groups.flatMap((group) => {
    const { name } = group;
    if (name.startsWith("600 KB"))
      return [ratioBar(group, "predict / the fastest bare client", "≥ 0.9", "predict", BARE)];
    if (name !== "1 KB, 64 in flight") return [];
    const signed = signedName("predict");
    return [
      ratioBar(group, "predict / Agent.dispatch", "≥ 0.85", "predict", "Agent.dispatch"),
      ratioBar(group, "predict / undici.request", "≥ 1", "predict", "undici.request"),
      ratioBar(group, "signed / Agent.dispatch + MD5 + HMAC", "≥ 0.85", signed, signedName("Agent.dispatch")),
      bar(
        `${name}: signed, times the Python SDK`,
        "≥ 7",
        summary(group.samples.map((round) => round[signed].value / PYTHON)),
        "Python was measured on another machine",
      ),
    ];
  });
}
