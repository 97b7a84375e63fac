// How everything here is measured. Two shared cores are noisy, so contenders are compared within the same seconds:
// they take turns in rounds, in rotating order. A ratio is computed within each round, and the median of the ratios is
// reported.

import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

/**
 * Collects young garbage, so that a contender does not pay for the previous one. A full collection would discard
 * compiled code, and samples would include compilation. (With one, decoding a tensor measured 1.8 times a copy and
 * not 1.1 times.)
 */
export const collectGarbage = () => gc({ type: "minor" });

/** A round is noisy if other processes used more than this share of a core. */
const QUIET = 0.25;
/** With fewer quiet rounds, all rounds are used, and the result says so. */
const ENOUGH = 5;

/**
 * Measures contenders against each other. Each `sample` returns `{ value, ... }` or a promise of it; further members
 * are averaged. The ceiling is the fastest of the named contenders. A contender may have its own. `processes` are
 * those whose load belongs to the measurement. It runs `rounds` quiet rounds, or as many as fit into `budget`
 * milliseconds.
 */
export async function measure({ name, unit, ceiling, contenders, rounds, budget, processes }) {
  const made = [];
  const begun = performance.now();
  const quietRounds = () => made.filter(({ outside }) => outside <= QUIET);
  for (let turn = 0; ; turn++) {
    const samples = {};
    const before = load(processes);
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(turn + i) % contenders.length];
      samples[contender.name] = await contender.sample();
    }
    made.push({ samples, outside: outsideLoad(before, load(processes)) });
    if (quietRounds().length >= rounds) break;
    const spent = performance.now() - begun;
    if (spent + spent / made.length > budget) break;
  }
  const quiet = quietRounds().length >= Math.min(ENOUGH, rounds);
  const used = quiet ? quietRounds() : made;
  const group = { name, unit, ceiling, rounds: made.length, roundsUsed: used.length, quiet };
  group.outsideLoad = summary(used.map(({ outside }) => outside));
  group.samples = used.map(({ samples }) => samples);
  group.contenders = contenders.map(({ name, ceiling: own = ceiling }) => {
    const samples = group.samples.map((round) => round[name]);
    const further = Object.keys(samples[0]).filter((key) => key !== "value");
    return {
      name,
      ...summary(samples.map(({ value }) => value)),
      ceiling: own,
      ratioToCeiling: ratio(group, name, own),
      ...Object.fromEntries(further.map((key) => [key, rounded(mean(samples.map((sample) => sample[key])))])),
    };
  });
  return group;
}

/** Returns the ratio of `over` to `under`, or to the fastest of several, computed within each round. */
export function ratio(group, over, under) {
  const ceiling = fastest(group, under);
  return summary(group.samples.map((round) => round[over].value / round[ceiling].value));
}

/** Returns the ratio of processor times, which other processes disturb less than wall-clock time. */
export function cpuRatio(group, over, under) {
  const ceiling = fastest(group, under);
  return summary(
    group.samples.map((round) => {
      const more = round[over].cpuMicroseconds / round[ceiling].cpuMicroseconds;
      return group.unit === "ms" ? more : 1 / more;
    }),
  );
}

/** Returns the result without its samples. */
export const withoutSamples = ({ samples, ...group }) => group;

/** Returns the contender with the best median. The best of each round would be the luckiest on a noisy machine. */
function fastest({ unit, samples }, names) {
  const better = unit === "ms" ? -1 : 1;
  const median = (name) => summary(samples.map((round) => round[name].value)).median;
  return [names].flat().sort((a, b) => better * (median(b) - median(a)))[0];
}

/**
 * Samples processor-bound work: runs `run` in a loop for about `milliseconds`, so that each sample includes its
 * share of garbage collection. Results of `run` are kept for a while, so that the engine cannot remove the work.
 */
export async function loop(run, { milliseconds = 30, leadIn = 8, warmUp = 300, asynchronous = false } = {}) {
  const repeat = repeating(run, asynchronous);
  let iterations = 0;
  const begun = performance.now();
  while (iterations < 3 || performance.now() - begun < warmUp) {
    await repeat(1);
    iterations++;
  }
  const once = (performance.now() - begun) / iterations;
  const count = Math.ceil(milliseconds / once);
  return async () => {
    collectGarbage();
    // After waiting for its turn, a contender has cold caches, and its compiled code may have been discarded.
    const ready = performance.now() + leadIn;
    do await repeat(1);
    while (performance.now() < ready);
    return timed(repeat, count);
  };
}

/** Samples work that takes seconds: one run per sample, without a warm-up. */
export function single(run) {
  const repeat = repeating(run, false);
  return () => {
    collectGarbage();
    return timed(repeat, 1);
  };
}

/** Only promises are awaited, because an await takes as long as encoding a small tensor. */
function repeating(run, asynchronous) {
  if (!asynchronous) {
    return (count) => {
      for (let i = 0; i < count; i++) loop.kept = run();
    };
  }
  return async (count) => {
    for (let i = 0; i < count; i++) loop.kept = await run();
  };
}

async function timed(repeat, count) {
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  await repeat(count);
  const value = (performance.now() - start) / count;
  // Includes the threads that collect garbage.
  const { user, system } = process.cpuUsage(cpuBefore);
  return { value, cpuMicroseconds: (user + system) / count };
}

export function summary(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  const [min, max] = [sorted[0], sorted[sorted.length - 1]];
  return { median: rounded(median), min: rounded(min), max: rounded(max), spread: rounded((max - min) / median) };
}

function mean(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

/** Four significant digits. More would suggest a false precision. */
function rounded(number) {
  return Number(number.toPrecision(4));
}

/** Returns the seconds of processor time of a process, with its threads and its finished children. Linux only. */
export function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
}

function load(processes) {
  const [user, nice, system, , , , , steal] = readFileSync("/proc/stat", "latin1").slice(5).trim().split(/\s+/);
  const busy = (Number(user) + Number(nice) + Number(system) + Number(steal)) / 100;
  const own = processes.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  return { busy, own, at: performance.now() / 1000 };
}

/** Returns the number of cores that other processes used. */
function outsideLoad(before, after) {
  const outside = after.busy - before.busy - (after.own - before.own);
  return Math.max(0, rounded(outside / (after.at - before.at)));
}
