// Times a number of items, from the moment when the watch runs to the last item.

import { performance } from "node:perf_hooks";
import { collectGarbage, cpuSeconds } from "../measure.mjs";

export class Tally {
  count = 0;
  bytes = 0;
  #leadIn;
  #total;
  #server;
  #from;
  #to;
  #resolve;

  /** The first `leadIn` of `total` items are not measured. `server` is the process of the server. */
  constructor(leadIn, total, server) {
    this.#leadIn = leadIn;
    this.#total = total;
    this.#server = server;
    /** Resolves when all items are counted. */
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    collectGarbage();
  }

  /** Counts an item. Returns whether it was the last. */
  add(bytes) {
    this.bytes += bytes;
    this.count++;
    if (this.count === this.#leadIn) this.#from = this.#state();
    if (this.count !== this.#total) return false;
    this.#to = this.#state();
    this.#resolve();
    return true;
  }

  result() {
    const [from, to] = [this.#from, this.#to];
    const seconds = (to.at - from.at) / 1000;
    const own = to.own.user + to.own.system - (from.own.user + from.own.system);
    const items = this.#total - this.#leadIn;
    return {
      value: items / seconds,
      cpuMicroseconds: own / items,
      clientCpu: own / 1e6 / seconds,
      serverCpu: (to.server - from.server) / seconds,
    };
  }

  #state() {
    return { at: performance.now(), own: process.cpuUsage(), server: cpuSeconds(this.#server) };
  }
}
