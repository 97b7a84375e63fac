// Entries with an optional peer dependency: their error without it, and their function with it. The other consumers,
// which have no peer installed, prove that the other entries do not need it.
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { tool } from "./install.mjs";
import { run } from "./run-command.mjs";
import { compileEverywhere } from "./typescript-consumers.mjs";
import { project } from "./workspace.mjs";

/** By peer: its entry, after which the programs are named, their output, and further packages to install. */
const PEERS = {
  "@opentelemetry/api": { entry: "opentelemetry", output: "predict echo, POST\n", packages: [] },
  "@ai-sdk/openai-compatible": {
    entry: "ai",
    output: "eas.chat eas-ngram 8 true\n",
    // Its declarations need the types of json-schema and of the DOM, and esModuleInterop. The second line is advice of
    // tsc.
    foreign: /^\.\.\/node_modules\/(@ai-sdk|zod)\/|^ {2}/,
    packages: ["@ai-sdk/provider", "@ai-sdk/provider-utils", "@standard-schema/spec", "json-schema", "zod"],
  },
};

/** Uses the entries before and after each peer is installed. */
export async function peerConsumers(report, folder) {
  for (const [peer, { entry, output, packages, foreign }] of Object.entries(PEERS)) {
    const programs = [`${entry}.mjs`, `${entry}.cjs`];
    const path = project(folder, `peer-${entry}`, {
      programs: Object.fromEntries(programs.map((name) => [name, name])),
    });
    /** Node options that load only the entry, in both formats. */
    const loaded = {
      import: ["--input-type=module", "-e", `import "eas-prediction/${entry}"`],
      require: ["-e", `require("eas-prediction/${entry}")`],
    };
    for (const [way, options] of Object.entries(loaded)) {
      await report.check(peer, `${way} without it: Node names it`, async () => {
        const { stderr } = await run(process.execPath, options, { cwd: path }).then(
          () => assert.fail("it should have failed"),
          (error) => error,
        );
        assert.match(stderr, new RegExp(`Cannot find (package|module) '${peer}'`));
      });
    }
    for (const name of [peer, ...packages]) {
      cpSync(tool(name), join(folder, "node_modules", name), { recursive: true });
    }
    for (const program of programs) {
      await report.check(peer, `${program} with it`, async () => {
        const { stdout, stderr } = await run(process.execPath, ["--unhandled-rejections=strict", program], {
          cwd: path,
        });
        assert.equal(stderr, "");
        assert.equal(stdout, output);
      });
    }
    await compileEverywhere(report, folder, `${entry}.ts`, foreign);
  }
}
