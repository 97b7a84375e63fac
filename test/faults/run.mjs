// `npm run test:faults [-- --quick] [--seed n] [name …]`: tests with real sockets and faults. Arguments select
// scenarios whose name contains them. docs/reliability.md states the promises.
import { parseArgs } from "node:util";
import { batches } from "./batches.mjs";
import { chaos } from "./chaos.mjs";
import { discoveries } from "./discoveries.mjs";
import { ends } from "./ends.mjs";
import { fleets } from "./fleets.mjs";
import { load } from "./load.mjs";
import { randomOf } from "./random.mjs";
import { relays } from "./relays.mjs";
import { printHead, printRow } from "./report.mjs";
import { runScenario } from "./scenario.mjs";
import { scripted } from "./scripted.mjs";
import { startFaultServer } from "./server-process.mjs";
import { stoppedClients } from "./stopped-clients.mjs";
import { totalFailures } from "./total-failures.mjs";
import { watches } from "./watches.mjs";

const { values, positionals } = parseArgs({
  options: { quick: { type: "boolean" }, seed: { type: "string" } },
  allowPositionals: true,
});
if (typeof globalThis.gc !== "function") {
  console.error("start it as npm run test:faults, or with node --expose-gc: the heap is measured");
  process.exit(1);
}
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
if (!Number.isSafeInteger(seed)) {
  console.error(`--seed is ${values.seed}: it must be an integer`);
  process.exit(1);
}
const counts = values.quick
  ? { scripted: 20, random: 200, many: 1_000, inFlight: 2_000, ends: 200, pipelined: 50_000, chaos: 400, rows: 100_000 }
  : {
      scripted: 40,
      random: 1_000,
      many: 20_000,
      inFlight: 10_000,
      ends: 1_000,
      pipelined: 50_000,
      chaos: 2_000,
      rows: 1_000_000,
    };

const startedAt = performance.now();
const server = await startFaultServer();
const context = { counts, server };
const groups = [
  scripted,
  fleets,
  discoveries,
  load,
  totalFailures,
  watches,
  stoppedClients,
  chaos,
  relays,
  ends,
  batches,
];
const all = groups.flatMap((group) => group(context));
const chosen = all.filter(({ name }) => positionals.length === 0 || positionals.some((each) => name.includes(each)));
console.log(`seed ${seed} (repeat: npm run test:faults -- --seed ${seed})\n`);
// Modules loaded and code compiled by the first calls do not count as leaks.
for (const kind of ["predict", "queue"]) {
  await runScenario(server, { name: "warm up", mode: "direct", kind, calls: 500, seed });
}
printHead();
let passed = 0;
let failed = 0;
for (const [i, scenario] of chosen.entries()) {
  const own = (seed + i * 7919) % 2 ** 31;
  const run = scenario.run ?? runScenario;
  let result;
  try {
    result = await run(server, { ...scenario, seed: own, random: randomOf(own) });
  } catch (error) {
    result = { row: { ...scenario }, problems: [error.stack] };
  }
  printRow(result);
  if (result.problems.length === 0) passed++;
  else failed++;
}
await server.end();
console.log(`\n${Math.round((performance.now() - startedAt) / 1000)} s`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
