// `npm run bench` measures all cases, `npm run bench -- codec` one of them, and `npm run bench -- "1 KB, 64"` the tables whose
// heading contains the text. It measures the built package, so run `npm run build` first.
//
// A run of all cases writes the bars to RESULTS.md, and all figures to bench/output, which is not committed. Run it with another version of Node to measure that version.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import * as calls from "./calls/calls.mjs";
import * as codec from "./codec/codec.mjs";
import * as growth from "./growth/growth.mjs";
import { withoutSamples } from "./measure.mjs";
import * as memory from "./memory/memory.mjs";
import * as queue from "./queue/queue.mjs";
import { writeSection } from "./results-file.mjs";
import * as start from "./start/start.mjs";
import * as streams from "./streams/streams.mjs";
import { barTable, table } from "./tables.mjs";

const CASES = { codec, calls, streams, queue, growth, memory, start };

const words = process.argv.slice(2);
const named = (name) => words.length === 0 || words.some((word) => name.includes(word));

const begun = performance.now();
const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  node: process.version,
  packages: Object.fromEntries(
    ["undici", "ws", "@bufbuild/protobuf", "openai", "eventsource-parser"].map((name) => [name, versionOf(name)]),
  ),
  date: new Date().toISOString(),
  commit: commit(),
};
const results = {};
const bars = [];
for (const [name, one] of Object.entries(CASES)) {
  const wanted = named(name) ? () => true : named;
  const groups = await one.run(wanted, (group) => console.log(`\n${table(group)}`));
  bars.push(...one.bars(groups));
  results[name] = groups.map(withoutSamples);
}
const seconds = Math.round((performance.now() - begun) / 1000);
console.log(`\n${barTable(bars)}\n\n${seconds} s`);

if (words.length === 0) {
  const major = `Node ${process.versions.node.split(".")[0]}`;
  const output = new URL(`output/${major.toLowerCase().replace(" ", "-")}/`, import.meta.url);
  mkdirSync(output, { recursive: true });
  writeFileSync(new URL("results.json", output), `${JSON.stringify({ machine, seconds, bars, results }, null, 1)}\n`);
  const conditions =
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ` +
    `${Object.entries(machine.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}, ` +
    `commit ${machine.commit}, ${machine.date}, ${seconds} s`;
  writeSection(`Bars, ${major}`, `${conditions}\n\n${barTable(bars)}`);
  const figures = Object.values(results).flat().map(table).join("\n\n");
  writeFileSync(new URL("figures.md", output), `# Figures, ${major}\n\n${conditions}\n\n${figures}\n`);
}

function versionOf(name) {
  return JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8")).version;
}

/** Returns the commit that was measured, with `+` if src has changes that are not committed. */
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
