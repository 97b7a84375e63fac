// The tensor codec against a copy into fresh memory, which is the least that can be done, and against the codec that Buf
// generates from the same schema.

import { equal } from "node:assert/strict";
import { Child } from "./child.mjs";
import { TENSORS } from "./data.mjs";
import { measure, ratio } from "./measure.mjs";

const ROUNDS = 15;
/** Milliseconds for one table, when other processes keep the rounds from being quiet. */
const BUDGET = 4500;

/** All figures of the codec whose name is `wanted`, in milliseconds for one tensor. */
export async function run(wanted, report) {
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
      results.push(await measure({ ...group, rounds: ROUNDS, budget: BUDGET }));
      report(results.at(-1));
    }
    return results;
  } finally {
    for (const child of children) child.end();
  }
}

/** Times that ours is faster than the generated codec where both go from a typed array to bytes, or back to one. */
export const likeRatio = (group) => ratio(group, "generated", "ours");

/** The same against the generated codec at its best, for a caller who has, or wants, plain arrays. */
export function bestRatio(group) {
  return group.name.startsWith("encode")
    ? ratio(group, "generated, toBinary only", "ours, toBinary only")
    : ratio(group, "generated, to a plain array", "ours");
}
