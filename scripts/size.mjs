// `npm run size`: the size of what a page loads, against its bars. Measures the built package: `npm run build`
// first. Prints a table, writes it to bench/RESULTS.md, and fails when a case is over its budget.

import { writeSection } from "../bench/results-file.mjs";
import { markdown } from "../bench/tables.mjs";
import { bundle, CASES, ESBUILD_VERSION } from "./bundles.mjs";

const header = ["kB of 1,000 bytes", "minified", "+ gzip -9", "bar", "gzip / bar", "bar holds", "budget"];
const rows = [];
let over = false;
for (const { name, code, bar, budget } of CASES) {
  const { bytes, kB } = await bundle(code);
  if (kB > budget) over = true;
  rows.push([
    name,
    (bytes / 1000).toFixed(1),
    kB.toFixed(2),
    `≤ ${bar}`,
    (kB / bar).toFixed(2),
    kB <= bar ? "yes" : "**no**",
    kB <= budget ? `≤ ${budget}` : `≤ ${budget}: **over**`,
  ]);
}
const table = markdown(header, rows);
console.log(table);
writeSection(
  "Size in a page",
  `Written by \`npm run size\`: esbuild ${ESBUILD_VERSION}, ${new Date().toISOString().slice(0, 10)}. What the bytes are is in ` +
    `[NOTES.md](NOTES.md).\n\n${table}`,
);
if (over) {
  console.error(
    "over budget: make it smaller, or raise the budget in scripts/bundles.mjs and say why in bench/NOTES.md",
  );
  process.exitCode = 1;
}
