// The installed command line, as npx, bunx and Deno run it.
import assert from "node:assert/strict";
import { installRuntimes } from "../runtimes/install.mjs";
import { run } from "./run-command.mjs";
import { project } from "./workspace.mjs";

/** Runs the installed command with each runner. */
export async function commandLineConsumers(report, folder, { version }) {
  const path = project(folder, "command-line", {});
  const { bun, deno } = installRuntimes();
  const runners = {
    npx: ["npx", ["--no-install", "eas-prediction"]],
    bunx: [bun, ["x", "--bun", "eas-prediction"]],
    deno: [deno, ["run", "-A", "--node-modules-dir=manual", "npm:eas-prediction"]],
  };
  const env = { DENO_DIR: `${folder}/.deno`, DENO_NO_UPDATE_CHECK: "1" };
  for (const [name, [command, args]] of Object.entries(runners)) {
    await report.check(name, "runs the installed command", async () => {
      const { stdout } = await run(command, [...args, "--version"], { cwd: path, env });
      assert.equal(stdout, `${version}\n`);
    });
  }
}
