// The codec against a copy into fresh memory, which is the lower bound. Also against the codec that Buf generates, and
// the official Python SDK.

import { equal } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bar, ratioBar } from "../bars.mjs";
import { Child } from "../child.mjs";
import { INPUT, SIGNATURE } from "../data.mjs";
import { measure, ratio } from "../measure.mjs";
import { pythonSdks } from "../python/environment.mjs";
import { PythonChild } from "../python/python-child.mjs";
import { CASES } from "./codec-cases.mjs";

/**
 * `warmUp` applies to each way. `budget` limits a table when other processes disturb the rounds. Both are in
 * milliseconds.
 */
const SHORT = { rounds: 5, budget: 1200, warmUp: 60 };
const FULL = { rounds: 7, budget: 2500, warmUp: 120 };
/** A round takes one second with the SDK from pip, and four with generated code and 5,000,000 elements. */
const LONG = { rounds: 7, budget: 10_000, warmUp: 200 };
const SLOW = { rounds: 3, budget: 20_000, warmUp: 60 };

const TABLES = Object.entries(CASES).flatMap(([name, { format, ...rest }]) =>
  (format === "DataFrame" ? ["decode"] : ["encode", "decode"]).map((direction) => ({
    title: nameOf(format, direction, name),
    direction,
    name,
    format,
    ...rest,
  })),
);

/** Names of tables: "encode float32" for TF, "Torch: encode of float32" for others. */
function nameOf(format, direction, name) {
  const prefix = `${format}: `;
  return name.startsWith(prefix) ? `${prefix}${direction} of ${name.slice(prefix.length)}` : `${direction} ${name}`;
}

/** Measures the cases whose name is `wanted`, in milliseconds per message. The `short` form leaves out Python. */
export async function run(wanted, report, { short = false } = {}) {
  const tables = TABLES.filter(({ title }) => wanted(title));
  const results = [];
  const add = (group) => {
    results.push(group);
    report(group);
  };
  const sdks = !short && tables.some(({ python }) => python) ? pythonSdks() : [];
  if (sdks.length > 0) add(versionTable(sdks));
  const folder = mkdtempSync(join(tmpdir(), "eas-bench-"));
  const pythons = sdks.map(({ name, python }) => ({ sdk: name, child: new PythonChild(python, "codec") }));
  try {
    // Each format has its own processes. 5,000,000 floats come last, because they leave a large heap.
    for (const format of new Set(tables.map(({ format }) => format))) {
      const children = ["ours", "generated"].map((kind) => new Child("codec/codec-contender.mjs", { kind }));
      const [ours, generated] = children;
      try {
        for (const one of tables.filter((table) => table.format === format)) {
          const taking = one.alone ? [ours] : [ours, generated];
          const pythonTaking = pythons.filter(({ sdk }) => one.python?.includes(sdk));
          add(await measured(one, taking, pythonTaking, folder));
        }
      } finally {
        for (const child of children) child.end();
      }
    }
    return results;
  } finally {
    for (const { child } of pythons) child.end();
    rmSync(folder, { recursive: true });
  }
}

async function measured({ title, direction, name, full, slow, python }, children, pythons, folder) {
  const { warmUp, ...effort } = slow ? SLOW : !full ? SHORT : python.length > 1 ? LONG : FULL;
  const contenders = [];
  const proofs = new Set();
  const prepare = async (child, order, nameOf = (way) => way) => {
    for (const [way, proof] of Object.entries(await child.ask("prepare", order))) {
      proofs.add(proof);
      contenders.push({ name: nameOf(way), sample: () => child.ask("sample", way) });
    }
  };
  for (const child of children) await prepare(child, { direction, name, warmUp });
  if (pythons.length > 0) {
    const files = { values: join(folder, "values"), response: join(folder, "response") };
    const tensor = await children[0].ask("write", { name, ...files });
    const order = { direction, name: INPUT, signature: SIGNATURE, ...tensor, ...files };
    for (const { sdk, child } of pythons) await prepare(child, order, (way) => `${sdk}, ${way}`);
  }
  equal(proofs.size, 1, `${title}: all have the same result`);
  const processes = [process.pid, ...[...children, ...pythons.map(({ child }) => child)].map(({ pid }) => pid)];
  return measure({ name: title, unit: "ms", ceiling: ["copy"], contenders, processes, ...effort });
}

function versionTable(sdks) {
  const columns = ["", ...Object.keys(sdks[0].versions)];
  const rows = sdks.map(({ name, versions }) => [name, ...Object.values(versions)]);
  const caption = "The official Python SDK, with Debian's packages and as pip installs it; `backend` is protobuf's.";
  return { name: "Python that ran", columns, rows, caption };
}

/** The bars of the codec. */
export function bars(groups) {
  return groups.filter(({ samples }) => samples !== undefined).flatMap(barsOf);
}

function barsOf(group) {
  switch (group.name) {
    case "encode float32":
      return [
        ratioBar(group, "a copy into fresh memory", "≤ 2.5", "ours", "copy"),
        ...pythonBar(group, "list", "≥ 10"),
        ...pythonBar(group, "numpy", "≥ 25"),
      ];
    case "decode float32":
      return [ratioBar(group, "a copy into fresh memory", "≤ 1.5", "ours", "copy")];
  }
  if (!/^(encode|decode) int(32|64) /.test(group.name)) return [];
  const best = group.name.startsWith("encode")
    ? ratio(group, "generated, toBinary only", "ours, toBinary only")
    : ratio(group, "generated, to a plain array", "ours");
  const like = ratio(group, "generated", "ours");
  return [bar(`${group.name}: times faster than generated`, "≥ 4", like, `against its best: ${best.median}`)];
}

/** Compared with the faster installation. Empty without Python. */
function pythonBar(group, input, limit) {
  const ways = group.contenders
    .map(({ name }) => name)
    .filter((name) => /^Python SDK, .*, /.test(name) && name.endsWith(input));
  if (ways.length === 0) return [];
  const [way] = ways.sort((a, b) => ratio(group, a, "ours").median - ratio(group, b, "ours").median);
  return [ratioBar(group, `times faster than Python, ${input}`, limit, way, "ours")];
}
