// Chat streams: `stream().events()` and `client.openai()` against the libraries that users would use instead, and a
// relay against a bare pipe, over loopback. The server and each contender are separate processes. One contender runs
// at a time.

import { ratioBar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { measure } from "../measure.mjs";
import { CASES, CEILINGS, LATENCY, RELAY_CASES } from "./stream-cases.mjs";
import { serviceOf } from "./stream-data.mjs";

/** The short form: number of rounds, and milliseconds for those of a table. */
const SHORT = { rounds: 3, budget: 2_000 };
/** Warm-up time, in which the engine compiles the code of a contender. */
const WARM_UP_MS = 300;

/** Measures the cases whose name is `wanted`. `short` has fewer rounds. */
export async function run(wanted, report, { short = false } = {}) {
  const fleet = new Fleet(short);
  const results = [];
  const add = (group) => {
    results.push(group);
    report(group);
  };
  try {
    for (const one of CASES.filter(({ name }) => wanted(name))) add(await fleet.read(one));
    if (wanted(LATENCY.name)) add(await fleet.latency(LATENCY));
    for (const one of RELAY_CASES.filter(({ name }) => wanted(name))) add(await fleet.relay(one));
    return results;
  } finally {
    fleet.end();
  }
}

export function bars(groups) {
  return groups.flatMap((group) => {
    if (group.unit === "ms") return [];
    const has = (name) => group.contenders.some((one) => one.name === name);
    const barOf = (limit, over, under) =>
      has(over) && has(under) ? [ratioBar(group, `${over} / ${under}`, limit, over, under)] : [];
    return [
      ...barOf("≥ 0.9", "events() + json()", "undici + parser"),
      ...barOf("≥ 1", "client.openai()", "openai"),
      ...barOf("≥ 0.8", "relay", "pipe"),
    ];
  });
}

/** The processes. Each is started on first use. */
class Fleet {
  #children = new Map();
  #verified = new Set();
  #origins = new Map();

  constructor(short) {
    this.short = short;
  }

  async read({ name, names, rounds, budget, inFlight, times, ...sending }) {
    const order = { service: serviceOf(sending), count: sending.count, inFlight, times };
    const contenders = await this.#contenders(names, order, "sample");
    // At a fixed rate, only the processor time differs.
    const unit = "events/s";
    if (sending.rate === undefined)
      return this.#measure({ name, unit, contenders, ceiling: [names[0]] }, { rounds, budget });
    const byProcessor = contenders.map(({ sample, ...one }) => ({
      ...one,
      sample: async () => {
        const sampled = await sample();
        return { ...sampled, value: 1e6 / sampled.cpuMicroseconds };
      },
    }));
    const group = { name: `${name}, by processor time`, unit, contenders: byProcessor, ceiling: [names[0]] };
    return this.#measure(group, { rounds, budget });
  }

  async latency({ name, names, rounds, budget, times, count }) {
    const contenders = await this.#contenders(names, { service: serviceOf({ count }), count, times }, "latency");
    return this.#measure({ name, unit: "ms", contenders, ceiling: [names[0]] }, { rounds, budget });
  }

  async relay({ name, rounds, budget, inFlight, times, ...sending }) {
    const service = serviceOf(sending);
    const reader = await this.#child("reader", "streams/relay-reader.mjs", {});
    const contenders = [];
    for (const between of ["pipe", "relay"]) {
      const services = RELAY_CASES.map(serviceOf);
      const child = await this.#child(between, "streams/relay-server.mjs", { name: between, services });
      if (!this.#origins.has(between)) this.#origins.set(between, await child.ask("listen"));
      const order = { origin: this.#origins.get(between), service, inFlight, times };
      await reader.ask("verify", order);
      const sample = async () => {
        const before = await child.ask("cpu");
        const seconds = await reader.ask("sample", order);
        const values = sending.count * inFlight * times;
        return { value: values / seconds, cpuMicroseconds: ((await child.ask("cpu")) - before) / values };
      };
      contenders.push({ name: between, sample });
    }
    return this.#measure({ name, unit: "events/s", contenders, ceiling: ["pipe"] }, { rounds, budget });
  }

  /** Returns the contenders of a table, after each has proved that it reads correctly. */
  async #contenders(names, order, method) {
    const contenders = [];
    for (const name of names) {
      const child = await this.#child(name, "streams/stream-contender.mjs", { name });
      const key = `${name} ${order.service}`;
      if (!this.#verified.has(key)) await child.ask("verify", order);
      this.#verified.add(key);
      contenders.push({ name, ceiling: CEILINGS[name], sample: () => child.ask(method, order) });
    }
    return contenders;
  }

  async #measure(group, bounds) {
    for (const { sample } of group.contenders) {
      const end = performance.now() + WARM_UP_MS;
      do await sample();
      while (performance.now() < end);
    }
    const processes = [process.pid, ...Array.from(this.#children.values(), ({ pid }) => pid)];
    return measure({ ...group, ...(this.short ? SHORT : bounds), processes });
  }

  async #child(name, file, settings) {
    if (this.origin === undefined) {
      this.server = new Child("streams/server.mjs");
      this.#children.set("server", this.server);
      this.origin = await this.server.ask("listen");
    }
    if (!this.#children.has(name)) {
      const own = { ...settings, origin: this.origin, serverPid: this.server.pid };
      this.#children.set(name, new Child(file, own));
    }
    return this.#children.get(name);
  }

  end() {
    for (const child of this.#children.values()) child.end();
  }
}
