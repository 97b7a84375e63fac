// Entries with an optional peer: what they say without it, and that they work with it. That all others do without it is what
// the other consumers show, who have none.
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { tool } from "./install.mjs";
import { run } from "./run-command.mjs";
import { compileEverywhere } from "./typescript-consumers.mjs";
import { project } from "./workspace.mjs";

const PEER = "@opentelemetry/api";
const ENTRY = "eas-prediction/opentelemetry";
/** The entry alone, in both formats, as options of Node. */
const LOADED = {
  import: ["--input-type=module", "-e", `import "${ENTRY}"`],
  require: ["-e", `require("${ENTRY}")`],
};
const PROGRAMS = ["opentelemetry.mjs", "opentelemetry.cjs"];

/** Uses the entries before and after the peer is installed beside the package. */
export async function peerConsumers(report, folder) {
  const path = project(folder, "peer", { programs: Object.fromEntries(PROGRAMS.map((name) => [name, name])) });
  for (const [way, options] of Object.entries(LOADED)) {
    await report.check(PEER, `${way} without it: Node names it`, async () => {
      const { stderr } = await run(process.execPath, options, { cwd: path }).then(
        () => assert.fail("it should have failed"),
        (error) => error,
      );
      assert.match(stderr, /Cannot find (package|module) '@opentelemetry\/api'/);
    });
  }
  cpSync(tool(PEER), join(folder, "node_modules", PEER), { recursive: true });
  for (const program of PROGRAMS) {
    await report.check(PEER, `${program} with it: a call and an attempt`, async () => {
      const { stdout, stderr } = await run(process.execPath, ["--unhandled-rejections=strict", program], { cwd: path });
      assert.equal(stderr, "");
      assert.equal(stdout, "predict echo, POST\n");
    });
  }
  await compileEverywhere(report, folder, "opentelemetry.ts");
}
