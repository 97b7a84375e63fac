// Fleets of 1, 2, 4, 8 and 16 worker processes on one emulator, with real sockets. Each size handles items without
// deaths, to measure the throughput, and then items while workers are killed, stopped and started.
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { startEmulator } from "../../dist/emulator.js";

export const SIZES = [1, 2, 4, 8, 16];
/** Items in each phase. */
const ITEMS = 800;
/** Milliseconds without progress after which the run fails. */
const STALL_MS = 45_000;

/** Returns a generator of reproducible random numbers from 0 up to 1 (mulberry32). */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Fleet {
  #emulator;
  #folder;
  #count = 0;
  #workers = [];

  constructor(emulator, folder) {
    this.#emulator = emulator;
    this.#folder = folder;
  }

  get input() {
    return this.#emulator.queue("fleet").input;
  }

  get alive() {
    return this.#workers.filter(({ end }) => end === undefined);
  }

  /** The connected workers that have received no signal. */
  get ready() {
    return this.alive.filter(({ isReady }) => isReady);
  }

  get all() {
    return this.#workers;
  }

  /** Starts a worker. Resolves when it is connected. */
  async start() {
    const file = join(this.#folder, `${this.#count++}.log`);
    const { endpoint, token } = this.#emulator;
    const child = fork(new URL("worker-process.mjs", import.meta.url), [endpoint, "fleet", token, file], {
      execArgv: [],
    });
    const worker = { child, file, end: undefined, isReady: false, exit: once(child, "exit") };
    this.#workers.push(worker);
    const [first] = await Promise.race([once(child, "message"), worker.exit]);
    if (first !== "ready") throw new Error(`a worker exited with ${first} before it was ready`);
    worker.isReady = true;
  }

  async grow(size) {
    await Promise.all(Array.from({ length: size - this.alive.length }, () => this.start()));
  }

  end(worker, signal) {
    worker.end = signal;
    worker.child.kill(signal);
  }

  /** Resolves when at most `left` items are left. */
  async until(left) {
    let last = this.input.length;
    let since = performance.now();
    while (this.input.length > left) {
      await pause(2);
      if (this.input.length !== last) since = performance.now();
      last = this.input.length;
      if (performance.now() - since > STALL_MS) throw new Error(`no progress: ${last} items left`);
    }
  }

  /** Kills everything that still runs. */
  async close() {
    for (const { child } of this.alive) child.kill("SIGKILL");
    await Promise.all(this.#workers.map(({ exit }) => exit));
  }
}

/** Returns what is wrong with the records of the workers. */
function check(fleet, texts) {
  const problems = [];
  const ends = new Map();
  for (const { file, end } of fleet.all) {
    if (!existsSync(file)) continue;
    const wasKilled = end === "SIGKILL";
    for (const line of readFileSync(file, "utf8").trimEnd().split("\n")) {
      const [what, text] = line.split(" ");
      const item = ends.get(text) ?? { starts: 0, ends: 0, killed: 0, killedEnds: 0 };
      ends.set(text, item);
      if (wasKilled) what === "start" ? item.killed++ : item.killedEnds++;
      else what === "start" ? item.starts++ : item.ends++;
    }
  }
  const lost = texts.filter((text) => (ends.get(text)?.ends ?? 0) + (ends.get(text)?.killedEnds ?? 0) === 0);
  if (lost.length > 0) problems.push(`${lost.length} items were lost: ${lost.slice(0, 5)}`);
  // Workers that were not killed handle an item at most once, also if they are stopped with SIGTERM.
  const twice = texts.filter((text) => (ends.get(text)?.starts ?? 0) > 1);
  if (twice.length > 0) problems.push(`${twice.length} items were handled twice without a death: ${twice.slice(0, 5)}`);
  const again = texts.filter((text) => {
    const { starts = 0, killed = 0 } = ends.get(text) ?? {};
    return starts + killed > 1;
  });
  return { problems, again: again.length };
}

/** Runs all sizes. Returns a row for each size, and the problems. */
export async function runFleets(seed) {
  const random = randomOf(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const folder = mkdtempSync(join(tmpdir(), "eas-fleet-"));
  const emulator = await startEmulator({ queues: { fleet: { maxDeliveries: Number.POSITIVE_INFINITY } } });
  const fleet = new Fleet(emulator, folder);
  const texts = [];
  let phase = 0;
  const fill = () => {
    phase++;
    for (let i = 0; i < ITEMS; i++) {
      texts.push(`${phase}:${i}`);
      fleet.input.put(`${phase}:${i}`);
    }
  };
  const rows = [];
  const problems = [];
  try {
    for (const size of SIZES) {
      await fleet.grow(size);
      const begin = performance.now();
      fill();
      await fleet.until(0);
      const seconds = (performance.now() - begin) / 1000;
      const quiet = check(fleet, texts).again - (rows.at(-1)?.again ?? 0);
      if (quiet !== 0) problems.push(`${size} workers: ${quiet} items were delivered twice while no worker died`);

      fill();
      const kills = Math.max(1, size >> 2);
      const starts = [];
      for (let i = 0; i < kills; i++) {
        // Each kill happens at a random number of items, not at a time.
        while (fleet.ready.length === 0) await starts.at(-1);
        await fleet.until(Math.floor(ITEMS * (1 - (i + random()) / (kills + 1))));
        fleet.end(pick(fleet.ready), "SIGKILL");
        starts.push(fleet.start());
      }
      // Scale-in and scale-out at the same time.
      while (fleet.ready.length === 0) await starts.at(-1);
      if (size > 1) {
        fleet.end(pick(fleet.ready), "SIGTERM");
        starts.push(fleet.start());
      }
      await Promise.all(starts);
      await fleet.until(0);
      const { again } = check(fleet, texts);
      rows.push({ size, rate: Math.round(ITEMS / seconds), kills, repeated: again - (rows.at(-1)?.again ?? 0), again });
    }
    // Scale-in of all workers but one, in the middle of the work.
    fill();
    await fleet.until(ITEMS >> 1);
    for (const worker of fleet.alive.slice(1)) fleet.end(worker, "SIGTERM");
    await fleet.until(0);
    for (const worker of fleet.alive) fleet.end(worker, "SIGTERM");
    for (const { child, end, exit } of fleet.all) {
      await exit;
      if (end === "SIGTERM" && child.exitCode !== 0) problems.push(`a stopped worker exited with ${child.exitCode}`);
    }
    problems.push(...check(fleet, texts).problems);
    const { commits, negatives } = fleet.input;
    const committed = new Set(commits.map(({ index }) => index)).size;
    if (committed !== texts.length) problems.push(`${committed} of ${texts.length} items were committed`);
    if (negatives.length > 0) problems.push(`${negatives.length} negatives`);
  } catch (error) {
    problems.push(error.stack);
  } finally {
    await fleet.close();
    await emulator.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return { rows, problems, items: texts.length, processes: fleet.all.length };
}
