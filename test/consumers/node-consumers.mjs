// Programs on Node: the oldest version that the field "engines" allows, the newest version, and the current one.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { tool } from "./install.mjs";
import { run } from "./run-command.mjs";
import { project } from "./workspace.mjs";

const RUNTIMES = {
  "oldest Node": tool("node-20/bin/node"),
  "newest Node": tool("node-26/bin/node"),
  "this Node": process.execPath,
};

const PROGRAMS = {
  "import.mjs": "import: one class in all entries, a prediction, no global changed",
  "require.cjs": "require: one class in all entries, a prediction",
  "both.mjs": "both formats: errors and requests of one are known to the other",
};

/** Runs each program on each runtime. */
export async function nodeConsumers(report, folder, { engines }) {
  const path = project(folder, "node", {
    programs: Object.fromEntries([...Object.keys(PROGRAMS), "node-checks.mjs"].map((name) => [name, name])),
  });
  for (const [name, node] of Object.entries(RUNTIMES)) {
    for (const [program, what] of Object.entries(PROGRAMS)) {
      await report.check(name, what, async () => {
        assert.ok(existsSync(node), "no package of this Node for this system");
        const options = ["--unhandled-rejections=strict", "--enable-source-maps"];
        const { stdout, stderr } = await run(node, [...options, program], { cwd: path });
        assert.equal(stderr, "");
        const [version] = stdout.split("\n");
        if (name === "oldest Node") assert.equal(`>=${version.slice(1)}`, engines.node);
        return version;
      });
    }
  }
}
