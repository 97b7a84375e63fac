// The cases of calls: sizes, concurrency, duration and contenders.

import { SMALL } from "../data.mjs";

/** Connections of each contender. Further calls wait. */
export const CONNECTIONS = 64;
/** Maximum number of calls in a sample, far above what a contender reaches. */
export const LIMIT = 200_000;

/** Body sizes, and the duration of a sample, which allows many calls. */
const SIZES = [
  { size: "1 KB", service: SMALL, milliseconds: 80, leadIn: 20, warmUp: 300 },
  { size: "64 KB", service: "tensor64k", milliseconds: 80, leadIn: 20, warmUp: 300 },
  { size: "600 KB", service: "tensor600k", milliseconds: 150, leadIn: 50, warmUp: 300 },
  { size: "8 MB", service: "tensor8m", milliseconds: 400, leadIn: 100, warmUp: 200 },
];
const IN_FLIGHT = [1, 8, 64, 512];
/** 512 requests of 8 MB and their responses would occupy 8 GB. */
const LEFT_OUT = ["8 MB, 512 in flight"];

/**
 * Cases with a bar have more rounds and all contenders. Samples are short and rounds many, because the speed of the
 * machine changes within seconds. The first case warms up the engine.
 */
const BARS = {
  "1 KB, 64 in flight": { milliseconds: 120, leadIn: 30, warmUp: 1500, rounds: 8, withPython: true },
  "1 KB, 1 in flight": { milliseconds: 100, leadIn: 15, warmUp: 400, rounds: 9 },
  "600 KB, 64 in flight": { milliseconds: 200, leadIn: 100, warmUp: 600, rounds: 6, withPython: true },
  "600 KB, 8 in flight": { milliseconds: 150, leadIn: 40, warmUp: 400, rounds: 5 },
  "600 KB, 1 in flight": { milliseconds: 120, leadIn: 15, warmUp: 400, rounds: 7 },
};
const ROUNDS = 3;
/** With 64 calls in flight, each takes more than a second. */
const LONG = { "8 MB, 64 in flight": { milliseconds: 1500, leadIn: 200, warmUp: 1500, rounds: 2 } };

const all = SIZES.flatMap(({ size, ...sample }) =>
  IN_FLIGHT.map((inFlight) => {
    const name = `${size}, ${inFlight} in flight`;
    return { name, inFlight, ...sample, rounds: ROUNDS, withPython: false, ...BARS[name], ...LONG[name] };
  }),
).filter(({ name }) => !LEFT_OUT.includes(name));

const isBar = ({ name }) => name in BARS;
export const CASES = [
  ...Object.keys(BARS).map((name) => all.find((one) => one.name === name)),
  ...all.filter((one) => !isBar(one)),
];

const token = (name) => ({ name, signed: false });
const signed = (name) => ({ name, signed: true });
const PLAIN = ["undici.request", "node:http", "Agent.dispatch", "fetch", "predict"];
/** Separates the cost of encoding from the cost of the call. */
const BREAKDOWN = ["predict, zeroCopy", "predict, ready bytes", "Agent.dispatch, fresh body"];

/** Returns the contenders of a case. The `short` form has only those that are compared. */
export function contendersOf(name, short = false) {
  if (short) return ["Agent.dispatch", "predict"].map(token);
  if (!(name in BARS)) return [...PLAIN.map(token), ...["Agent.dispatch", "predict"].map(signed)];
  const both = [...PLAIN.map(token), ...["undici.request", "node:http", "Agent.dispatch", "predict"].map(signed)];
  if (!name.startsWith("600 KB")) return both;
  return [...both, ...BREAKDOWN.map(token), signed("predict, zeroCopy")];
}
