// `npm run bench` measures all cases, `npm run bench -- codec` one of them, `npm run bench -- "1 KB, 64"` the tables whose
// heading has these words. Measures the built package: `npm run build` first. Writes its sections of RESULTS.md, its part of
// results.json, and what cases publish beside them, when all cases were run. What runs this runs all: another version of Node
// measures itself.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
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
const publications = [];
for (const [name, one] of Object.entries(CASES)) {
  const wanted = named(name) ? () => true : named;
  const groups = await one.run(wanted, (group) => console.log(`\n${table(group)}`));
  bars.push(...one.bars(groups));
  publications.push(() => one.publish?.(groups));
  results[name] = groups.map(withoutSamples);
}
const seconds = Math.round((performance.now() - begun) / 1000);
console.log(`\n${barTable(bars)}\n\n${seconds} s`);

if (words.length === 0) {
  for (const publish of publications) await publish();
  const major = `Node ${process.versions.node.split(".")[0]}`;
  const file = new URL("results.json", import.meta.url);
  const all = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  all[major] = { machine, seconds, bars, results };
  // Objects without others in them on a line each.
  const text = JSON.stringify(all, null, 1).replace(/\{[^{}]*\}/g, (inner) => inner.replace(/\n\s*/g, " "));
  writeFileSync(file, `${text}\n`);
  const conditions =
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ` +
    `${Object.entries(machine.packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}, ` +
    `commit ${machine.commit}, ${machine.date}, ${seconds} s`;
  writeSection(`Bars of design §6, ${major}`, `${conditions}\n\n${barTable(bars)}`);
  writeSection(`Figures, ${major}`, Object.values(results).flat().map(table).join("\n\n"));
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
