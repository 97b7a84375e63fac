import { channel } from "node:diagnostics_channel";

/**
 * Requests passed to undici, by call. They come from undici's diagnostics channels, so that the client is unchanged.
 */
export const attempts = new Map();

channel("undici:request:create").subscribe(({ request }) => {
  const { headers } = request;
  const at = headers.indexOf("x-call");
  if (at === -1) return;
  const id = headers[at + 1];
  attempts.set(id, (attempts.get(id) ?? 0) + 1);
});

export const unhandled = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));

const TICK_MS = 5;

/**
 * Records long turns of the event loop, because the client is not responsible for delays that they cause. A turn
 * lasts from one check phase to the next, so that consecutive timers count as one turn.
 */
export class LoopClock {
  turns = [];
  longest = 0;
  #last = performance.now();
  #immediate;
  #timer = setInterval(() => {
    this.#immediate ??= setImmediate(() => this.#turn());
  }, TICK_MS);

  #turn() {
    this.#immediate = undefined;
    const now = performance.now();
    const turn = now - this.#last;
    this.longest = Math.max(this.longest, turn - TICK_MS);
    if (turn > 2 * TICK_MS) this.turns.push([this.#last, now]);
    this.#last = now;
  }

  /** Returns the longest turn between two moments; `all` returns the sum. */
  busyIn(from, to, all) {
    const turns = this.turns.filter(([begin, end]) => begin <= to && end >= from).map(([begin, end]) => end - begin);
    return all ? turns.reduce((sum, each) => sum + each, 0) : Math.max(0, ...turns);
  }

  stop() {
    this.#turn();
    clearInterval(this.#timer);
    clearImmediate(this.#immediate);
  }
}

const SOCKETS = /^(TCP|Pipe|TLS)|GetAddrInfo/;

/** Returns the number of active resources by type. */
function resources() {
  const counts = { sockets: 0, timers: 0 };
  for (const name of process.getActiveResourcesInfo()) {
    if (name === "Timeout" || name === "Immediate") counts.timers++;
    else if (SOCKETS.test(name)) counts.sockets++;
  }
  return counts;
}

export const before = () => ({ ...resources(), heap: heapUsed() });

/** Returns the resources that were added since `start`. The kernel may need some turns to release a closed socket. */
export async function left(start, patience = 1_000) {
  const giveUp = performance.now() + patience;
  for (;;) {
    const { sockets, timers } = resources();
    const more = { sockets: sockets - start.sockets, timers: timers - start.timers };
    if ((more.sockets <= 0 && more.timers <= 0) || performance.now() > giveUp) {
      return { sockets: Math.max(0, more.sockets), timers: Math.max(0, more.timers), heap: heapUsed() - start.heap };
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function heapUsed() {
  // Twice, because finalizers of the first run can release more objects.
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

export function percentile(values, share) {
  if (values.length === 0) return 0;
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
