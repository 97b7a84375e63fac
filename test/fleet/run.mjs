// `npm run test:fleet`: fleets of worker processes on one emulator, and the example examples/worker-fleet.
// `-- --seed 7` repeats a run.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installLocked } from "../support/locked-install.mjs";
import { checkManifests, runExample } from "./example.mjs";
import { runFleets } from "./fleet.mjs";

const { values } = parseArgs({ options: { seed: { type: "string" } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
installLocked(fileURLToPath(new URL(".", import.meta.url)));

let failures = 0;
const begin = performance.now();
try {
  await runExample(await checkManifests());
  console.log("examples/worker-fleet: manifests and worker passed");
} catch (error) {
  failures++;
  console.error("examples/worker-fleet:", error);
}

const { rows, problems, items, processes } = await runFleets(seed);
console.log("\nworkers  items/s  killed  items handled again");
for (const { size, rate, kills, repeated } of rows) {
  console.log(`${String(size).padStart(7)}  ${String(rate).padStart(7)}  ${String(kills).padStart(6)}  ${repeated}`);
}
for (const problem of problems) console.error(`\nPROBLEM ${problem}`);
failures += problems.length;
const seconds = Math.round((performance.now() - begin) / 1000);
console.log(
  `\n${items} items, ${processes} processes, ${seconds} s: ${failures === 0 ? "passed" : `${failures} failures`}`,
);
process.exitCode = failures === 0 ? 0 : 1;
