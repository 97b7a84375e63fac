// `npm run bench` measures all cases, `npm run bench -- codec` one of them, `npm run bench -- "1 KB, 64"` the tables whose
// heading has these words. Measures the built package: `npm run build` first. Writes RESULTS.md and results.json beside this
// file when all cases were run.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { barsOf } from "./bars.mjs";
import * as calls from "./calls.mjs";
import * as codec from "./codec.mjs";
import { barTable, table } from "./tables.mjs";

const CASES = { codec, calls };

const words = process.argv.slice(2);
const named = (name) => words.length === 0 || words.some((word) => name.includes(word));

const begun = performance.now();
const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  node: process.version,
  packages: Object.fromEntries(["undici", "@bufbuild/protobuf"].map((name) => [name, versionOf(name)])),
  date: new Date().toISOString(),
  commit: commit(),
};
const results = {};
for (const [name, { run }] of Object.entries(CASES)) {
  const wanted = named(name) ? () => true : named;
  results[name] = await run(wanted, (group) => console.log(`\n${table(group)}`));
}
const seconds = Math.round((performance.now() - begun) / 1000);
const bars = barsOf(results);
console.log(`\n${barTable(bars)}\n\n${seconds} s`);

if (words.length === 0) {
  write("results.json", `${JSON.stringify({ machine, seconds, bars, results }, null, 1)}\n`);
  const heading =
    "# Results\n\nWritten by `npm run bench`; what they mean is in [NOTES.md](NOTES.md).\n\n" +
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ` +
    `${Object.entries(machine.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}, ` +
    `commit ${machine.commit}, ${machine.date}, ${seconds} s\n\n`;
  const groups = Object.values(results).flat().map(table).join("\n\n");
  write("RESULTS.md", `${heading}## Bars of design §6\n\n${barTable(bars)}\n\n## Figures\n\n${groups}\n`);
}

function write(file, text) {
  writeFileSync(new URL(file, import.meta.url), text);
}

function versionOf(name) {
  return JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8")).version;
}

/** What was measured, as far as git knows: `+` says that src differs from the commit. */
function commit() {
  const git = (...args) =>
    execFileSync("git", args, {
      cwd: new URL("..", import.meta.url),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "--", "src") === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}
