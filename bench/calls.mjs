// `predict` against the bare clients that it could be built on, over loopback: 1 KB and 600 KB, one and 64 in flight, with a
// token and signed. The server and every contender are processes of their own; only one contender runs at a time.

import { deepStrictEqual, equal } from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { SMALL, TENSOR } from "./data.mjs";
import { measure } from "./measure.mjs";

/** Of every contender; as many as calls are in flight at the most. */
const CONNECTIONS = 64;
const BARE = ["Agent.dispatch", "undici.request", "node:http"];
const READY = "predict, ready bytes";
/** The most calls of one sample: a bound, far above what any of them reaches. */
const LIMIT = 200_000;

// The first one has the long warm-up, in which the engine compiles what all of them run.
const CASES = [
  { name: "1 KB, 64 in flight", service: SMALL, inFlight: 64, milliseconds: 300, leadIn: 60, warmUp: 2000, rounds: 9 },
  { name: "1 KB, 1 in flight", service: SMALL, inFlight: 1, milliseconds: 250, leadIn: 30, warmUp: 400, rounds: 7 },
  {
    name: "600 KB, 64 in flight",
    service: TENSOR,
    inFlight: 64,
    milliseconds: 400,
    leadIn: 150,
    warmUp: 800,
    rounds: 7,
  },
  { name: "600 KB, 1 in flight", service: TENSOR, inFlight: 1, milliseconds: 250, leadIn: 30, warmUp: 400, rounds: 7 },
];

/** All figures of the calls whose name is `wanted`, in requests a second. */
export async function run(wanted, report) {
  const cases = CASES.filter(({ name }) => wanted(name));
  if (cases.length === 0) return [];
  const children = [];
  try {
    const server = new Child("server.mjs", {});
    children.push(server);
    const [{ origin }] = await once(server.process, "message");
    const contenders = [];
    for (const signed of [false, true]) {
      for (const name of [...BARE, "predict", READY]) {
        const child = new Child("contender.mjs", {
          name,
          signed,
          origin,
          connections: CONNECTIONS,
          serverPid: server.process.pid,
        });
        children.push(child);
        contenders.push({ name, signed, child });
      }
    }
    const processes = [process.pid, ...children.map((child) => child.process.pid)];
    const results = [];
    for (const { name, service, rounds, warmUp, ...order } of cases) {
      await verify(contenders, service);
      const taking = contenders
        // Of a kilobyte nothing is encoded, so there is nothing to tell apart.
        .filter((contender) => service === TENSOR || contender.name !== READY)
        .map(({ name, signed, child }) => ({
          name: signed ? `${name}, signed` : name,
          sample: (milliseconds = order.milliseconds) =>
            child.ask({ sample: { ...order, service, milliseconds, limit: LIMIT } }),
        }));
      for (const { sample } of taking) await sample(warmUp);
      const budget = 1.2 * rounds * taking.length * (order.milliseconds + order.leadIn);
      // Signed calls have a ceiling of their own: no client can sign for nothing.
      const measured = await measure({
        name,
        unit: "requests/s",
        ceiling: BARE,
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
    for (const child of children) child.process.disconnect();
  }
}

/** Checks every contender's answer, and that all send the same. */
async function verify(contenders, service) {
  const sent = [];
  for (const { signed, child } of contenders) {
    const { headers, md5 } = await child.ask({ verify: service });
    sent.push({
      signed,
      md5,
      names: Object.keys(headers)
        .filter((name) => name !== "connection")
        .sort(),
    });
  }
  for (const signed of [false, true]) {
    const [first, ...others] = sent.filter((one) => one.signed === signed);
    for (const other of others) deepStrictEqual(other, first, "all send the same headers and the same body");
  }
  equal(new Set(sent.map(({ md5 }) => md5)).size, 1);
}

/** A process of this folder that answers one question at a time, and ends when this one does. */
class Child {
  #id = 0;

  constructor(file, settings) {
    this.process = fork(new URL(file, import.meta.url), [JSON.stringify(settings)]);
  }

  async ask(question) {
    const id = ++this.#id;
    this.process.send({ id, ...question });
    const answer = await new Promise((resolve, reject) => {
      const onExit = (code) => reject(new Error(`a contender ended with ${code}`));
      this.process.once("exit", onExit);
      this.process.once("message", (message) => {
        this.process.off("exit", onExit);
        resolve(message);
      });
    });
    if (answer.id !== id) throw new Error("an answer to another question");
    if (answer.error) throw new Error(answer.error);
    return answer.result;
  }
}
