// Growth of costs: calls in flight, size of a body, instances of a service, window of a watch. No cost may grow faster
// than linearly.

import { existsSync } from "node:fs";
import { bar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { summary } from "../measure.mjs";
import { exponents, inWords, MOST } from "./growth-fit.mjs";

const ROUNDS = 5;

/** Returns `from` times 1, `factor`, `factor`², … up to `to`. */
function powers(from, factor, to) {
  const sizes = [];
  for (let size = from; size <= to; size *= factor) sizes.push(size);
  return sizes;
}

/**
 * Each growth measures points, whose size is `x`. `costs` names their other members. A cost refers to the whole work
 * or, with `each`, to one part of it, which must stay constant.
 */
const GROWTHS = [
  {
    name: "growth: calls in flight",
    x: "calls in flight",
    costs: {
      milliseconds: { what: "time until all are answered, ms", beside: "bare" },
      bare: { what: "the same of bare Agent.dispatch, ms", isReference: true },
      byDefault: { what: "time over 100 connections, the default, ms" },
      bytes: { what: "heap and buffers while all wait, bytes" },
    },
    note:
      "1 KB to a server that answers 1 KB, over as many connections as calls, or where said over 100 and the others wait; held " +
      "by the server while the memory is read.",
    points: (rounds) => callsInFlight(powers(1, 2, 1024), rounds),
  },
  {
    name: "growth: bytes of a body",
    x: "bytes of the tensor, there and back",
    costs: {
      milliseconds: { what: "time of one call, ms" },
      bytes: { what: "peak resident memory beyond the caller's data, bytes" },
    },
    note:
      "A TFRequest of float32 is encoded and sent, a TFResponse of the same size is received and read to its values; the " +
      "memory is that of one call in a fresh process, for both bodies and the values.",
    points: (rounds) => bodies(powers(1024, 4, 64 * 1024 * 1024), rounds),
  },
  {
    name: "growth: instances in discovery",
    x: "instances",
    costs: {
      list: { what: "time to take in a list, ms" },
      inTurn: { what: "time of a call in turn, µs", each: true },
      leastInFlight: { what: "time of a call by least-inflight, µs", each: true },
      outage: { what: "time of the calls until a failing half is ejected, ms" },
      bytes: { what: "heap with all of them called, bytes" },
    },
    note: "Behind a transport that answers at once, for want of 10,000 servers: the client's own work alone.",
    points: (rounds) => instances([10, 31, 100, 316, 1000, 3162, 10_000], rounds),
  },
  {
    name: "growth: windows of a watch",
    x: "window",
    costs: {
      microsecondsPerFrame: { what: "time of a frame, µs", each: true },
      heapBytes: { what: "heap, bytes" },
    },
    note: "A watcher reads frames of 1 KB.",
    points: windows,
  },
];

/** Measures the growths that are `wanted`. `short` has one round. */
export async function run(wanted, report, { short = false } = {}) {
  const rounds = short ? 1 : ROUNDS;
  const groups = [];
  for (const { points: measurePoints, ...growth } of GROWTHS.filter(({ name }) => wanted(name))) {
    const points = await measurePoints(rounds);
    if (points === undefined) continue;
    const group = tableOf(growth, points);
    groups.push(group);
    report(group);
  }
  return groups;
}

async function callsInFlight(counts, rounds) {
  const server = new Child("calls/server.mjs");
  const origin = await server.ask("listen");
  const connections = counts.at(-1);
  const [ours, bare, byDefault] = [{ connections }, { connections, isBare: true }, { connections: 100 }].map(
    (settings) => new Child("growth/growth-contender.mjs", { origin, ...settings }),
  );
  try {
    const bytes = [];
    await ours.ask("beforeHeld");
    for (const count of counts) {
      await ours.ask("hold", count);
      await server.ask("held", count);
      bytes.push(await ours.ask("heldBytes"));
      await server.ask("release");
      await ours.ask("endHeld");
    }
    const timeOf = (child) => (count) => child.ask("timeOfCalls", { count, milliseconds: 50 });
    return await pointsOf(
      counts,
      rounds,
      { milliseconds: timeOf(ours), bare: timeOf(bare), byDefault: timeOf(byDefault) },
      bytes,
    );
  } finally {
    for (const child of [ours, bare, byDefault, server]) child.end();
  }
}

async function bodies(sizes, rounds) {
  const server = new Child("calls/server.mjs");
  const origin = await server.ask("listen");
  const start = () => new Child("growth/growth-contender.mjs", { origin, connections: 1 });
  const child = start();
  try {
    const milliseconds = (bytes) => child.ask("timeOfSize", { bytes, milliseconds: 50 });
    const peaks = [];
    for (const bytes of sizes) {
      const fresh = start();
      peaks.push(await fresh.ask("peakOfSize", { bytes }));
      fresh.end();
    }
    return await pointsOf(sizes, rounds, { milliseconds }, peaks);
  } finally {
    child.end();
    server.end();
  }
}

async function instances(counts, rounds) {
  const child = new Child("growth/growth-of-instances.mjs");
  // A separate process, so that its heap holds no code or garbage of other measurements.
  const forHeap = new Child("growth/growth-of-instances.mjs");
  const perCall = (balancer) => async (count) => 1000 * (await child.ask("choose", { count, balancer }));
  try {
    return await pointsOf(counts, rounds, {
      list: (count) => child.ask("list", { count }),
      inTurn: perCall("weighted-round-robin"),
      leastInFlight: perCall("least-inflight"),
      outage: (count) => child.ask("outage", { count }),
      bytes: (count) => forHeap.ask("heap", { count }),
    });
  } finally {
    child.end();
    forHeap.end();
  }
}

async function windows() {
  const file = new URL("growth-of-windows.mjs", import.meta.url);
  if (!existsSync(file)) return undefined;
  const { windows } = await import(file.href);
  return (await windows()).map(({ window, ...costs }) => ({ x: window, ...costs }));
}

/**
 * Returns the points of all sizes. A point has the median of each cost over the rounds. An additional round warms
 * up. `bytes` were measured before.
 */
async function pointsOf(sizes, rounds, samples, bytes) {
  const values = sizes.map(() => Object.fromEntries(Object.keys(samples).map((key) => [key, []])));
  for (let round = -1; round < rounds; round++) {
    for (const [i, size] of sizes.entries()) {
      for (const [key, sample] of Object.entries(samples)) {
        const value = await sample(size);
        if (round >= 0) values[i][key].push(value);
      }
    }
  }
  return sizes.map((x, i) => ({
    x,
    ...Object.fromEntries(Object.entries(values[i]).map(([key, of]) => [key, summary(of).median])),
    ...(bytes && { bytes: bytes[i] }),
  }));
}

function tableOf({ name, x, costs, note }, points) {
  const fits = Object.entries(costs).map(([key, cost]) => ({
    key,
    ...cost,
    ...exponents(points.map((point) => ({ x: point.x, y: point[key] }))),
  }));
  const sentences = fits.map(
    ({ what, all, upper }) =>
      `${what}: ${inWords(upper)}, exponent ${upper.toFixed(2)} in the upper half, ${all.toFixed(2)} in all.`,
  );
  return {
    name,
    columns: [x, ...fits.map(({ what }) => what)],
    rows: points.map((point) => [point.x.toLocaleString("en"), ...fits.map(({ key }) => text(point[key]))]),
    caption: `${note}\n\n${sentences.map((sentence) => `- ${sentence}`).join("\n")}`,
    x,
    fits,
    points,
  };
}

/** Differences below the noise of the heap count as zero. */
function text(cost) {
  if (cost <= 0) return "0";
  return cost >= 100 ? Math.round(cost).toLocaleString("en") : cost.toPrecision(3);
}

export function bars(groups) {
  return groups.flatMap(({ name, fits }) =>
    fits
      .filter(({ isReference }) => !isReference)
      .map(({ what, each, beside, upper, all }) => {
        // The growth of the cost per part is added to the growth of the number of parts.
        const parts = each ? 1 : 0;
        const reference = fits.find(({ key }) => key === beside);
        // Without the part of undici and the kernel.
        const given = reference === undefined ? 0 : Math.max(0, reference.upper - 1);
        const median = parts + upper - given;
        const of = [median, parts + all];
        const figures = { median, min: Math.min(...of), max: Math.max(...of) };
        const lessThat = reference ? `${upper.toFixed(2)}, less what ${reference.what} has above 1; ` : "";
        const note = `${lessThat}of the upper half, and the range to that of all points`;
        return bar(`${name}: ${what}, exponent`, `≤ ${MOST}`, figures, note);
      }),
  );
}
