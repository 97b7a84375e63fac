// `predict` against the bare clients that it could be built on, and against the official Python SDK, over loopback,
// with a token and signed. The server and each contender are separate processes. One contender runs at a time.

import { deepStrictEqual, equal } from "node:assert/strict";
import { bar, ratioBar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { CHECK, floats, INPUT, kilobyte, OUTPUT, SIGNATURE, SMALL, TENSOR_ELEMENTS, TOKEN } from "../data.mjs";
import { measure, ratio, summary } from "../measure.mjs";
import { pythonSdks } from "../python/environment.mjs";
import { PythonChild } from "../python/python-child.mjs";
import { CASES, CONNECTIONS, contendersOf, LIMIT } from "./call-cases.mjs";

const BARE = ["undici.request", "node:http", "Agent.dispatch"];
const PYTHON_THREADS = [1, 8];

const signedName = (name) => `${name}, signed`;
const pythonName = (threads) => signedName(`Python SDK, ${threads} ${threads === 1 ? "thread" : "threads"}`);

/** Measures the cases whose name is `wanted`, in requests per second. `short` has fewer rounds and contenders. */
export async function run(wanted, report, { short = false } = {}) {
  const cases = CASES.filter(({ name }) => wanted(name));
  if (cases.length === 0) return [];
  // The fastest installation, which uses the C++ backend.
  const [sdk] = !short && cases.some(({ withPython }) => withPython) ? pythonSdks() : [];
  const bare = short ? ["Agent.dispatch"] : BARE;
  const fleet = await Fleet.start(sdk);
  try {
    const results = [];
    for (const { name, service, withPython, ...order } of cases) {
      const { rounds, warmUp } = short ? { rounds: 5, warmUp: order.warmUp / 4 } : order;
      const taking = await fleet.contenders(contendersOf(name, short), service, withPython && sdk !== undefined);
      const here = new Set(taking.map(({ name }) => name));
      const sampled = taking.map(({ name, signed, child }) => ({
        name,
        // Every client has to compute the signature.
        ceiling: signed ? bare.map(signedName).filter((name) => here.has(name)) : bare,
        sample: (milliseconds = order.milliseconds) =>
          child.ask("sample", { ...order, service, milliseconds, limit: LIMIT }),
      }));
      for (const { sample } of sampled) await sample(warmUp);
      const budget = 1.15 * rounds * sampled.length * (order.milliseconds + order.leadIn);
      const shared = { name, unit: "requests/s", ceiling: bare, rounds, budget, processes: fleet.processes };
      results.push(await measure({ ...shared, contenders: sampled }));
      report(results.at(-1));
    }
    if (sdk) results.push(versionsOf(sdk));
    return results;
  } finally {
    fleet.end();
  }
}

export function bars(groups) {
  return groups.flatMap((group) => {
    const { name } = group;
    const python = PYTHON_THREADS.map(pythonName).filter((name) => group.samples?.[0][name]);
    const signed = signedName("predict");
    if (name === "1 KB, 1 in flight") {
      const added = group.samples.map(
        (round) => round.predict.latencyMicroseconds - round["Agent.dispatch"].latencyMicroseconds,
      );
      return [bar(`${name}: µs added to the latency of Agent.dispatch, median`, "≤ 40", summary(added))];
    }
    if (name === "1 KB, 64 in flight") {
      return [
        ratioBar(group, "predict / Agent.dispatch", "≥ 0.85", "predict", "Agent.dispatch"),
        ratioBar(group, "predict / undici.request", "≥ 1", "predict", "undici.request"),
        ratioBar(group, "signed / Agent.dispatch + MD5 + HMAC", "≥ 0.85", signed, signedName("Agent.dispatch")),
        ...(python.length > 0 ? [ratioBar(group, "signed, times the Python SDK's best", "≥ 7", signed, python)] : []),
      ];
    }
    if (!name.startsWith("600 KB") || name.includes("512")) return [];
    const fastest = "the fastest bare client";
    return [
      ratioBar(group, `predict / ${fastest}`, "≥ 0.9", "predict", BARE),
      ratioBar(group, `predict with zeroCopy / ${fastest}`, "≥ 0.9", "predict, zeroCopy", BARE),
      ...python.map((python) => {
        return { ...bar(`${name}: signed / ${python}`, "≥ 1", ratio(group, signed, python)), note: "reported" };
      }),
    ];
  });
}

/** The server and the contenders. Each process is started on first use. */
class Fleet {
  #children = new Map();
  #verified = new Set();

  static async start(sdk) {
    const fleet = new Fleet();
    fleet.sdk = sdk;
    fleet.server = new Child("calls/server.mjs");
    fleet.origin = await fleet.server.ask("listen");
    return fleet;
  }

  get processes() {
    return [process.pid, this.server.pid, ...Array.from(this.#children.values(), ({ child }) => child.pid)];
  }

  /** Returns the contenders of a table, after each has proved that it sends and reads correctly. */
  async contenders(names, service, withPython) {
    const taking = names.map(({ name, signed }) => this.#node(name, signed));
    const python = withPython ? PYTHON_THREADS.map((threads) => this.#python(threads)) : [];
    await this.#verify(taking, service);
    for (const { name, child } of python) {
      if (this.#isNew(name, service)) await verifyPython(child, service);
    }
    return [...taking, ...python];
  }

  #node(name, signed) {
    const shown = signed ? signedName(name) : name;
    return this.#child(shown, signed, () => {
      const { origin, server } = this;
      const settings = { name, signed, origin, connections: CONNECTIONS, serverPid: server.pid };
      return new Child("calls/call-contender.mjs", settings);
    });
  }

  #python(threads) {
    return this.#child(pythonName(threads), true, () => {
      const { origin, server } = this;
      const names = { token: TOKEN, signature: SIGNATURE, input: INPUT, output: OUTPUT };
      return new PythonChild(this.sdk.python, "calls", { ...names, origin, threads, serverPid: server.pid });
    });
  }

  #child(name, signed, start) {
    if (!this.#children.has(name)) this.#children.set(name, { name, signed, child: start() });
    return this.#children.get(name);
  }

  #isNew(name, service) {
    const key = `${name} ${service}`;
    const isNew = !this.#verified.has(key);
    this.#verified.add(key);
    return isNew;
  }

  /** Checks the response of each contender, and that all contenders send the same request. */
  async #verify(contenders, service) {
    const sent = [];
    for (const { name, signed, child } of contenders) {
      if (!this.#isNew(name, service)) continue;
      const { headers, md5 } = await child.ask("verify", service);
      // Headers that `fetch` always adds.
      const own = /^(connection|accept|accept-language|sec-fetch-mode|user-agent|accept-encoding)$/;
      const names = Object.keys(headers).filter((name) => !own.test(name));
      sent.push({ signed, md5, names: names.sort() });
    }
    for (const signed of [false, true]) {
      const [first, ...others] = sent.filter((one) => one.signed === signed);
      for (const other of others) deepStrictEqual(other, first, "all send the same headers and the same body");
    }
    equal(new Set(sent.map(({ md5 }) => md5)).size <= 1, true);
  }

  end() {
    this.server.end();
    for (const { child } of this.#children.values()) child.end();
  }
}

async function verifyPython(child, service) {
  const elements = TENSOR_ELEMENTS[service] ?? 0;
  const bytesOf = (seed) => Buffer.from(service === SMALL ? kilobyte(seed) : floats(seed, elements).buffer);
  const data = bytesOf(1).toString("base64");
  equal(await child.ask("prepare", { service, elements, data }), bytesOf(2).toString("base64"));
  const { authorization } = await child.ask("check", { service, check: CHECK });
  equal(authorization, "signature");
}

function versionsOf({ name, versions }) {
  const rows = Object.entries(versions);
  return { name: `The Python SDK of these tables: ${name}`, columns: ["", "version"], rows, caption: "", versions };
}
