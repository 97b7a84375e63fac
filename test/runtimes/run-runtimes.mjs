// `npm run test:runtimes`: runs the portable suite on Node, Deno, Bun, workerd and the edge VM. Arguments select
// runtimes: `npm run test:runtimes -- deno bun`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleForEdgeVm, bundleForServers, bundleForWorkerd } from "./bundle.mjs";
import { installRuntimes } from "./install.mjs";
import { installPackage } from "./installed-package.mjs";
import { startServer } from "./processes.mjs";
import { runAll } from "./run.mjs";

const programs = installRuntimes();
const folder = installPackage();
const bundles = [bundleForServers, bundleForWorkerd, bundleForEdgeVm].map((bundle) => bundle(folder));
const [server, worker, edge] = await Promise.all(bundles);
const EDGE_VM = fileURLToPath(new URL("programs/edge-vm.mjs", import.meta.url));

const DENO_ENV = { DENO_NO_UPDATE_CHECK: "1", DENO_DIR: join(folder, ".deno") };

await runAll({
  node20: (context) => program(programs.node20, [server, context]),
  node22: (context) => program(programs.node22, [server, context]),
  node24: (context) => program(programs.node24, [server, context]),
  deno: (context) => program(programs.deno, ["run", "-A", server, context], DENO_ENV),
  bun: (context) => program(programs.bun, ["run", server, context]),
  workerd: (context) => inWorkerd(programs.workerd, context),
  "edge-vm": (context) => program(process.execPath, [EDGE_VM, edge, context]),
});

/** Runs a program, which must end by itself. */
async function program(path, args, env = {}) {
  const child = spawn(path, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env } });
  return {
    ended: once(child, "exit").then(([code, signal]) => {
      if (code !== 0) throw new Error(`exited with ${signal ?? code}`);
    }),
    endsByItself: true,
    stop: () => child.kill("SIGKILL"),
  };
}

async function inWorkerd(path, context) {
  const config = join(folder, "workerd.capnp");
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "suite", worker = (
      modules = [(name = "suite", esModule = embed "${basename(worker)}")],
      compatibilityDate = "2026-11-01",
    )),
    # Not the public network alone, which is the default.
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "suite")],
);
`,
  );
  const server = await startServer(path, ["serve", config, "--control-fd=1"], /"socket":"http","port":(\d+)/);
  const answered = fetch(`http://127.0.0.1:${server.match[1]}`, { method: "POST", body: context });
  return {
    ended: answered.then((response) => {
      if (!response.ok) throw new Error(`the worker returned ${response.status}\n${server.said()}`);
    }),
    endsByItself: true,
    stop: () => server.stop("SIGKILL"),
  };
}
