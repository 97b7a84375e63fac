// The tensor codec against a copy into fresh memory, which is the least that can be done, and against the codec that Buf
// generates from the same schema.

import { equal } from "node:assert/strict";
import { bar, ratioBar } from "./bars.mjs";
import { Child } from "./child.mjs";
import { TENSORS } from "./data.mjs";
import { measure, ratio, summary } from "./measure.mjs";

const ROUNDS = 15;
/** Milliseconds for one table, when other processes keep the rounds from being quiet. */
const BUDGET = 4500;

/** All figures of the codec whose name is `wanted`, in milliseconds for one tensor; `short` has fewer rounds. */
export async function run(wanted, report, { short = false } = {}) {
  const names = Object.keys(TENSORS).flatMap((name) => [`encode ${name}`, `decode ${name}`]);
  const results = [];
  const children = [];
  try {
    for (const name of names.filter(wanted)) {
      // In the first round of this loop only: when nothing is wanted, nothing is started.
      if (children.length === 0) {
        for (const kind of ["ours", "generated"]) children.push(new Child("codec-contender.mjs", { kind }));
      }
      const contenders = [];
      const proofs = new Set();
      const [direction, ...tensor] = name.split(" ");
      for (const child of children) {
        const ways = await child.ask("prepare", { direction, tensor: tensor.join(" ") });
        for (const [way, proof] of Object.entries(ways)) {
          proofs.add(proof);
          contenders.push({ name: way, sample: () => child.ask("sample", way) });
        }
      }
      equal(proofs.size, 1, `${name}: all have the same result`);
      const processes = [process.pid, ...children.map(({ pid }) => pid)];
      const group = { name, unit: "ms", ceiling: ["copy"], contenders, processes };
      results.push(await measure({ ...group, rounds: short ? 5 : ROUNDS, budget: BUDGET }));
      report(results.at(-1));
    }
    return results;
  } finally {
    for (const child of children) child.end();
  }
}

/** What the official Python SDK takes, measured on another machine: milliseconds. */
const PYTHON = { list: 2.78, numpy: 6.8 };

export function bars(groups) {
  return groups.flatMap((group) => {
    const { name } = group;
    if (name === "decode float32") return [ratioBar(group, "a copy into fresh memory", "≤ 1.5", "ours", "copy")];
    if (name === "encode float32") {
      const times = (ms) => summary(group.samples.map(({ ours }) => ms / ours.value));
      const elsewhere = "Python was measured on another machine";
      return [
        ratioBar(group, "a copy into fresh memory", "≤ 2.5", "ours", "copy"),
        bar("encode: times faster than Python, list", "≥ 10", times(PYTHON.list), elsewhere),
        bar("encode: times faster than Python, numpy", "≥ 25", times(PYTHON.numpy), elsewhere),
      ];
    }
    const best = name.startsWith("encode")
      ? ratio(group, "generated, toBinary only", "ours, toBinary only")
      : ratio(group, "generated, to a plain array", "ours");
    const like = ratio(group, "generated", "ours");
    return [bar(`${name}: times faster than generated`, "≥ 4", like, `against its best: ${best.median}`)];
  });
}
