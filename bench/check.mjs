// `npm run bench:check`: the cases in their short form, with bounds that only a regression by an order of magnitude
// violates. It checks ratios and not times, since CI machines differ. A failed check is measured once more. It needs
// the built package, but neither Python nor a network.

import { ratio } from "./measure.mjs";

/** The checks: the file of the case, its table, and the figure. */
const CHECKS = [
  ratioCheck("codec", "encode float32", "ours", "copy", "≤ 10"),
  ratioCheck("codec", "decode float32", "ours", "copy", "≤ 10"),
  ratioCheck("codec", "encode int32 large", "generated", "ours", "≥ 1"),
  ratioCheck("codec", "decode int64 large", "generated", "ours", "≥ 1"),
  ratioCheck("calls", "1 KB, 64 in flight", "predict", "Agent.dispatch", "≥ 0.3"),
  ratioCheck("calls", "600 KB, 64 in flight", "predict", "Agent.dispatch", "≥ 0.25"),
  ratioCheck("streams", "64 streams", "events() + json()", "undici + parser", "≥ 0.2"),
  ratioCheck("streams", "64 streams", "client.openai()", "openai", "≥ 0.2"),
  ratioCheck("streams", "relay, 64 streams", "relay", "pipe", "≥ 0.1"),
  ratioCheck("queue", "watch 1 KB", "watch", "bare ws", "≥ 0.1"),
  ratioCheck("start", "start: import in a cold process", "eas-prediction", "empty process", "≤ 10"),
  ratioCheck("start", "start: import in a cold process", "eas-prediction, CommonJS", "empty process, CommonJS", "≤ 10"),
  check("memory", "memory", "TFRequest of 64 MB: peak / body", ({ figures }) => figures[0].ratio.median, "≤ 3"),
  exponentCheck("growth: calls in flight", "byDefault"),
  exponentCheck("growth: instances in discovery", "list"),
  exponentCheck("growth: instances in discovery", "outage"),
];

function check(from, table, what, measured, limit) {
  return { from, table, what, measured, limit };
}

function ratioCheck(from, table, over, under, limit) {
  return check(from, table, `${table}: ${over} / ${under}`, (group) => ratio(group, over, under).median, limit);
}

/** The exponent of quadratic growth is 2. */
function exponentCheck(table, key) {
  const upper = ({ fits }) => fits.find((one) => one.key === key).upper;
  return check("growth", table, `${table}: exponent of ${key}`, upper, "≤ 1.6");
}

/** Maximum duration of all checks, in milliseconds. */
const MAX_MS = 300_000;
setTimeout(() => {
  console.error(`not done after ${MAX_MS / 1000} s`);
  process.exit(1);
}, MAX_MS).unref();

const holds = ({ limit }, value) => {
  const [sign, number] = limit.split(" ");
  return sign === "≤" ? value <= Number(number) : value >= Number(number);
};

/** Measures the table of a case. */
async function measureTable({ from, table }) {
  const { run } = await import(`./${from}/${from}.mjs`);
  const [group] = await run(
    (name) => name === table,
    () => {},
    { short: true },
  );
  if (group === undefined) throw new Error(`${from}.mjs has no table "${table}"`);
  return group;
}

const begun = performance.now();
const groups = new Map();
let failed = 0;
for (const one of CHECKS) {
  const key = `${one.from} ${one.table}`;
  if (!groups.has(key)) groups.set(key, await measureTable(one));
  const measured = [one.measured(groups.get(key))];
  if (!holds(one, measured[0])) {
    groups.set(key, await measureTable(one));
    measured.push(one.measured(groups.get(key)));
  }
  const good = holds(one, measured.at(-1));
  if (!good) failed++;
  const values = measured.map((value) => value.toFixed(2)).join(", then ");
  console.log(`${good ? "ok    " : "FAILED"} ${one.what}: ${values}; must be ${one.limit}`);
}
console.log(`${CHECKS.length - failed} of ${CHECKS.length} hold, ${Math.round((performance.now() - begun) / 1000)} s`);
process.exitCode = failed === 0 ? 0 : 1;
