// How everything here is measured. Two shared cores are noisy: what counts is the ratio of two contenders that ran within
// the same seconds. So all contenders take turns in rounds, in an order that rotates; a ratio is taken within each round,
// and what is reported is the median of those.

import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

/**
 * Collects young garbage now, so that no contender pays for what the one before it has left. Not all garbage: a full
 * collection makes the engine forget compiled code, and a sample would measure its compilation anew (tried: decoding a
 * tensor came out at 1.8 times a copy where it is 1.1 times).
 */
export const collectGarbage = () => gc({ type: "minor" });

/** A round is noisy when other processes took more than this share of one core during it. */
const QUIET = 0.25;
/** With fewer quiet rounds than this, all rounds are used, and the result says so. */
const ENOUGH = 5;

/**
 * Measures contenders against each other. `sample` of each gives `{ value, ... }`, or a promise of it; further members are
 * averaged. The ceiling is the fastest of the contenders that it names; a contender may have one of its own.
 * `processes` are those whose load is the measurement's own. Makes `rounds` quiet rounds, or as many rounds as there is
 * time for in `budget` milliseconds.
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

/** The ratio of `over` to `under`, or to the fastest of several, taken within each round. */
export function ratio(group, over, under) {
  const ceiling = fastest(group, under);
  return summary(group.samples.map((round) => round[over].value / round[ceiling].value));
}

/** As `ratio`, by the processor time that one takes: other processes disturb it less than the time on the clock. */
export function cpuRatio(group, over, under) {
  const ceiling = fastest(group, under);
  return summary(
    group.samples.map((round) => {
      const more = round[over].cpuMicroseconds / round[ceiling].cpuMicroseconds;
      return group.unit === "ms" ? more : 1 / more;
    }),
  );
}

/** What goes into results.json: all but the samples, of which the figures are made. */
export const withoutSamples = ({ samples, ...group }) => group;

/** The one with the best median. Not the best of each round: on a noisy machine, that is the luckiest. */
function fastest({ unit, samples }, names) {
  const better = unit === "ms" ? -1 : 1;
  const median = (name) => summary(samples.map((round) => round[name].value)).median;
  return [names].flat().sort((a, b) => better * (median(b) - median(a)))[0];
}

/**
 * Samples of the processor alone: `run` in a loop for about `milliseconds`, so that each sample has its own share of garbage
 * collection. What `run` returns is kept a while, so that nothing is optimised away.
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
    // After the wait for its turn, with cold caches, and maybe with code that the engine has dropped.
    const ready = performance.now() + leadIn;
    do await repeat(1);
    while (performance.now() < ready);
    return timed(repeat, count);
  };
}

/** As `loop`, for what takes seconds: one run is a sample, and nothing is run before it. */
export function single(run) {
  const repeat = repeating(run, false);
  return () => {
    collectGarbage();
    return timed(repeat, 1);
  };
}

/** Only what is asynchronous is awaited: that takes as long as a small tensor. */
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
  // With the threads that collect garbage.
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

/** Four digits: more would only pretend. */
function rounded(number) {
  return Number(number.toPrecision(4));
}

/** Seconds of processor time that a process has used, all its threads together, and those of its children that have ended. Linux. */
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

/** Cores that something else kept busy. */
function outsideLoad(before, after) {
  const outside = after.busy - before.busy - (after.own - before.own);
  return Math.max(0, rounded(outside / (after.at - before.at)));
}
